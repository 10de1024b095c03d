"""Scale schedules: which pyramid levels a picture is made of. The only file that counts tokens.

A *scale* is one pyramid level, ``(height, width)`` in transformer tokens. A schedule is the list of
scales from coarse to fine plus the grid that rotary positions are normalised by. For the released
models that grid is the last scale of the 1M schedule, whatever prefix of it is used.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple, Self

from infinity.errors import RequestError, quoted

PIXEL_BUDGETS: dict[str, int] = {"0.06M": 7, "0.25M": 10, "0.60M": 12, "1M": 13}
"""Pixel budget -> number of scales; a smaller budget is a prefix of a larger one (upstream table)."""

TOKEN_PIXELS = 16
"""Side in pixels of one token of the released models (stride 16, or stride 8 with 2x2 patchify)."""

# Aspect ratio, width:height -> (upstream's height/width template, scales up to 1M). Ratios that are
# each other's inverse share a row: their scales are transposed. Order is upstream's template order.
_TALL_SCALES: dict[tuple[str, float, str, float], str] = {
    ("1:1", 1.0, "1:1", 1.0): "1 2 4 6 8 12 16 20 24 32 40 48 64 / 1 2 4 6 8 12 16 20 24 32 40 48 64",
    ("4:5", 1.25, "5:4", 0.8): "1 2 3 5 10 15 20 25 30 35 45 55 70 / 1 2 3 4 8 12 16 20 24 28 36 44 56",
    ("3:4", 1.333, "4:3", 0.75): "1 2 4 8 12 16 20 24 28 36 48 60 72 / 1 2 3 6 9 12 15 18 21 27 36 45 54",
    ("2:3", 1.5, "3:2", 0.666): "1 2 3 6 9 15 21 27 33 39 48 63 78 / 1 2 2 4 6 10 14 18 22 26 32 42 52",
    ("4:7", 1.75, "7:4", 0.571): "1 2 3 7 11 14 21 28 35 42 56 70 84 / 1 2 3 4 6 8 12 16 20 24 32 40 48",
    ("1:2", 2.0, "2:1", 0.5): "1 2 4 6 10 16 22 30 38 46 60 74 90 / 1 2 2 3 5 8 11 15 19 23 30 37 45",
    ("2:5", 2.5, "5:2", 0.4): "1 2 5 10 15 20 25 30 40 50 65 80 100 / 1 2 2 4 6 8 10 12 16 20 26 32 40",
    ("1:3", 3.0, "3:1", 0.333): "1 2 6 9 15 21 27 36 45 54 72 90 111 / 1 2 2 3 5 7 9 12 15 18 24 30 37",
}  # fmt: skip


MOST_TOKENS = 10_000
"""A side; no schedule ever has as many."""


class Scale(NamedTuple):
    """One pyramid level: ``height`` x ``width`` transformer tokens."""

    height: int
    width: int

    @property
    def tokens(self) -> int:
        return self.height * self.width

    def __str__(self) -> str:
        return f"{self.height}x{self.width}"


@dataclass(frozen=True)
class ScaleSchedule:
    """The scales of one picture, coarse to fine.

    Args:
        scales: at least one level; neither side may shrink from one level to the next.
        rope_grid: (height, width) that rotary positions are normalised by; never smaller than the
            last scale. Defaults to the last scale.

    Raises:
        RequestError: a side below 1, shrinking scales, or a rope grid smaller than the last scale.
    """

    scales: tuple[Scale, ...]
    rope_grid: Scale

    def __init__(
        self, scales: Sequence[tuple[int, int]], rope_grid: tuple[int, int] | None = None
    ) -> None:
        if not scales:
            raise RequestError("A scale schedule needs at least one scale.")
        levels = tuple(map(_scale, scales))
        for smaller, larger in pairwise(levels):
            if larger.height < smaller.height or larger.width < smaller.width:
                raise RequestError(
                    f"Scales must not shrink: {larger} follows {smaller}; list them from coarse to "
                    "fine."
                )
        last, grid = levels[-1], _scale(rope_grid or levels[-1])
        if grid.height < last.height or grid.width < last.width:
            raise RequestError(
                f"The rope grid {grid} is smaller than the last scale {last}; make it at least as "
                "large."
            )
        object.__setattr__(self, "scales", levels)
        object.__setattr__(self, "rope_grid", grid)

    def __len__(self) -> int:
        return len(self.scales)

    def __iter__(self) -> Iterator[Scale]:
        return iter(self.scales)

    def __getitem__(self, index: int) -> Scale:
        return self.scales[index]

    @property
    def total_tokens(self) -> int:
        return sum(scale.tokens for scale in self.scales)

    def span(self, index: int) -> slice:
        """Token positions of scale ``index`` in the whole sequence."""
        start = sum(scale.tokens for scale in self.scales[:index])
        return slice(start, start + self.scales[index].tokens)

    def latent_size(self, index: int, patch: int) -> tuple[int, int]:
        """Latent (height, width) of a scale; ``patch`` is 2 with 2x2 patchify, else 1."""
        scale = self.scales[index]
        return scale.height * patch, scale.width * patch

    def image_size(self, token_pixels: int) -> tuple[int, int]:
        """Picture (height, width) in pixels of the last scale."""
        return self.scales[-1].height * token_pixels, self.scales[-1].width * token_pixels

    def prefix(self, length: int) -> Self:
        """The first ``length`` scales with the same rope grid.

        Raises:
            RequestError: ``length`` is not between 1 and the number of scales.
        """
        if not 1 <= length <= len(self.scales):
            raise RequestError(f"A prefix has 1 to {len(self.scales)} scales, not {length}.")
        return type(self)(self.scales[:length], self.rope_grid)

    def to_dict(self) -> dict[str, Any]:
        return {"scales": [list(scale) for scale in self.scales], "rope_grid": list(self.rope_grid)}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        return cls(data["scales"], data["rope_grid"])


def _scale(level: tuple[int, int]) -> Scale:
    scale = Scale(*map(_side, level))
    if not all(0 < side <= MOST_TOKENS for side in scale):
        raise RequestError(
            f"A scale needs at least one token a side and at most {MOST_TOKENS}, not "
            f"{quoted(tuple(scale))}."
        )
    return scale


def _side(value: int | str) -> int:
    """A whole number; as text too, which YAML gives. Raises TypeError or ValueError."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise TypeError(f"a side is a whole number, not {quoted(value)}")
    return int(value)


def _build_table() -> tuple[dict[str, tuple[Scale, ...]], dict[str, float]]:
    scales: dict[str, tuple[Scale, ...]] = {}
    templates: dict[str, float] = {}
    for (tall, tall_ratio, wide, wide_ratio), text in _TALL_SCALES.items():
        heights, widths = ([int(side) for side in part.split()] for part in text.split("/"))
        for name, ratio, pairs in (
            (tall, tall_ratio, zip(heights, widths, strict=True)),
            (wide, wide_ratio, zip(widths, heights, strict=True)),
        ):
            scales[name] = tuple(Scale(*pair) for pair in pairs)
            templates[name] = ratio
    return scales, templates


_SCALES, HEIGHT_OVER_WIDTH = _build_table()
ASPECT_RATIOS: tuple[str, ...] = tuple(_SCALES)
"""The fifteen aspect ratios, written width:height, in upstream's order."""


def schedule_for(aspect_ratio: str, pixel_budget: str) -> ScaleSchedule:
    """The released models' schedule for an aspect ratio ("3:2") and a pixel budget ("0.25M").

    Raises:
        RequestError: unknown aspect ratio or pixel budget.
    """
    if aspect_ratio not in _SCALES:
        raise RequestError(
            f"Unknown aspect ratio {quoted(aspect_ratio)}; choose one of {', '.join(ASPECT_RATIOS)}."
        )
    if pixel_budget not in PIXEL_BUDGETS:
        raise RequestError(
            f"Unknown pixel budget {quoted(pixel_budget)}; choose one of {', '.join(PIXEL_BUDGETS)}."
        )
    return ScaleSchedule(_SCALES[aspect_ratio], _SCALES[aspect_ratio][-1]).prefix(
        PIXEL_BUDGETS[pixel_budget]
    )


def heights_over_widths(schedules: Mapping[str, ScaleSchedule]) -> dict[str, float]:
    """Aspect ratio -> height over width: upstream's rounded templates, else the last scale's."""
    return {
        ratio: HEIGHT_OVER_WIDTH.get(ratio, schedule[-1].height / schedule[-1].width)
        for ratio, schedule in schedules.items()
    }


def nearest_aspect_ratio(
    height: float, width: float, schedules: Mapping[str, ScaleSchedule] | None = None
) -> str:
    """The aspect ratio nearest to a picture's size: of a model's, or of upstream's table.

    Nearest by plain difference of height/width, the first of equals winning (upstream's rule).

    Raises:
        RequestError: a side that is not a positive finite number.
    """
    if not (math.isfinite(height) and math.isfinite(width) and height > 0 and width > 0):
        raise RequestError(f"A picture size must be positive, not {height}x{width}.")
    known = HEIGHT_OVER_WIDTH if schedules is None else heights_over_widths(schedules)
    return min(known, key=lambda name: abs(known[name] - height / width))
