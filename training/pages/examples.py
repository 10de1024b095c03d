"""The page's example prompts with small pictures of them."""

import json
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from infinity.pipeline import InfinityPipeline
from training.drawing import draw

SIDE = 144
QUALITY = 82


def write_examples(pipeline: InfinityPipeline, prompts: Sequence[str], folder: Path) -> None:
    """Draw the prompts, and write one WebP each and ``examples.json``, which lists them."""
    folder.mkdir(parents=True, exist_ok=True)
    for stale in folder.glob("*.webp"):
        stale.unlink()
    entries = []
    wanted = [(prompt, seed) for seed, prompt in enumerate(prompts)]
    for (prompt, seed), image in zip(wanted, draw(pipeline, wanted), strict=True):
        image.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
        entry = {"prompt": prompt, "seed": seed, "file": f"{seed:02d}.webp"}
        image.save(folder / entry["file"], quality=QUALITY, method=6)
        entries.append(entry)
    text = json.dumps(entries, indent=1, ensure_ascii=False)
    (folder / "examples.json").write_text(text + "\n", encoding="utf-8")
