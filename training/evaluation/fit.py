"""How well a thing's art fits a place of a picture, pixel by pixel.

The art is laid over what surrounds it, and the edges of that are compared with the picture's: the share
of them that the picture has, and nothing besides. Blurred, coarse, warped or melted things have soft
or other edges, whatever their colors. No judge was trained for it: there is nothing to fool.
"""

from dataclasses import dataclass
from functools import cache

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from training.evaluation.search import Place, Pose, gradient, tensor

MARGIN = 5
"""Pixels around the art of which the ground is told, and in which its outline must be seen."""
BLOCK, SLIP = 12, 1
"""Each block of so many pixels may be off by one: half a percent of the picture."""
COARSE_FROM = 32
"""Width in pixels from which a thing is first fitted at half its size."""
ROUNDS = (
    (2, 4, (0.91, 0.95, 1.0, 1.05, 1.1)),
    (1, 3, (0.96, 0.98, 1.0, 1.02, 1.04)),
    (1, 2, (0.99, 1.0, 1.01)),
)
"""Reduction of the picture, farthest move in its pixels, and sizes to try, of a round of fitting."""

HOPELESS = 0.3
"""A place where edges are less alike than this, of at most 1, is not fitted further."""


@dataclass(frozen=True)
class Fit:
    """Art laid over a picture.

    Attributes:
        x, y: of the upper left corner, in pixels.
        art: RGBA, (4, height, width) in [0, 1].
        edges: share of its edges that the picture has, at most 1; below 0 it has others.
        misses: mean distance of the colors, (height, width), from what is shown there, slightly blurred.
    """

    pose: Pose
    x: int
    y: int
    art: Tensor
    edges: float
    misses: Tensor

    @property
    def width(self) -> int:
        return self.art.shape[2]

    @property
    def height(self) -> int:
        return self.art.shape[1]

    def difference(self) -> float:
        """Mean distance of the colors in [0, 1] where the art is opaque."""
        return float((self.misses * self.art[3]).sum() / self.art[3].sum())

    def hides(self, other: "Fit", otherwise: bool) -> bool:
        """Whether it is this art that is seen where both are opaque; ``otherwise`` where nothing is."""
        x0, y0 = max(self.x, other.x), max(self.y, other.y)
        x1 = min(self.x + self.width, other.x + other.width)
        y1 = min(self.y + self.height, other.y + other.height)
        if x0 >= x1 or y0 >= y1:
            return otherwise
        mine, its = (
            layer[y0 - one.y : y1 - one.y, x0 - one.x : x1 - one.x]
            for one in (self, other)
            for layer in (torch.stack((one.art[3], one.misses), -1),)
        )
        both = (mine[..., 0] * its[..., 0] > 0.9).float()
        if both.sum() < 4:
            return otherwise
        return bool((mine[..., 1] * both).sum() < (its[..., 1] * both).sum())


def fit(picture: Image.Image, place: Place) -> Fit | None:
    """The art of a place, moved and scaled to where it fits best; None where it nowhere nearly does."""
    full = tensor(picture)
    middle_x, middle_y = place.x + place.width / 2, place.y + place.height / 2
    width, pose = place.width, place.pose
    for reduction, farthest, sizes in ROUNDS:
        if width < COARSE_FROM and reduction > 1:
            reduction, farthest = 1, 2 * farthest
        seen = full if reduction == 1 else tensor(picture.reduce(reduction))
        best = -1.0
        center = middle_x, middle_y, width
        for size in sizes:
            art = scaled(pose, max(4, round(center[2] * size / reduction)))
            high, wide = art.shape[1:]
            x, y = round(center[0] / reduction - wide / 2), round(center[1] / reduction - high / 2)
            alike, dx, dy = _moved(seen, art, x, y, farthest)
            if alike > best:
                best, width = alike, wide * reduction
                middle_x, middle_y = (
                    (x + dx + wide / 2) * reduction,
                    (y + dy + high / 2) * reduction,
                )
        if best < HOPELESS:
            return None
    art = scaled(pose, round(width))
    x, y = round(middle_x - art.shape[2] / 2), round(middle_y - art.shape[1] / 2)
    return at(full, pose, art, x, y)


def at(full: Tensor, pose: Pose, art: Tensor, x: int, y: int) -> Fit:
    """Art laid there, moved no more; ``full`` is the picture, (3, height, width) in [0, 1]."""
    seen = _window(full, art, x, y, MARGIN)
    laid, outline = _laid_over(seen, art, MARGIN)
    wanted, shown = gradient(laid) * outline, gradient(seen) * outline
    off = torch.stack(
        [
            _blocks((shown.roll((dy, dx), (1, 2)) - wanted).abs().square().sum(0))
            for dy in range(-SLIP, SLIP + 1)
            for dx in range(-SLIP, SLIP + 1)
        ]
    )
    energy = _blocks(wanted.abs().square().sum(0)).clamp(min=1e-6)
    share = (1 - off.amin(0) / energy).clamp(min=-1)
    edges = float((share * energy).sum() / energy.sum())
    misses = blur(seen - laid, 1.5).abs().mean(0)[MARGIN:-MARGIN, MARGIN:-MARGIN]
    return Fit(pose, x, y, art, edges, misses)


def scaled(pose: Pose, width: int) -> Tensor:
    """The art as (4, height, width) in [0, 1]."""
    height = max(1, round(width * pose.art.shape[0] / pose.art.shape[1]))
    size = (width, height)
    return tensor(
        Image.fromarray(pose.art).resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
    )


def _moved(full: Tensor, art: Tensor, x: int, y: int, farthest: int) -> tuple[float, int, int]:
    """How alike the edges are, at most 1, where they are most alike, and how far that is."""
    seen = _window(full, art, x, y, farthest + MARGIN)
    laid, outline = _laid_over(seen[:, farthest:-farthest, farthest:-farthest], art, MARGIN)
    wanted, shown = (
        torch.view_as_real(gradient(c)).movedim(-1, 1).flatten(0, 1) for c in (laid, seen)
    )
    wanted = wanted * outline
    alike = F.conv2d(shown[None], wanted[None])[0, 0]
    energy = F.conv2d(shown.square().sum(0)[None, None], outline[None])[0, 0].clamp(min=1e-6)
    alike = alike / (energy * wanted.square().sum()).sqrt()
    dy, dx = divmod(int(alike.argmax()), alike.shape[1])
    return float(alike.max()), dx - farthest, dy - farthest


def _laid_over(seen: Tensor, art: Tensor, margin: int) -> tuple[Tensor, Tensor]:
    """The art over what is seen around it, (3, y, x), and where its edges are, (1, y, x) of 0 and 1."""
    padded = F.pad(art, (margin,) * 4)
    alpha = padded[3:]
    near = F.max_pool2d(alpha[None], 5, 1, 2)[0]
    free = (near < 0.02).float()
    around = torch.cat((seen * free, free))
    sums = blur(around, 2.5) + 1e-3 * around.mean((1, 2), keepdim=True)
    ground = (sums[:3] + 1e-6 * seen) / (sums[3:] + 1e-6)
    return alpha * padded[:3] + (1 - alpha) * ground, 1 - free


def _window(full: Tensor, art: Tensor, x: int, y: int, margin: int) -> Tensor:
    """The picture under the art and a margin; beyond its rim, the rim."""
    rows = torch.arange(y - margin, y + art.shape[1] + margin).clamp(0, full.shape[1] - 1)
    columns = torch.arange(x - margin, x + art.shape[2] + margin).clamp(0, full.shape[2] - 1)
    return full[:, rows[:, None], columns]


def _blocks(values_yx: Tensor) -> Tensor:
    height, width = values_yx.shape
    padded = F.pad(values_yx, (0, -width % BLOCK, 0, -height % BLOCK))
    return F.avg_pool2d(padded[None, None], BLOCK)[0, 0]


def blur(layers: Tensor, sigma: float) -> Tensor:
    """Gaussian, (C, y, x); black outside."""
    kernel = _kernel(sigma)
    reach, channels = len(kernel) // 2, len(layers)
    for shape in ((1, 1, 1, -1), (1, 1, -1, 1)):
        row = kernel.view(shape).expand(channels, -1, -1, -1)
        pad = (reach * (shape[2] == -1), reach * (shape[3] == -1))
        layers = F.conv2d(layers[None], row, padding=pad, groups=channels)[0]
    return layers


@cache
def _kernel(sigma: float) -> Tensor:
    reach = int(3 * sigma + 1)
    kernel = torch.exp(-torch.arange(-reach, reach + 1.0).square() / (2 * sigma**2))
    return kernel / kernel.sum()
