"""Where a thing may be in a picture: every pose of its art is laid over a small copy of it, everywhere.

Half of what counts are the colors inside the art (normalized correlation), half the directions of the
edges inside and around it, dark on light being as good as light on dark. The products are taken in the
frequency domain, so that all places cost as much as one.

Legend: S poses and sizes, y x of the small copy, f its frequencies.
"""

import math
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from infinity.world.scene import TILTS, Tilt
from training.world.world import World

SMALL = 64
"""The small copy has as many pixels as a square of this side."""
SIZES = tuple(8 * 1.14**step for step in range(17))
"""Of the art's longer side, in pixels of the small copy."""
LEAST = 0.5
"""The least likeness, of at most 1, of a place worth fitting; of true ones one in a hundred has less."""
APART = 0.35
"""Places nearer to each other than this share of their size are one."""
FAINT = 0.05
"""Edges much fainter than this (of 1) count by their square, others by their root."""
KEPT = 8
"""Things whose poses are kept for the next picture, of about 25 MB each."""


class Pose(NamedTuple):
    """A thing's art, uint8 (height, width, 4) RGBA, as it may be turned."""

    style: str
    mirrored: bool
    tilt: Tilt
    art: np.ndarray


class Place(NamedTuple):
    """Where a pose may be, in pixels of the picture; x and y of its upper left corner."""

    pose: Pose
    x: float
    y: float
    width: float
    height: float


class _Poses(NamedTuple):
    """A pose and its size a row, and its spectra, complex (S, ., f)."""

    poses: list[tuple[Pose, int, int]]
    color: Tensor
    inside: Tensor
    edges: Tensor
    around: Tensor
    areas: Tensor


class Search:
    """Of the things of a world, in any of its styles."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._poses = lru_cache(KEPT)(self._transformed)

    def places(self, picture: Image.Image, name: str, color: str | None) -> Iterator[Place]:
        """The likeliest first; never two of nearly the same middle and size."""
        scale = math.sqrt(picture.width * picture.height) / SMALL
        width, height = round(picture.width / scale), round(picture.height / scale)
        small = tensor(picture.resize((width, height), Image.Resampling.BOX))
        known = self._poses(name, color, width, height)
        likeness = _likeness(small, known)
        for number, (_, wide, high) in enumerate(known.poses):
            likeness[number, height - high + 1 :] = likeness[number, :, width - wide + 1 :] = -1
        while float(likeness.max()) > LEAST:
            number, y, x = np.unravel_index(int(likeness.argmax()), likeness.shape)
            pose, wide, high = known.poses[number]
            yield Place(pose, x * scale, y * scale, wide * scale, high * scale)
            for other, (_, its_width, its_height) in enumerate(known.poses):
                far = APART * min(max(wide, high), max(its_width, its_height))
                rows, columns = (
                    slice(max(0, math.ceil(middle - far)), max(0, math.floor(middle + far) + 1))
                    for middle in (y + (high - its_height) / 2, x + (wide - its_width) / 2)
                )
                likeness[other, rows, columns] = -1

    def _transformed(self, name: str, color: str | None, width: int, height: int) -> _Poses:
        poses, layers = [], []
        for pose in self._all(name, color):
            art = Image.fromarray(pose.art)
            for size in SIZES:
                wide, high = (max(2, round(side * size / max(art.size))) for side in art.size)
                if wide <= width and high <= height:
                    layer = torch.zeros(4, height, width)
                    layer[:, :high, :wide] = tensor(art.resize((wide, high), Image.Resampling.BOX))
                    poses.append((pose, wide, high))
                    layers.append(layer)
        art_S4yx = torch.stack(layers)
        alpha, color_S3yx = art_S4yx[:, 3:], art_S4yx[:, :3]
        areas = alpha.sum((1, 2, 3))
        centered = alpha * (
            color_S3yx - ((alpha * color_S3yx).sum((1, 2, 3)) / (3 * areas))[:, None, None, None]
        )
        size = (centered**2 / alpha.clamp(min=1e-3)).sum((1, 2, 3), keepdim=True).sqrt()
        # One pixel from the corner, so that the outline's edges are seen; (0, 0) is the art's own again.
        around = F.max_pool2d(alpha.roll((1, 1), (2, 3)), 3, 1, 1)
        edges = sum(
            directions((alpha * color_S3yx + (1 - alpha) * ground).roll((1, 1), (2, 3)))
            for ground in (0.0, 1.0)
        )
        edges = (edges * around[:, 0]).roll((-1, -1), (1, 2))
        edges = edges / edges.abs().square().sum((1, 2), keepdim=True).sqrt()
        return _Poses(
            poses,
            spectrum(centered / size),
            spectrum(alpha[:, 0]),
            spectrum(torch.view_as_real(edges).movedim(-1, 1)),
            spectrum(around[:, 0].roll((-1, -1), (1, 2))),
            areas,
        )

    def _all(self, name: str, color: str | None) -> list[Pose]:
        return [
            Pose(style, mirrored, tilt, self._world.art(style, name, color, mirrored, tilt))
            for style in self._world.styles
            for mirrored in (False, True)
            for tilt in TILTS
        ]

    def repainted(self, pose: Pose, name: str, color: str) -> Pose:
        """The same pose of a thing in a color."""
        return pose._replace(art=self._world.art(pose.style, name, color, pose.mirrored, pose.tilt))


def _likeness(small_3yx: Tensor, known: _Poses) -> Tensor:
    """(S, y, x), at most 1: of each pose with its upper left corner there."""

    def everywhere(layers: Tensor, art: Tensor) -> Tensor:
        products = spectrum(layers) * art.conj()
        return torch.fft.irfft2(
            products if products.ndim == 3 else products.sum(1), s=small_3yx.shape[1:]
        )

    areas = known.areas[:, None, None]
    sums = everywhere(small_3yx.sum(0), known.inside)
    variance = everywhere(small_3yx.square().sum(0), known.inside) - sums**2 / (3 * areas)
    color = everywhere(small_3yx, known.color) / variance.clamp(min=4e-4 * areas).sqrt()
    edges = torch.view_as_real(directions(small_3yx)).movedim(-1, 0)
    there = everywhere(edges.square().sum(0), known.around)
    return (color + everywhere(edges, known.edges) / there.clamp(min=1e-3).sqrt()) / 2


def directions(colors: Tensor) -> Tensor:
    """Edges of pictures (..., 3, y, x) as complex (..., y, x): twice their angle, so that dark on light
    and light on dark are the same."""
    slopes = gradient(colors)
    doubled = (slopes**2 / (slopes.abs() + 1e-6)).sum(-3)
    return doubled / (doubled.abs() + FAINT).sqrt()


def gradient(colors: Tensor) -> Tensor:
    """(..., y, x) -> complex (..., y, x): the step to the right, and as imaginary part that down."""
    right = F.pad(colors.diff(dim=-1), (0, 1))
    return torch.complex(right, F.pad(colors.diff(dim=-2), (0, 0, 0, 1)))


def spectrum(layers: Tensor) -> Tensor:
    return torch.fft.rfft2(layers)


def tensor(image: Image.Image) -> Tensor:
    """-> float32 (channels, height, width) in [0, 1]."""
    return torch.from_numpy(np.asarray(image, np.float32) / 255).movedim(-1, 0)
