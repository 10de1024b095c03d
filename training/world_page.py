"""What a model of the small world knows, drawn by the model itself: a docs page and thumbnails.

``python -m training.world_page`` writes ``docs/world.md`` with its pictures under ``docs/images/world``,
and ``assets/world/thumbnails.webp`` with ``thumbnails.json`` (columns, and the words row by row)
for the page. Every picture is drawn with the same seed; nothing is picked.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from PIL import Image, ImageDraw, ImageFont

from infinity.console import expand_home, home_path
from infinity.errors import InfinityError, RequestError
from infinity.pipeline import InfinityPipeline
from infinity.vocabulary import Vocabulary
from training.evaluate import draw
from training.exam.questions import a
from training.world.captions import BIG_WORDS, LITTLE_WORDS, article_for
from training.world.color import BACKGROUNDS, HUES
from training.world.concepts import CONCEPTS

SEED = 0
BACKGROUND = "on a light blue background"
IN_PLACES, IN_COLORS, IN_STYLES, ON_COLORS = "penguin", "car", "fox", "smiley"
"""What stands for places, colours, styles and backgrounds."""
SHOWN, TILE, LABEL, COLUMNS, TILES_A_ROW = 96, 64, 18, 8, 16

Sections = dict[str, dict[str, str]]
"""Title -> word -> prompt."""

INTRODUCTION = """\
# What the default model knows

Drawn by the model itself, one picture a word, all with seed 0 (`python -m training.world_page`).

Ask for **one to four of a thing**, or **two things** beside or above each other, on a coloured background, a
gradient or in a place: `a cat`, `three red apples on a white background`, `a robot left of a cactus in the
desert`, `a heart on a pink to orange gradient`, `a fox in the snow, cartoon style`.

- Things go by several names, in singular and plural, with or without an article, in capitals or not.
- Asked for without a background, a picture is light blue, or yellow behind green, blue, purple and black things.
- The place may come first (`in the snow, a fox`) and the colour last (`a car that is red`).
- Sizes: {little}; {big}. Positions: left of, right of, above, below, next to.
- The name of a thing or colour that is misspelt by one letter is put right, and the page says how it was read; signs,
  accents and emoji are passed over.
- A word outside this list is guessed at from its letters; the page says which words it did not know.

How gently other wordings are taken is measured: `python -m training.evaluate --prompts
training/prompts/language.jsonl --output DIR` asks for the same things in capitals, misspelt, with unknown
words, and so on.
"""


def sections(vocabulary: Vocabulary) -> Sections:
    """Everything to draw, in the order of the page."""
    found: Sections = {
        kind: {name: f"{a(name)} {BACKGROUND}" for name in names}
        for kind, names in vocabulary.objects.items()
    }
    found["places"] = {
        name: f"{a(IN_PLACES)} {phrases[0]}" for name, phrases in vocabulary.scenes.items()
    }
    found["styles"] = {
        name: f"{a(IN_STYLES)} {BACKGROUND}, {phrases[0]}"
        for name, phrases in vocabulary.styles.items()
    }
    found["colours"] = {color: f"{a(IN_COLORS, color)} {BACKGROUND}" for color in HUES}
    found["backgrounds"] = {
        color: f"{a(ON_COLORS)} on {article_for(color)} {color} background" for color in BACKGROUNDS
    }
    return found


def labeled_sheet(pictures: Mapping[str, Image.Image]) -> Image.Image:
    """Pictures in rows with their words below."""
    rows = math.ceil(len(pictures) / COLUMNS)
    columns = min(COLUMNS, len(pictures))
    sheet = Image.new("RGB", (columns * (SHOWN + 6), rows * (SHOWN + LABEL)), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=11)
    for index, (word, picture) in enumerate(pictures.items()):
        x, y = index % COLUMNS * (SHOWN + 6) + 3, index // COLUMNS * (SHOWN + LABEL)
        sheet.paste(picture.resize((SHOWN, SHOWN), Image.Resampling.LANCZOS), (x, y))
        middle = (x + SHOWN / 2, y + SHOWN + 1)
        pen.text(middle, word, fill="black", font=font, anchor="ma")
    return sheet


def tiles(pictures: Sequence[Image.Image]) -> Image.Image:
    """Small square tiles, :data:`TILES_A_ROW` a row."""
    rows = math.ceil(len(pictures) / TILES_A_ROW)
    sheet = Image.new("RGB", (TILES_A_ROW * TILE, rows * TILE), "white")
    for index, picture in enumerate(pictures):
        tile = picture.resize((TILE, TILE), Image.Resampling.LANCZOS)
        sheet.paste(tile, (index % TILES_A_ROW * TILE, index // TILES_A_ROW * TILE))
    return sheet


def page(vocabulary: Vocabulary, titles: Sequence[str], images: str) -> str:
    """Markdown: a sheet a section, and the words that mean the same."""
    parts = [INTRODUCTION.format(little=", ".join(LITTLE_WORDS), big=", ".join(BIG_WORDS))]
    for title in titles:
        parts.append(f"## {title.capitalize()}\n\n![{title}]({images}/{title}.webp)\n")
        if title in vocabulary.objects:
            names = vocabulary.objects[title]
            also = [f"{n} ({', '.join(vocabulary.synonyms[n])})" for n in names
                    if vocabulary.synonyms.get(n)]  # fmt: skip
            painted = [n for n in names if n in CONCEPTS and CONCEPTS[n].colorable]
            parts += [f"Other names: {', '.join(also)}.\n"] * bool(also)
            parts += [f"May have a colour: {', '.join(painted)}.\n"] * bool(painted)
        groups = {"places": vocabulary.scenes, "styles": vocabulary.styles}.get(title, {})
        parts += ["".join(f"- **{n}**: {', '.join(p)}\n" for n, p in groups.items())] * bool(groups)
    return "\n".join(parts)


def write(pipeline: InfinityPipeline, docs: Path, assets: Path) -> None:
    """Draw everything and write the page, its sheets and the thumbnails.

    Raises:
        RequestError: the model has no vocabulary.
    """
    vocabulary = pipeline.spec.vocabulary
    if vocabulary is None:
        raise RequestError(
            f"{pipeline.spec.name} is no model of a small world; choose one that is."
        )
    wanted = sections(vocabulary)
    asked = [(prompt, SEED) for words in wanted.values() for prompt in words.values()]
    drawn = draw(pipeline, asked)
    images = docs / "images" / "world"
    for folder in (images, assets):
        folder.mkdir(parents=True, exist_ok=True)
    small: dict[str, Image.Image] = {}
    for title, words in wanted.items():
        pictures = {word: next(drawn) for word in words}
        labeled_sheet(pictures).save(images / f"{title}.webp", quality=85)
        if title not in ("colours", "backgrounds"):
            small |= pictures
    tiles(list(small.values())).save(assets / "thumbnails.webp", quality=80)
    listed = {"columns": TILES_A_ROW, "words": list(small)}
    (assets / "thumbnails.json").write_text(json.dumps(listed, indent=0) + "\n", encoding="utf-8")
    (docs / "world.md").write_text(page(vocabulary, list(wanted), "images/world"), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--model", type=expand_home, default="default", help="registry name or folder"
    )
    parser.add_argument("--docs", type=home_path, default=Path("docs"))
    parser.add_argument("--assets", type=home_path, default=Path("assets/world"))
    arguments = parser.parse_args()
    torch.set_flush_denormal(True)
    try:
        write(InfinityPipeline.from_pretrained(arguments.model), arguments.docs, arguments.assets)
    except InfinityError as error:
        parser.exit(1, f"{error}\n")


if __name__ == "__main__":
    main()
