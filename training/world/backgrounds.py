"""What is behind the things: a few slightly different paintings of each, kept once they are painted."""

from functools import lru_cache

import numpy as np
from PIL import Image

from infinity.world.scene import Background, Scene
from training.world.brushes import mix
from training.world.canvas import Canvas
from training.world.color import BACKGROUNDS
from training.world.places import PLACES

USUAL = Background(kind="plain", names=("light blue",))
"""What a picture has that is asked for without a background."""
VARIANTS = 3
PAINTED_KEPT = 512


def background_of(scene: Scene) -> Background:
    return scene.background or USUAL


def painted(background: Background, size: tuple[int, int], rng: np.random.Generator) -> Image.Image:
    """One of the paintings of a background, RGB, of a width and height."""
    return paint(background, size, int(rng.integers(VARIANTS)))


def paint(background: Background, size: tuple[int, int], variant: int) -> Image.Image:
    """The painting of that number, from 0."""
    return _painted(background, size, variant).copy()


@lru_cache(PAINTED_KEPT)
def _painted(background: Background, size: tuple[int, int], variant: int) -> Image.Image:
    canvas, rng = Canvas(*size), np.random.default_rng(variant)
    first, *others = background.names
    if background.kind == "place":
        PLACES[first].paint(canvas, rng)
    elif background.kind == "gradient":
        canvas.fill(BACKGROUNDS[first], BACKGROUNDS[others[0]])
    else:
        color = BACKGROUNDS[first]
        canvas.fill(color)
        canvas.glow(0.5, 0.45, 0.75, 0.75, mix(color, (255, 255, 255), 0.35), 0.5)
    return canvas.finish()
