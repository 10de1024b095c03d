"""The recipe of the shipped default model, one resumable step after another.

``python -m training.default_model all`` rebuilds everything; a step's name runs that step alone.
A killed step continues when its command is run again.
"""

from __future__ import annotations

import argparse
import logging
from functools import cache, partial
from pathlib import Path

import numpy as np
import torch

from infinity.config import TokenizerConfig
from infinity.tokenizer.tokenizer import Tokenizer
from training.train_tokenizer import TokenizerTraining, train_tokenizer
from training.world.sampling import Stage
from training.world.world import Example, World

logger = logging.getLogger(__name__)

WORLD = Path("data/world")
RUNS = Path("runs/default")
SIZE = 192
SCALES = tuple((side, side) for side in (1, 2, 3, 4, 6, 9, 12))
TRAIN_SEED, HELD_OUT_SEED = 1, 2

CONCEPTS = tuple(
    """dog, cat, rabbit, fox, bear, panda, tiger, lion, cow, pig, frog, monkey, chicken, penguin, duck,
    owl, unicorn, butterfly, turtle, octopus, fish, whale, elephant, giraffe, apple, banana, orange,
    watermelon, strawberry, pineapple, carrot, mushroom, hamburger, pizza, donut, birthday cake,
    ice cream, cup of coffee, car, bus, truck, bicycle, train, airplane, rocket, flying saucer,
    sailboat, balloon, gift, crown, guitar, soccer ball, umbrella, teddy bear, top hat, heart, house,
    castle, tree, cactus, flower, sunflower, pumpkin, rainbow, sun, moon, star, fire, snowman, robot,
    alien, ghost, dragon, wizard, smiley""".replace("\n", " ").split(",")
)
CONCEPTS = tuple(" ".join(name.split()) for name in CONCEPTS)
"""What the first default model knows; the world holds more."""

TOKENIZER = TokenizerTraining(
    model=TokenizerConfig(
        bits=24, base_channels=48, channel_multipliers=(1, 2, 4), num_res_blocks=1, stem_patch=4
    ),
    scales=SCALES,
    steps=3400,
)


@cache
def world() -> World:
    return World.load(WORLD, concepts=CONCEPTS)


def example(index: int, *, seed: int, stage: Stage) -> Example:
    return world().example(seed, index, size=SIZE, stage=stage)


def picture(index: int, *, seed: int) -> np.ndarray:
    """uint8 (192, 192, 3): the tokenizer sees the full grammar."""
    return example(index, seed=seed, stage="full").image


def tokenizer_step() -> Tokenizer:
    held_out = np.stack([picture(i, seed=HELD_OUT_SEED) for i in range(96)])
    return train_tokenizer(
        TOKENIZER,
        partial(picture, seed=TRAIN_SEED),
        torch.from_numpy(held_out).permute(0, 3, 1, 2),
        RUNS / "tokenizer",
    )


STEPS = {"tokenizer": tokenizer_step}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("step", choices=["all", *STEPS])
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_flush_denormal(True)
    for name, step in STEPS.items():
        if arguments.step in ("all", name):
            logger.info("step: %s", name)
            step()


if __name__ == "__main__":
    main()
