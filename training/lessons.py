"""What the default model's transformer learns from: kept pictures, each time in other words, then new ones."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from training.train_transformer import Example
from training.world.captions import caption
from training.world.filler import with_filler
from training.world.sampling import Stage, pick_by_share, sample_scene
from training.world.world import World

TRAIN_SEED, HELD_OUT_SEED, FRESH_SEED = 1, 2, 6
PICTURE_SEEDS: dict[Stage, int] = {"single": 3, "full": 4, "composed": 5}
Curriculum = Sequence[tuple[int, Mapping[Stage, float]]]
"""Shares of the stages from an example on, in order; the first from example 0."""


def still(world: World, size: int, stage: Stage, index: int) -> np.ndarray:
    """uint8 (size, size, 3): a picture whose features are kept."""
    return world.example(PICTURE_SEEDS[stage], index, size=size, stage=stage).image


def held_out(world: World, size: int, index: int) -> Example:
    """A picture and caption that no training has."""
    stage: Stage = "full" if index % 5 else "single"
    drawn = world.example(HELD_OUT_SEED, index, size=size, stage=stage)
    return drawn.image, drawn.caption


class Lessons:
    """index -> example, of stages that follow a curriculum.

    Args:
        latents: features of the pictures :func:`still` draws, in files of one length.
        size: pixels a side of pictures drawn anew.
        fresh_from: from this example on, every picture is drawn anew and seen once.
    """

    def __init__(
        self,
        world: World,
        latents: Mapping[Stage, Sequence[np.ndarray]],
        curriculum: Curriculum,
        size: int,
        fresh_from: float = math.inf,
    ) -> None:
        self.world, self.latents, self.curriculum = world, latents, curriculum
        self.size, self.fresh_from = size, fresh_from

    def __call__(self, index: int) -> Example:
        rng = np.random.default_rng((TRAIN_SEED, index))
        shares = [shares for start, shares in self.curriculum if start <= index][-1]
        stage = pick_by_share(rng, shares)
        if index >= self.fresh_from:
            drawn = self.world.example(FRESH_SEED, index, size=self.size, stage=stage)
            return drawn.image, with_filler(drawn.caption, rng)
        files = self.latents[stage]
        number = int(rng.integers(len(files) * len(files[0])))
        scene = sample_scene(
            np.random.default_rng((PICTURE_SEEDS[stage], number)),
            concepts=self.world.concepts,
            styles=self.world.styles,
            stage=stage,
            split="train",
        )
        which, row = divmod(number, len(files[0]))
        return files[which][row].astype(np.float32), with_filler(caption(scene, rng), rng)
