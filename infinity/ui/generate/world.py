"""What a model knows, in lists to look through: things, places, colours, styles."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from html import escape
from pathlib import Path

from infinity.registry import DEFAULT_MODEL
from infinity.shipped import shipped
from infinity.spec import ModelSpec
from infinity.ui.shared.files import data_uri

THUMBNAILS = shipped("assets/world")
"""Written by ``python -m training.pages known-words``."""
SHOWN = 36
"""Side of a tile in CSS pixels."""

WILDCARDS = (
    "<p>Wildcards: <code>a {red|blue} car</code> draws one or the other, as each picture’s seed "
    "picks; <code>{2$$cat|dog|owl}</code> takes two. The picture’s record has the words drawn.</p>"
)
ANYTHING = (
    "<p>This model was trained on pictures of all kinds with long descriptions: write whole "
    "sentences on what is to be seen, where, in what light and in what style.</p>"
)


@dataclass(frozen=True)
class Tiles:
    """Small pictures of words on one sheet: its address, its columns, the number of each word's tile."""

    address: str
    columns: int
    numbers: Mapping[str, int]

    def html(self, word: str) -> str:
        """The word's tile, nothing if it has none."""
        if word not in self.numbers:
            return ""
        row, column = divmod(self.numbers[word], self.columns)
        place = f"background-position:-{column * SHOWN}px -{row * SHOWN}px"
        return f'<span class="tile" style="{place}"></span>'


NO_TILES = Tiles("", 1, {})


@lru_cache(maxsize=2)
def read_tiles(folder: Path = THUMBNAILS) -> Tiles:
    """The tiles in a folder; none where there is no such folder."""
    if not (folder / "thumbnails.json").is_file():
        return NO_TILES
    sheet = data_uri((folder / "thumbnails.webp").read_bytes(), "webp")
    listed = json.loads((folder / "thumbnails.json").read_text(encoding="utf-8"))
    numbers = {word: number for number, word in enumerate(listed["words"])}
    return Tiles(sheet, listed["columns"], numbers)


def world_html(spec: ModelSpec) -> str:
    """The words of a small world by kind; for any other model, how to write to it."""
    tiles = read_tiles() if spec.name == DEFAULT_MODEL else NO_TILES
    vocabulary = spec.vocabulary
    if vocabulary is None:
        return f'<div class="world">{ANYTHING}{WILDCARDS}</div>'
    count = sum(map(len, vocabulary.objects.values()))
    parts = [
        f"<p>This small model knows {count} things, {len(vocabulary.scenes)} places and "
        f"{len(vocabulary.colors)} colours. A single thing comes out best, in a place or on a "
        f"colour; it also has words for up to four of a thing, and for two things side by side or one "
        f"above the other.</p>"
    ]
    for kind, names in vocabulary.objects.items():
        also = {name: ", ".join(vocabulary.synonyms.get(name, ())) for name in names}
        parts.append(
            _section(kind.capitalize(), (_word(name, also[name], tiles) for name in names))
        )
    parts.append(_phrases("Places", vocabulary.scenes, tiles))
    parts.append(_section("Colours", (_color(name) for name in vocabulary.colors)))
    parts.append(_phrases("Styles", vocabulary.styles, tiles))
    width = tiles.columns * SHOWN
    sheet = f' style="--tiles:url({tiles.address}) 0 0 / {width}px auto"' if tiles.numbers else ""
    return f'<div class="world"{sheet}>{"".join(parts)}{WILDCARDS}</div>'


def _section(title: str, items: Iterable[str]) -> str:
    return f"<h3>{escape(title)}</h3><ul>{''.join(items)}</ul>"


def _phrases(title: str, named: Mapping[str, tuple[str, ...]], tiles: Tiles) -> str:
    """A section of what goes by phrases, the first of which is shown."""
    words = (_word(first, ", ".join(also), tiles, name) for name, (first, *also) in named.items())
    return _section(title, words)


def _word(word: str, also: str, tiles: Tiles, name: str | None = None) -> str:
    """A word, its tile (the one of ``name``, if another) before it, its synonyms as a hint."""
    hint = f' title="also: {escape(also, quote=True)}"' if also else ""
    return f"<li{hint}>{tiles.html(name or word)}{escape(word)}</li>"


def _color(name: str) -> str:
    """A swatch beside the word: the world's colour words are CSS's own, without their spaces."""
    css = escape(name.replace(" ", ""), quote=True)
    return f'<li><i style="background:{css}"></i>{escape(name)}</li>'
