"""What a model of the small world knows, drawn by the model itself: a docs page and thumbnails."""

import json
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from infinity.errors import RequestError
from infinity.pipeline import InfinityPipeline
from infinity.world.scene import Background, Scene, Thing
from infinity.world.vocabulary import Vocabulary
from infinity.world.wording import written
from training.drawing import draw, sheet
from training.world.color import BACKGROUNDS, HUES
from training.world.concepts import CONCEPTS

SEED = 0
BACKGROUND = Background(kind="plain", names=("light blue",))
IN_PLACES, IN_COLORS, IN_STYLES, ON_COLORS = "penguin", "car", "fox", "smiley"
"""What stands for places, colours, styles and backgrounds."""
SHOWN, COLUMNS, TILE, TILES_A_ROW, BATCH = 104, 8, 64, 16, 32

Sections = dict[str, dict[str, str]]
"""Title -> word -> prompt."""

INTRODUCTION = """\
# What the default model knows

Drawn by the model itself, one picture a word, all with seed 0 (`python -m training.pages known-words`).

Ask for **one to four of a thing**, or **two things** beside or above each other, on a coloured background, a
gradient or in a place: `a cat`, `three red apples on a white background`, `a robot left of a cactus in the
desert`, `a heart on a pink to orange gradient`, `a fox in the snow, cartoon style`.

- Things go by several names, in singular and plural, with or without an article, in capitals or not.
- A background that a prompt leaves open the seed chooses; with that off a picture without a background is light
  blue, or yellow behind green, blue, purple and black things.
- The place may come first (`in the snow, a fox`) and the colour last (`a car that is red`).
- Sizes: {sizes}. Positions: left of, right of, above, below, next to.
- The name of a thing or colour that is misspelt by one letter is put right, and the page says how it was read; signs,
  accents and emoji are passed over.
- A word outside this list is guessed at from its letters; the page says which words it did not know.

How gently other wordings are taken is measured: `python -m training.evaluate --prompts
training/prompts/language.jsonl --output DIR` asks for the same things in capitals, misspelt, with unknown
words, and so on.
"""


def sections(vocabulary: Vocabulary) -> Sections:
    """Everything to draw, in the order of the page."""

    def prompt(
        name: str,
        background: Background = BACKGROUND,
        *,
        color: str | None = None,
        style: str | None = None,
    ) -> str:
        things = (Thing(name=name, color=color),)
        return written(Scene(things=things, background=background, style=style), vocabulary)

    return {
        **{kind: {n: prompt(n) for n in names} for kind, names in vocabulary.objects.items()},
        "places": {
            place: prompt(IN_PLACES, Background(kind="place", names=(place,)))
            for place in vocabulary.scenes
        },
        "styles": {style: prompt(IN_STYLES, style=style) for style in vocabulary.styles},
        "colours": {color: prompt(IN_COLORS, color=color) for color in HUES},
        "backgrounds": {
            color: prompt(ON_COLORS, Background(kind="plain", names=(color,)))
            for color in BACKGROUNDS
        },
    }


def page(vocabulary: Vocabulary, titles: Sequence[str], images: str) -> str:
    """Markdown: a sheet a section, and the words that mean the same."""
    sizes = ", ".join(size for size in vocabulary.sizes if size != "normal")
    parts: list[str] = [INTRODUCTION.format(sizes=sizes)]
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


def write_known_words(pipeline: InfinityPipeline, docs: Path, assets: Path) -> None:
    """Draw everything; write ``world.md`` with its sheets to ``docs``, the thumbnails to ``assets``.

    ``thumbnails.json`` has the number of columns in ``thumbnails.webp`` and the words row by row.

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
    drawn = draw(pipeline, asked, BATCH, complete_prompt=False)
    images = docs / "images" / "world"
    for folder in (images, assets):
        folder.mkdir(parents=True, exist_ok=True)
    small: dict[str, Image.Image] = {}
    for title, words in wanted.items():
        pictures = {word: next(drawn) for word in words}
        columns = min(COLUMNS, len(words))
        labeled = sheet([*pictures.values()], [*words], columns=columns, size=(SHOWN, SHOWN))
        labeled.save(images / f"{title}.webp", quality=85)
        if title not in ("colours", "backgrounds"):
            small |= pictures
    tiles = sheet(list(small.values()), columns=TILES_A_ROW, size=(TILE, TILE))
    tiles.save(assets / "thumbnails.webp", quality=80)
    listed = {"columns": TILES_A_ROW, "words": list(small)}
    (assets / "thumbnails.json").write_text(json.dumps(listed, indent=0) + "\n", encoding="utf-8")
    (docs / "world.md").write_text(page(vocabulary, list(wanted), "images/world"), encoding="utf-8")
