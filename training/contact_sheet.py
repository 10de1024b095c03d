"""A contact sheet: fixed prompts, fixed seeds, nothing picked by hand.

``python -m training.contact_sheet --model default --output sheet.png``
"""

from __future__ import annotations

import argparse
import math
import textwrap
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont
from tqdm import tqdm

from infinity.console import expand_home, home_path, log_to_terminal
from infinity.pipeline import InfinityPipeline
from infinity.request import GenerationRequest

PROMPTS = Path(__file__).parent / "prompts" / "contact_sheet.txt"
LABEL_HEIGHT = 34


def contact_sheet(
    pipeline: InfinityPipeline, prompts: Sequence[str], columns: int = 8, **settings: float
) -> Image.Image:
    """One picture a prompt, labelled; prompt number n is drawn with seed n.

    Args:
        settings: sampling settings of the request; the model's defaults otherwise.
    """
    pictures = [
        pipeline.generate(GenerationRequest(prompt=prompt, seed=seed, **settings)).images[0]  # type: ignore[arg-type]
        for seed, prompt in enumerate(tqdm(prompts, desc="contact sheet"))
    ]
    width, height = pictures[0].size
    rows = math.ceil(len(pictures) / columns)
    sheet = Image.new("RGB", (columns * width, rows * (height + LABEL_HEIGHT)), "white")
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=12)
    for index, (picture, prompt) in enumerate(zip(pictures, prompts, strict=True)):
        x, y = index % columns * width, index // columns * (height + LABEL_HEIGHT)
        sheet.paste(picture, (x, y))
        label = "\n".join(textwrap.wrap(prompt, max(10, width // 7))[:2])
        draw.multiline_text((x + 4, y + height + 2), label, fill="black", font=font, spacing=1)
    return sheet


def read_prompts(path: Path = PROMPTS) -> list[str]:
    return [
        line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--model", type=expand_home, default="default", help="registry name or folder"
    )
    parser.add_argument("--prompts", type=home_path, default=PROMPTS, help="one prompt a line")
    parser.add_argument("--output", type=home_path, required=True)
    arguments = parser.parse_args()
    log_to_terminal()
    pipeline = InfinityPipeline.from_pretrained(arguments.model)
    contact_sheet(pipeline, read_prompts(arguments.prompts)).save(arguments.output)


if __name__ == "__main__":
    main()
