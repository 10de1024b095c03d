"""A worked example: the shipped default model learns to print in two inks, with pictures before and after.

``python -m training.duotone`` makes the data, trains an adapter, exports it and draws the
same prompts without and with it. Run again, it goes on where it stopped. Settings may be given as
for training: ``--optimization.steps 200``.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps
from tqdm import tqdm

from infinity.console import home_path, log_to_terminal
from infinity.errors import InfinityError
from infinity.pipeline import InfinityPipeline
from infinity.request import GenerationRequest
from training.config.load import load_config
from training.contact_sheet import read_prompts
from training.engine.loop import train
from training.export import export
from training.world.world import World

SETTINGS = Path(__file__).with_suffix(".yaml")
WORLD = Path("data/world")
STYLE = "3d"
SIZE = 192
DARK, BRIGHT, PAPER = "#1b1464", "#ff4f8b", "#ffe9a8"
SEED = 7
SHOWN = 8
MARGIN = 64
"""Pixels left of the rows for their names."""

logger = logging.getLogger(__name__)


def duotone(picture: np.ndarray) -> Image.Image:
    """uint8 (H, W, 3) -> the same in shades from a dark ink over a bright one to the paper."""
    gray = ImageOps.autocontrast(Image.fromarray(picture).convert("L"))
    return ImageOps.colorize(gray, DARK, PAPER, mid=BRIGHT)


def write_data(folder: Path, world: World, count: int) -> None:
    """``count`` pictures with captions beside them; those that are there are kept."""
    folder.mkdir(parents=True, exist_ok=True)
    for index in tqdm(range(count), desc="pictures"):
        path = folder / f"{index:05d}.png"
        if path.with_suffix(".txt").exists():
            continue
        drawn = world.example(SEED, index, size=SIZE, stage="single")
        duotone(drawn.image).save(path)
        path.with_suffix(".txt").write_text(drawn.caption, encoding="utf-8")


def before_and_after(
    model: str, adapter: str | Path, prompts: Sequence[str], seed: int = 0
) -> Image.Image:
    """Two rows of pictures of the same prompts and seeds: without the adapter, and with it."""
    rows = []
    for name, change in (("before", None), ("after", adapter)):
        pipeline = InfinityPipeline.from_pretrained(model, adapter=change)
        requests = [
            GenerationRequest(prompt=prompt, seed=seed + i) for i, prompt in enumerate(prompts)
        ]
        pictures = [pipeline.generate(r).images[0] for r in tqdm(requests, desc=name)]
        rows.append((name, pictures))
    width, height = rows[0][1][0].size
    sheet = Image.new("RGB", (MARGIN + width * len(prompts), height * len(rows)), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=16)
    for row, (name, pictures) in enumerate(rows):
        draw.text((4, row * height + height // 2), name, fill="black", font=font)
        for column, picture in enumerate(pictures):
            sheet.paste(picture, (MARGIN + column * width, row * height))
    return sheet


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code: 0, or 2 after an error, told in one sentence."""
    parser = argparse.ArgumentParser(prog="python -m training.duotone")
    parser.add_argument("--pictures", type=int, default=1500, help="to learn from (default 1500)")
    parser.add_argument("--shown", type=int, default=SHOWN, help=f"prompts drawn ({SHOWN})")
    parser.add_argument("--sheet", type=home_path, help="where the pictures before and after go")
    options, settings = parser.parse_known_args(arguments)
    log_to_terminal(form="%(levelname)s %(message)s")
    try:
        config = load_config(SETTINGS, settings)
        assert config.start_from is not None
        write_data(
            Path(config.data.sources[0]), World.load(WORLD, styles=(STYLE,)), options.pictures
        )
        train(config)
        adapter = export(config.output)
        sheet = before_and_after(config.start_from, adapter, read_prompts()[: options.shown])
    except (InfinityError, FileNotFoundError, ValueError) as error:
        logger.error("%s", error)
        return 2
    path = options.sheet or config.output / "before_and_after.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path)
    sys.stdout.write(f"{path}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
