"""How far apart the pictures of one prompt lie, seed by seed, beside true renders."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from PIL import Image

from infinity.pipeline import InfinityPipeline
from infinity.scoring.judge import Judge
from training.drawing import draw
from training.evaluation.renders import SEED, SIZES
from training.world.sampling import sample_scene
from training.world.world import World

OPEN = ("cat", "dog", "car", "butterfly", "house", "guitar", "rocket", "teddy bear")
"""Each asked for by its name alone."""
SEEDS = 16


def spread(pipeline: InfinityPipeline, judge: Judge, world: World, preset: str) -> dict[str, float]:
    """Of drawn pictures over that of true ones: in a judge's features, and in pixels."""
    wanted = [(f"a {name}", seed) for name in OPEN for seed in range(SEEDS)]
    drawn = [*draw(pipeline, wanted, SEEDS, preset)]
    true = [rendered(world, name, seed) for name in OPEN for seed in range(SEEDS)]
    measures: dict[str, Callable[[Sequence[Image.Image]], np.ndarray]] = {
        "features": lambda images: np.stack([one.features for one in judge.see(images)]),
        "pixels": _pixels,
    }
    of_both = {name: (apart(drawn, by), apart(true, by)) for name, by in measures.items()}
    return {name: own / other for name, (own, other) in of_both.items()}


def rendered(world: World, name: str, seed: int) -> Image.Image:
    """A true picture of a thing in its own color, all else as the world shows single things."""
    rng = np.random.default_rng((SEED, OPEN.index(name), seed))
    scene = sample_scene(rng, concepts=(name,), styles=world.styles, stage="single", split="train")
    scene = replace(scene, things=(replace(scene.things[0], color=None),))
    return world.draw(scene, SIZES["1:1"], rng)[0]


def apart(
    images: Sequence[Image.Image], by: Callable[[Sequence[Image.Image]], np.ndarray]
) -> float:
    """Root of the mean square distance from the mean of each prompt's pictures."""
    groups = [by(images[start : start + SEEDS]) for start in range(0, len(images), SEEDS)]
    return float(np.sqrt(np.mean([np.square(one - one.mean(0)).mean() for one in groups])))


def _pixels(images: Sequence[Image.Image]) -> np.ndarray:
    small = [image.resize((64, 64), Image.Resampling.BOX) for image in images]
    return np.stack([np.asarray(image, np.float64) for image in small])
