"""The page's example prompts with small pictures of them, drawn by the default model.

``python -m training.examples`` writes assets/examples anew; prompt number n is drawn with seed n.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from PIL import Image
from tqdm import tqdm

from infinity.console import expand_home, home_path, log_to_terminal
from infinity.pipeline import InfinityPipeline
from infinity.request import GenerationRequest
from training.contact_sheet import read_prompts

PROMPTS = Path(__file__).parent / "prompts" / "examples.txt"
FOLDER = Path(__file__).resolve().parent.parent / "assets" / "examples"
SIDE = 144
QUALITY = 82


def write_examples(pipeline: InfinityPipeline, prompts: Sequence[str], folder: Path) -> None:
    """Draw the prompts, and write one WebP each and ``examples.json``, which lists them."""
    folder.mkdir(parents=True, exist_ok=True)
    for stale in folder.glob("*.webp"):
        stale.unlink()
    entries = []
    for seed, prompt in enumerate(tqdm(prompts, desc="examples")):
        request = GenerationRequest(prompt=prompt, seed=seed)
        (image,) = pipeline.generate(request).images
        image.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
        entry = {"prompt": prompt, "seed": seed, "file": f"{seed:02d}.webp"}
        image.save(folder / entry["file"], quality=QUALITY, method=6)
        entries.append(entry)
    text = json.dumps(entries, indent=1, ensure_ascii=False)
    (folder / "examples.json").write_text(text + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--model", type=expand_home, default="default", help="registry name or folder"
    )
    parser.add_argument("--prompts", type=home_path, default=PROMPTS, help="one prompt a line")
    parser.add_argument("--output", type=home_path, default=FOLDER)
    arguments = parser.parse_args()
    log_to_terminal()
    pipeline = InfinityPipeline.from_pretrained(arguments.model)
    write_examples(pipeline, read_prompts(arguments.prompts), arguments.output)


if __name__ == "__main__":
    main()
