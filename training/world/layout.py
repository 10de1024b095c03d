"""Where things go: one large object, rows, triangles, squares, and clear positions.

Everything stands on a grid of `CELLS` x `CELLS` cells, which is the latent grid of the default
model, in the middle: an object of one size then falls on the tokens in the same way every time, and
where it stands is known from the caption. The bits of a token are drawn apart from each other, so of
several places that a caption leaves open they would make a blur of all.
"""

from dataclasses import dataclass

from training.world.scene import Scene, SceneObject

CELLS = 12
SIDES = {"little": 5, "normal": 9, "big": 11}  # cells of a single object, by its size
SHARED_SIDE = 6  # cells of each object where there are several
FILL = 0.94  # an object's longer side, as a share of its slot


@dataclass(frozen=True)
class Slot:
    """A square of cells for one object: left and top edge, and side, in cells.

    `stands`: it may rest on the ground where the place has one.
    """

    item: SceneObject
    x: int
    y: int
    side: int
    stands: bool = True


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


def slots(scene: Scene) -> list[Slot]:
    """The slots of a scene, back to front."""
    if len(scene.objects) == 2:
        return _pair(scene)
    (item,) = scene.objects
    if item.count > 1:
        return _several(item)
    side = SIDES[item.size]
    return [Slot(item, _middle(side), _middle(side), side)]


def _middle(side: int) -> int:
    return (CELLS - side) // 2


def place(
    slot: Slot, sprite_size: tuple[int, int], size: int, *, floor: float | None, floats: bool
) -> Box:
    """Fit a sprite of (width, height) into its slot, on the floor if both have to do with one.

    Args:
        size: the picture's side in pixels.
        floor: height of the ground, 0 (top) to 1 (bottom), or None where there is none.
        floats: whether this thing hangs in the air even above ground.
    """
    cell = size / CELLS
    factor = FILL * slot.side * cell / max(sprite_size)
    width, height = factor * sprite_size[0], factor * sprite_size[1]
    ground = floor if slot.stands and not floats else None
    x0 = (slot.x + slot.side / 2) * cell - width / 2
    if ground is None:
        y0 = (slot.y + slot.side / 2) * cell - height / 2
    else:
        y0 = round(ground * CELLS) * cell - height
    return Box(
        slot.item,
        round(x0),
        round(y0),
        max(1, round(width)),
        max(1, round(height)),
        ground is not None,
    )


def _pair(scene: Scene) -> list[Slot]:
    """Two objects beside each other (the first on the left, unless it is "right of") or stacked."""
    first, second = scene.objects
    middle = _middle(SHARED_SIDE)
    if first.relation in ("above", "below"):
        upper, lower = (first, second) if first.relation == "above" else (second, first)
        return [
            Slot(upper, middle, 0, SHARED_SIDE, stands=False),
            Slot(lower, middle, SHARED_SIDE, SHARED_SIDE, stands=False),
        ]
    left, right = (second, first) if first.relation == "right of" else (first, second)
    return [Slot(left, 0, middle, SHARED_SIDE), Slot(right, SHARED_SIDE, middle, SHARED_SIDE)]


def _several(item: SceneObject) -> list[Slot]:
    """Two in a row, three in a triangle, four in a square."""
    if item.count == 2:
        return [Slot(item, x, _middle(SHARED_SIDE), SHARED_SIDE) for x in (0, SHARED_SIDE)]
    corners = {
        3: ((_middle(SHARED_SIDE), 0), (0, SHARED_SIDE), (SHARED_SIDE, SHARED_SIDE)),
        4: tuple((x, y) for y in (0, SHARED_SIDE) for x in (0, SHARED_SIDE)),
    }[item.count]
    return [Slot(item, x, y, SHARED_SIDE, stands=False) for x, y in corners]
