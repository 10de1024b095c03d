"""Two-dimensional rotary positions: the position of a token in the picture, at any scale.

Half of a head's channel pairs turn with the row, half with the column. Every scale is spread over
the schedule's rope grid, so that tokens of different scales at one place of the picture get nearly
the same angles. Upstream checkpoint format; paper section 3.2.

Shapes: L tokens, p channel pairs of a head (head width / 2), f = p / 2 frequencies an axis.
"""

from functools import lru_cache
from typing import Literal

import torch
import torch.nn.functional as F
from einops import rearrange, repeat
from torch import Tensor

from infinity.schedule import Scale, ScaleSchedule

BASE = 10000.0
BILINEAR_GRID_SIDE = 128
"""Positions of the longer side of the grid that "bilinear" resizes (upstream's constant)."""

Rope = Literal["nearest", "bilinear", "corner"]


@lru_cache(maxsize=32)
def rope_table(
    schedule: ScaleSchedule, head_width: int, mode: Rope, device: torch.device | str = "cpu"
) -> Tensor:
    """Rotations of every token of a schedule, scale after scale, each scale row by row.

    Args:
        schedule: scales, and the rope grid they are spread over.
        head_width: channels of a head, a multiple of 4.
        mode: "nearest" takes the grid position nearest to the token's place; "bilinear" resizes the
            grid's cosines and sines (so they are not of unit length); "corner" takes the scale's
            own row and column, whatever its size.

    Returns:
        (L, p) complex64, cos + i sin: first the row's f frequencies, then the column's. Shared
        between callers: never change it in place.
    """
    # A table first needed while generating must still serve training later.
    with torch.inference_mode(False):
        parts = [_scale_table(scale, schedule.rope_grid, head_width, mode) for scale in schedule]
        return torch.cat(parts).to(device)


def rotate_(x: Tensor, table: Tensor) -> Tensor:
    """Turns channel pairs (2i, 2i + 1) by the table's angles, in place.

    Args:
        x: (..., head width) float32, last dimension contiguous.
        table: (..., p) complex64, broadcast against x's pairs.
    """
    torch.view_as_complex(x.unflatten(-1, (-1, 2))).mul_(table)
    return x


def _scale_table(scale: Scale, grid: Scale, head_width: int, mode: Rope) -> Tensor:
    axes = []
    for side, grid_side in ((scale.height, grid.height), (scale.width, grid.width)):
        if mode == "bilinear":
            finest = int(BILINEAR_GRID_SIDE / max(grid.height, grid.width) * grid_side)
            axes.append(_resized_rotations(side, finest, head_width))
        else:
            ratio = grid_side / side if mode == "nearest" else 1.0
            axes.append(_rotations(side, head_width, ratio))
    rows = repeat(axes[0], "h f -> h w f", w=scale.width)
    columns = repeat(axes[1], "w f -> h w f", h=scale.height)
    return rearrange(torch.cat((rows, columns), dim=-1), "h w p -> (h w) p")


def _rotations(count: int, head_width: int, ratio: float = 1.0) -> Tensor:
    """Of every ``ratio``-th position, rounded: (count, f) complex64."""
    positions = (torch.arange(count, dtype=torch.float32, device="cpu") * ratio).round()
    half = head_width // 2
    exponents = torch.arange(0, half, 2, dtype=torch.float32, device="cpu") / half
    angles = torch.outer(positions, 1.0 / BASE**exponents)
    return torch.complex(angles.cos(), angles.sin())


def _resized_rotations(count: int, grid_side: int, head_width: int) -> Tensor:
    """The grid side's rotations resized linearly to ``count``, corners kept: (count, f) complex64."""
    grid = torch.view_as_real(_rotations(grid_side, head_width))
    flat = rearrange(grid, "n f c -> 1 (f c) n")
    resized = F.interpolate(flat, size=count, mode="linear", align_corners=True)
    return torch.view_as_complex(rearrange(resized, "1 (f c) n -> n f c", c=2).contiguous())
