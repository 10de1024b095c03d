"""Where things go: one large object, rows, triangles, squares, and clear positions.

All numbers are fractions of the picture's side, y down. Layouts depend on the scene in a fixed
way with a little jitter, so that they are easy to learn and easy to examine.
"""

from dataclasses import dataclass

import numpy as np

from training.world.scene import Scene, SceneObject

WIDE_ALLOWANCE = 1.15  # a single wide object may exceed the extent of its slot by this much
HALF_WIDTH = 0.45  # widest of two objects side by side
MARGIN = 0.03


@dataclass(frozen=True)
class Slot:
    """Room for one object: centre, greatest height and greatest width.

    `stands` tells that it may rest on the ground, should the place have one.
    """

    item: SceneObject
    x: float
    y: float
    height: float
    width: float
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
    def centre(self) -> tuple[float, float]:
        """Middle of the box in pixels, x and y."""
        return self.x0 + self.width / 2, self.y0 + self.height / 2


def slots(scene: Scene, rng: np.random.Generator) -> list[Slot]:
    """The slots of a scene, back to front."""
    if len(scene.objects) == 2:
        return _pair(scene, rng)
    (item,) = scene.objects
    if item.count == 1:
        low, high = {"little": (0.36, 0.44), "normal": (0.64, 0.78), "big": (0.86, 0.92)}[item.size]
        x, y = 0.5 + rng.uniform(-0.04, 0.04, 2)
        extent = rng.uniform(low, high)
        return [Slot(item, x, y, extent, min(extent * WIDE_ALLOWANCE, 1.0 - 2 * MARGIN))]
    return _several(item, rng)


def place(
    slot: Slot, sprite_size: tuple[int, int], size: int, *, floor: float | None, floats: bool
) -> Box:
    """Fit a sprite of (width, height) into its slot, on the floor if both have to do with one."""
    width, height = sprite_size
    factor = min(slot.height / height, slot.width / width)
    width, height = factor * width, factor * height
    ground = floor if slot.stands and not floats else None
    bottom = slot.y + height / 2 if ground is None else ground + (slot.y - 0.5) * 0.5
    bottom = min(max(bottom, MARGIN + height), 1.0 - MARGIN)
    x0 = min(max(slot.x - width / 2, MARGIN), 1.0 - MARGIN - width)
    return Box(
        slot.item,
        round(x0 * size),
        round((bottom - height) * size),
        max(1, round(width * size)),
        max(1, round(height * size)),
        ground is not None,
    )


def _pair(scene: Scene, rng: np.random.Generator) -> list[Slot]:
    """Two objects beside each other (the first on the left, unless it is "right of") or stacked."""
    first, second = scene.objects
    extent = rng.uniform(0.42, 0.46)
    jitter = rng.uniform(-0.02, 0.02, 4)
    if first.relation in ("above", "below"):
        upper, lower = (first, second) if first.relation == "above" else (second, first)
        return [
            Slot(
                upper,
                0.5 + 2 * jitter[0],
                0.265 + 0.5 * jitter[1],
                extent,
                1.5 * extent,
                stands=False,
            ),
            Slot(
                lower,
                0.5 + 2 * jitter[2],
                0.735 + 0.5 * jitter[3],
                extent,
                1.5 * extent,
                stands=False,
            ),
        ]
    left, right = (second, first) if first.relation == "right of" else (first, second)
    return [
        Slot(left, 0.26 + jitter[0] / 2, 0.5 + jitter[1], extent, HALF_WIDTH),
        Slot(right, 0.74 + jitter[2] / 2, 0.5 + jitter[3], extent, HALF_WIDTH),
    ]


def _several(item: SceneObject, rng: np.random.Generator) -> list[Slot]:
    """Two in a row, three in a triangle, four in a square."""
    centres = {
        2: ((0.26, 0.5), (0.74, 0.5)),
        3: ((0.5, 0.27), (0.27, 0.73), (0.73, 0.73)),
        4: ((0.27, 0.27), (0.73, 0.27), (0.27, 0.73), (0.73, 0.73)),
    }[item.count]
    extent = rng.uniform(0.38, 0.42) if item.count > 2 else rng.uniform(0.42, 0.46)
    jitter = rng.uniform(-0.015, 0.015, (item.count, 2))
    return [
        Slot(item, x + dx, y + dy, extent, HALF_WIDTH, stands=item.count == 2)
        for (x, y), (dx, dy) in zip(centres, jitter, strict=True)
    ]
