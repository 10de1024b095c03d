"""Where things go in a picture of any size and shape.

Places are counted in tokens of 16 pixels of a picture of 256x256 pixels, or as many in another
shape, and things keep to whole ones where they can: a thing of one size then falls on the tokens in
the same way every time. Where it stands follows from the caption alone. The bits of a token are drawn
apart from each other, so of several places that a caption leaves open they would make a blur of all.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from math import ceil, sqrt
from typing import NamedTuple

from infinity.world.scene import SPOTS, Scene, Size, Spot, Thing
from training.world.concepts import CONCEPTS

CELLS = 16  # a side of a square picture
FILL = 0.95  # a thing's longer side, as a share of its slot
ALONE: dict[Size, float] = {"tiny": 4, "small": 7, "normal": 12, "big": 14, "huge": 16}
AT_A_SPOT: dict[Size, float] = {"tiny": 3, "small": 5, "normal": 7, "big": 9, "huge": 11}
TOGETHER: dict[Size, float] = {"tiny": 0.4, "small": 0.62, "normal": 0.9, "big": 1.0, "huge": 1.1}
"""Cells of the slot of a single thing in the middle, and elsewhere; share of one of several."""
FRONT_ROW, BACK_ROW = 0.97, 0.7
"""Heights at which two rows of things stand on the ground."""
COLUMN = ("above", "below", "on")
"""Relations of one over the other; else they are side by side, or one hides a part of the other."""
LAST_FIRST = ("right of", "below", "behind")
"""Relations that are another one's the other way round."""


class Region(NamedTuple):
    """A part of the picture, in cells."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Box:
    """A placed thing, in pixels."""

    item: Thing
    x0: int
    y0: int
    width: int
    height: int
    grounded: bool

    @property
    def center(self) -> tuple[float, float]:
        """Middle of the box, x and y."""
        return self.x0 + self.width / 2, self.y0 + self.height / 2

    @property
    def bottom(self) -> int:
        return self.y0 + self.height


@dataclass(frozen=True)
class _Placed:
    """A placed thing, in cells."""

    item: Thing
    x: float
    y: float
    width: float
    height: float
    grounded: bool = False

    @property
    def bottom(self) -> float:
        return self.y + self.height

    def box(self, cell: float) -> Box:
        """In pixels, of so many a cell."""
        width, height = (max(1, round(side * cell)) for side in (self.width, self.height))
        x0, y0 = round(self.x * cell), round(self.bottom * cell) - height
        return Box(self.item, x0, y0, width, height, self.grounded)


def grid_of(width: int, height: int) -> Region:
    """The whole of a picture of so many pixels: an area of 16x16 cells."""
    cell = sqrt(width * height) / CELLS
    return Region(0, 0, width / cell, height / cell)


def boxes_of(
    scene: Scene,
    size: tuple[int, int],
    floor: float | None,
    art: Callable[[Thing], tuple[int, int]],
) -> list[Box]:
    """Where each thing of a scene is drawn, back to front, in pixels.

    Args:
        size: the picture's width and height in pixels.
        floor: height of the ground, 0 (top) to 1 (bottom), or None where there is none.
        art: gives the width and height of a thing's art, which is fitted into its slot.
    """
    plan = _Plan(grid_of(*size), floor, art)
    cell = size[0] / plan.whole.width
    return [placed.box(cell) for placed in plan.boxes(scene.things)]


@dataclass(frozen=True)
class _Plan:
    whole: Region
    floor: float | None
    art: Callable[[Thing], tuple[int, int]]

    def boxes(self, things: Sequence[Thing]) -> list[_Placed]:
        first = things[0]
        if len(things) > 1 and all(thing.spot and thing.count == 1 for thing in things):
            side = 0.47 * min(self.whole.width, self.whole.height)
            return [self._at_spot(thing, side) for thing in things]
        if len(things) > 1:
            return self._arranged(things, self.whole)
        if first.count == 1:
            return [self._alone(first)]
        plan = replace(self, floor=None) if first.spot and "top" in first.spot else self
        return plan._group(first, self._around(first.spot))

    def _alone(self, thing: Thing) -> _Placed:
        size = thing.size or "normal"
        if thing.spot not in (None, "center"):
            return self._at_spot(thing, AT_A_SPOT[size])
        side = ALONE[size] * min(self.whole.width, self.whole.height) / CELLS
        return self._standing(self._box(thing, _middle(self.whole, side)), self._ground)

    def _at_spot(self, thing: Thing, side: float) -> _Placed:
        """In a corner, at an edge or in the middle; what is in the middle or below stands there."""
        spot = thing.spot or "center"
        column, row = SPOTS.index(spot) % 3, SPOTS.index(spot) // 3
        side = min(side, 0.62 * min(self.whole.width, self.whole.height))
        free = self.whole.width - side, self.whole.height - side
        x, y = 0.25 + (free[0] - 0.5) * column / 2, 0.25 + (free[1] - 0.5) * row / 2
        box = self._box(thing, Region(x, y, side, side))
        if self.floor is None or not row:
            return box
        middle = max(BACK_ROW * self.whole.height, y + side)
        return self._standing(box, FRONT_ROW * self.whole.height if row == 2 else middle)

    def _around(self, spot: Spot | None) -> Region:
        """What of the picture a group has: all, or the part around a spot."""
        if spot in (None, "center"):
            return self.whole
        column, row = SPOTS.index(spot) % 3, SPOTS.index(spot) // 3
        width, height = 0.6 * self.whole.width, 0.6 * self.whole.height
        return Region(0.2 * column * self.whole.width, 0.2 * row * self.whole.height, width, height)

    def _arranged(self, things: Sequence[Thing], region: Region) -> list[_Placed]:
        """Several kinds of things: two parts in their relation, or three in a row."""
        if len(things) == 1:
            return self._group(things[0], region)
        relation, first, others = things[0].relation, things[:1], things[1:]
        if relation == "between":
            row = zip((things[1], things[0], things[2]), _parts(region, 1 / 3, 1 / 3), strict=True)
            return [box for thing, part in row for box in self._group(thing, part)]
        if len(things) == 3 and (relation != "and" or things[1].relation == "and"):
            relation, first, others = things[1].relation, things[:2], things[2:]
        if relation in LAST_FIRST:
            first, others = others, first
        if relation in ("in front of", "behind"):
            return self._overlapping(others, first, region)
        share = len(first) / (len(first) + len(others))
        if relation not in COLUMN:
            left, right = _parts(region, share)
            return self._arranged(first, left) + self._arranged(others, right)
        upper, lower = _parts(region, share, down=True)
        below = self._arranged(others, lower)
        bottom = upper.y + upper.height - 0.03 * self.whole.height
        if relation == "on":
            bottom = min(box.y for box in below) + 0.05 * self.whole.height
        return below + _moved(replace(self, floor=None)._arranged(first, upper), bottom)

    def _overlapping(
        self, back: Sequence[Thing], front: Sequence[Thing], region: Region
    ) -> list[_Placed]:
        side = 1.2 * min(region.width, region.height)
        width, height = min(region.width, side), min(region.height, side)
        x, y = region.x + (region.width - width) / 2, region.y + (region.height - height) / 2
        far = self._arranged(back, Region(x + 0.25 * width, y, 0.75 * width, 0.8 * height))
        near = self._arranged(front, Region(x, y + 0.5 * height, 0.55 * width, 0.5 * height))
        if self._ground is None:
            return far + near
        bottom = FRONT_ROW * self.whole.height
        return _moved(far, bottom - 0.1 * height) + _moved(near, bottom)

    def _group(self, thing: Thing, region: Region) -> list[_Placed]:
        """One thing or several of a kind, in the rows that show them largest."""
        stands = self._ground is not None and not CONCEPTS[thing.name].floats
        rows = _rows(thing.count, region, 2 if stands else thing.count)
        pitch = min(region.width / max(rows), region.height / len(rows))
        if stands and len(rows) == 2:
            pitch = min(pitch, (FRONT_ROW - BACK_ROW + 0.04) * self.whole.height)
        side = TOGETHER[thing.size or "normal"] * pitch
        found = []
        for number, row in enumerate(rows):
            y = region.y + region.height / 2 + (number - len(rows) / 2) * pitch + (pitch - side) / 2
            for column in range(row):
                x = region.x + region.width / 2 + (column - row / 2) * pitch + (pitch - side) / 2
                box = self._box(thing, Region(x, y, side, side))
                ground = self._ground
                if stands and len(rows) == 2:
                    ground = (BACK_ROW, FRONT_ROW)[number] * self.whole.height
                found.append(self._standing(box, ground))
        return found

    @property
    def _ground(self) -> float | None:
        return None if self.floor is None else self.floor * self.whole.height

    def _box(self, thing: Thing, slot: Region) -> _Placed:
        """A thing in the middle of its slot."""
        shape = self.art(thing)
        width, height = (FILL * slot.width / max(shape) * side for side in shape)
        x, y = slot.x + slot.width / 2 - width / 2, slot.y + slot.height / 2 - height / 2
        return _Placed(thing, x, y, width, height)

    def _standing(self, box: _Placed, ground: float | None) -> _Placed:
        """On the ground, unless it floats or there is none."""
        if ground is None or CONCEPTS[box.item.name].floats:
            return box
        return replace(box, y=max(0.0, ground - box.height), grounded=True)


def _middle(whole: Region, side: float) -> Region:
    return Region((whole.width - side) / 2, (whole.height - side) / 2, side, side)


def _parts(region: Region, *shares: float, down: bool = False) -> list[Region]:
    """A region cut from left to right, or from the top down; the last part is what is left."""
    parts = []
    x, y, width, height = region
    for share in (*shares, 1 - sum(shares)):
        if down:
            parts.append(Region(x, y, width, share * height))
            y += share * height
        else:
            parts.append(Region(x, y, share * width, height))
            x += share * width
    return parts


def _rows(count: int, region: Region, most: int) -> tuple[int, ...]:
    """Things a row, from the back: as even as can be, the rest in front."""
    across = {n: min(region.width / ceil(count / n), region.height / n) for n in range(1, most + 1)}
    rows = max(across, key=lambda n: (round(across[n], 3), -n))
    return tuple((count + number) // rows for number in range(rows))


def _moved(boxes: Iterable[_Placed], bottom: float) -> list[_Placed]:
    """A part, with its lowest edge at another height; not out of the picture at the top."""
    boxes = list(boxes)
    by = max(bottom - max(box.bottom for box in boxes), -min(box.y for box in boxes))
    return [replace(box, y=box.y + by) for box in boxes]
