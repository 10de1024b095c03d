"""What the default model's transformer learns from: kept pictures, each time in other words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from training.train_transformer import Example
from training.world.captions import caption
from training.world.sampling import Stage, sample_scene
from training.world.world import World

TRAIN_SEED, HELD_OUT_SEED = 1, 2
PICTURE_SEEDS: dict[Stage, int] = {"single": 3, "full": 4}


def still(world: World, size: int, stage: Stage, index: int) -> np.ndarray:
    """uint8 (size, size, 3): a picture whose features are kept."""
    return world.example(PICTURE_SEEDS[stage], index, size=size, stage=stage).image


def held_out(world: World, size: int, index: int) -> Example:
    """A picture and caption that no training has."""
    stage: Stage = "full" if index % 5 else "single"
    drawn = world.example(HELD_OUT_SEED, index, size=size, stage=stage)
    return drawn.image, drawn.caption


class Lessons:
    """index -> example. Mostly one object a picture at first; later mostly the full grammar.

    Args:
        latents: features of the pictures :func:`still` draws, in files of one length.
        early: examples until mostly the full grammar is shown.
    """

    def __init__(
        self, world: World, latents: Mapping[Stage, Sequence[np.ndarray]], early: int
    ) -> None:
        self.world, self.latents, self.early = world, latents, early

    def __call__(self, index: int) -> Example:
        rng = np.random.default_rng((TRAIN_SEED, index))
        stage: Stage = "full" if rng.random() < (0.3 if index < self.early else 0.8) else "single"
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
        return files[which][row].astype(np.float32), caption(scene, rng)
