"""Maps of a picture, and what flipped bits do to it, on one sheet each, for those who have no page."""

from collections.abc import Sequence

from PIL import Image

from infinity.generation.inspection import InspectedScale
from infinity.grid.sheet import labelled
from infinity.inside.drawing import colored
from infinity.inside.maps import KINDS, added, token_maps
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


def flip_sheet(pictures: Sequence[Image.Image], caption: str) -> Image.Image:
    """What flipped bits did, above what they changed.

    Args:
        pictures: as it is; the bits flipped alone; the scales after them drawn on, with the flips and without.
    """
    before, alone, answered, unanswered = pictures
    changes = [added(before, alone), added(unanswered, answered)]
    kind = KINDS["added"]
    limits = kind.limits(changes)
    cells = {(0, column): each for column, each in enumerate((before, alone, answered))}
    for column, change in enumerate(changes, 1):
        cells[1, column] = colored(change, limits, kind.colors)
    sides = ["", f"Changed {kind.shown(limits[0])} to {kind.shown(limits[1])}"]
    heads = ["The picture", "Flipped, all else kept", "The later scales answer"]
    return labelled(cells, heads, sides, caption)
