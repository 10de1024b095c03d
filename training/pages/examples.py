"""Sheets and small pictures of fixed prompts; prompt number n is drawn with seed n."""

import json
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from infinity.pipeline import InfinityPipeline
from training.drawing import draw, sheet

SIDE, QUALITY = 144, 82
PROMPTS = {
    "contact-sheet": Path(__file__).parents[1] / "prompts" / "contact_sheet.txt",
    "examples": Path(__file__).parents[1] / "prompts" / "examples.txt",
}
"""Page -> its prompts, one a line."""


def contact_sheet(pipeline: InfinityPipeline, prompts: Sequence[str], file: Path) -> None:
    """One labeled picture a prompt."""
    pictures = draw(pipeline, [(prompt, seed) for seed, prompt in enumerate(prompts)])
    sheet(list(pictures), prompts).save(file, quality=72)


def write_examples(pipeline: InfinityPipeline, prompts: Sequence[str], folder: Path) -> None:
    """The page's example prompts: one WebP each, and ``examples.json``, which lists them."""
    folder.mkdir(parents=True, exist_ok=True)
    for stale in folder.glob("*.webp"):
        stale.unlink()
    entries = []
    pictures = draw(pipeline, [(prompt, seed) for seed, prompt in enumerate(prompts)])
    for seed, (prompt, image) in enumerate(zip(prompts, pictures, strict=True)):
        image.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
        entry = {"prompt": prompt, "seed": seed, "file": f"{seed:02d}.webp"}
        image.save(folder / entry["file"], quality=QUALITY, method=6)
        entries.append(entry)
    text = json.dumps(entries, indent=1, ensure_ascii=False)
    (folder / "examples.json").write_text(text + "\n", encoding="utf-8")
