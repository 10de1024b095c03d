"""All maps of a picture on one sheet, for those who have no page."""

from collections.abc import Sequence

from PIL import Image

from infinity.generation.inspection import InspectedScale
from infinity.grid.sheet import labelled
from infinity.inside.drawing import colored
from infinity.inside.maps import KINDS, token_maps
from infinity.inside.reading import Word, word_maps

CELL_PIXELS = 160
MOST_WORDS = 12


def map_sheet(scales: Sequence[InspectedScale], words: Sequence[Word], caption: str) -> Image.Image:
    """A row a map and a word (the first ``MOST_WORDS``), a column a scale; beside a row, what its first and
    its last color stand for."""
    rows = [(kind, KINDS[kind].title, values) for kind, values in token_maps(scales).items()]
    rows += [
        ("word", f"\u201c{word.text}\u201d", word_maps(scales, word)) for word in words[:MOST_WORDS]
    ]
    last = scales[-1]
    shrink = CELL_PIXELS / max(last.height, last.width)
    cell = round(last.width * shrink), round(last.height * shrink)
    pictures, sides = {}, []
    for row, (name, title, values) in enumerate(rows):
        kind = KINDS[name]
        limits = kind.limits(values)
        sides.append(f"{title} {kind.shown(limits[0])} to {kind.shown(limits[1])}")
        for column, values_hw in enumerate(values):
            small = colored(values_hw, limits, kind.colors)
            pictures[row, column] = small.resize(cell, Image.Resampling.NEAREST)
    heads = [f"{scale.height}x{scale.width}" for scale in scales]
    return labelled(pictures, heads, sides, caption)
