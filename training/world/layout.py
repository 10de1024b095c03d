"""Where things go: one large object, rows, triangles, squares, and clear positions.

Everything stands on a grid of `CELLS` x `CELLS` cells, which is the latent grid of the default
model, in the middle: an object of one size then falls on the tokens in the same way every time, and
where it stands is known from the caption. The bits of a token are drawn apart from each other, so of
several places that a caption leaves open they would make a blur of all.
"""

from collections.abc import Callable
from dataclasses import dataclass

from training.world.concepts import CONCEPTS
from training.world.scene import Scene, SceneObject

CELLS = 12
SIDES = {"little": 5, "normal": 9, "big": 11}  # cells of a single object, by its size
SHARED_SIDE = 6  # cells of each object where there are several
FILL = 0.94  # an object's longer side, as a share of its slot
ROW, COLUMN = ((0, 3), (6, 3)), ((3, 0), (3, 6))
SLOTS: dict[str | int, tuple[tuple[int, int], ...]] = {
    **{"and": ROW, "left of": ROW, "right of": ROW, "above": COLUMN, "below": COLUMN},
    **{2: ROW, 3: ((3, 0), (0, 6), (6, 6)), 4: ((0, 0), (6, 0), (0, 6), (6, 6))},
}
"""Relation of two objects, or number of one -> left and top cells, back to front."""


@dataclass(frozen=True)
class Box:
    """A placed object, in pixels."""

    item: SceneObject
    x0: int
    y0: int
    width: int
    height: int
    grounded: bool

    @property
    def center(self) -> tuple[float, float]:
        """Middle of the box in pixels, x and y."""
        return self.x0 + self.width / 2, self.y0 + self.height / 2


def boxes_of(
    scene: Scene, size: int, floor: float | None, art: Callable[[SceneObject], tuple[int, int]]
) -> list[Box]:
    """Where each object of a scene is drawn, back to front.

    Args:
        size: the picture's side in pixels.
        floor: height of the ground, 0 (top) to 1 (bottom), or None where there is none.
        art: gives the width and height of an object's art, which is fitted into its slot.
    """
    first = scene.objects[0]
    things = [item for item in scene.objects for _ in range(item.count)]
    side, slots = SHARED_SIDE, SLOTS.get(first.relation or first.count)
    if slots is None:
        side = SIDES[first.size]
        slots = (((CELLS - side) // 2, (CELLS - side) // 2),)
    if first.relation in ("right of", "below"):
        things.reverse()
    if len({top for _, top in slots}) > 1:
        floor = None  # those above cannot stand
    cell, found = size / CELLS, []
    for item, (left, top) in zip(things, slots, strict=True):
        shape = art(item)
        width, height = (FILL * side * cell / max(shape) * length for length in shape)
        x0, y0 = (left + side / 2) * cell - width / 2, (top + side / 2) * cell - height / 2
        grounded = floor is not None and not CONCEPTS[item.concept].floats
        if floor is not None and grounded:
            y0 = round(floor * CELLS) * cell - height
        sides = max(1, round(width)), max(1, round(height))
        found.append(Box(item, round(x0), round(y0), *sides, grounded))
    return found
