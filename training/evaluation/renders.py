"""True renders of exam prompts: what a perfect generator would draw, to measure the judge itself."""

from dataclasses import replace
from typing import cast

import numpy as np
from PIL import Image

from infinity.world.scene import Background, Relation, Scene, Thing
from training.evaluation.prompts import ExamPrompt, Wanted
from training.world.color import BACKGROUNDS
from training.world.concepts import CONCEPTS
from training.world.places import PLACES
from training.world.sampling import MOST_COUNT, MOST_OF_EACH
from training.world.world import World

SIZES = {"1:1": (256, 256), "3:2": (320, 208), "2:3": (208, 320)}
"""Ratio -> width and height in pixels."""
SEED = 991
"""Neither the generator's nor the judge's training seeds."""


def scene_of(prompt: ExamPrompt, world: World) -> Scene:
    """A scene that answers the prompt; what it leaves open is drawn as usual.

    Raises:
        ValueError: the prompt asks for what this world does not draw: none or over three kinds of
            objects, or too many of one.
    """
    wanted = list(prompt.include)
    most = MOST_COUNT if len(wanted) == 1 else MOST_OF_EACH
    if not 1 <= len(wanted) <= 3 or any(item.count > most for item in wanted):
        raise ValueError(f"this world cannot draw {prompt.prompt!r}")
    things = [_thing(item) for item in wanted]
    relation: Relation = "and"
    for place, item in enumerate(wanted):
        if item.position is not None:  # it comes first, then what it is related to
            relation, other = cast("tuple[Relation, int]", item.position)
            first = things.pop(place)
            things = [first, *things[other:], *things[:other]]
    things[:-1] = [
        replace(thing, relation="and" if place else relation)
        for place, thing in enumerate(things[:-1])
    ]
    background = None
    if prompt.scene is not None:
        names = tuple(prompt.scene.split(" to "))
        if prompt.scene in PLACES:
            background = Background(kind="place", names=(prompt.scene,))
        elif set(names) <= set(BACKGROUNDS):
            background = Background(kind="plain" if len(names) == 1 else "gradient", names=names)
    style = prompt.style or world.styles[0]
    return Scene(things=tuple(things), background=background, style=style)


def _thing(item: Wanted) -> Thing:
    return Thing(
        name=item.concept,
        count=item.count,
        color=item.color if CONCEPTS[item.concept].colorable else None,
        size=item.size,
        spot=item.spot,
        facing=item.facing,
    )


def render(prompt: ExamPrompt, world: World, index: int) -> Image.Image:
    """A picture that answers the prompt, the same for the same index.

    Raises:
        ValueError: as :func:`scene_of`.
    """
    rng = np.random.default_rng((SEED, index))
    return world.draw(scene_of(prompt, world), SIZES[prompt.ratio], rng)[0]
