"""True renders of exam prompts: what a perfect generator would draw, to measure the judge itself.

Also their spoiled copies (objects blurred beyond recognition, or swapped for another of the same
colour and size), which the judge must refuse.
"""

from dataclasses import replace
from functools import cache

import numpy as np
from PIL import Image

from infinity.world.scene import Background, Scene, Thing
from training.evaluation.judge_training import spoil
from training.evaluation.prompts import ExamPrompt
from training.world.color import BACKGROUNDS
from training.world.concepts import CONCEPTS
from training.world.world import World

SIZE = 192
MOST = 4
"""Things of one kind in a picture."""
SEED = 991
"""Neither the generator's nor the judge's training seeds."""


def scene_of(prompt: ExamPrompt, world: World) -> Scene:
    """A scene that answers the prompt.

    What the prompt leaves open is drawn as usual.

    Raises:
        ValueError: the prompt asks for what this world does not draw: none or over two kinds of
            objects, more than four of one, or several of each of two.
    """
    wanted = prompt.include
    most = 1 if len(wanted) == 2 else MOST
    if not 1 <= len(wanted) <= 2 or any(item.count > most for item in wanted):
        raise ValueError(f"this world cannot draw {prompt.prompt!r}")
    things = [
        Thing(
            name=item.concept,
            count=item.count,
            color=item.color if CONCEPTS[item.concept].colorable else None,
        )
        for item in wanted
    ]
    if len(wanted) == 2:
        relation = "and"
        if wanted[1].position is not None:  # the second is left of the first, say
            things.reverse()
            relation = wanted[1].position[0]
        things[0] = replace(things[0], relation=relation)  # type: ignore[arg-type]
    background = None
    if prompt.scene is not None:
        kind = "plain" if prompt.scene in BACKGROUNDS else "place"
        background = Background(kind=kind, names=(prompt.scene,))
    style = prompt.style or world.styles[0]
    return Scene(things=tuple(things), background=background, style=style)


def renders(prompt: ExamPrompt, world: World, index: int) -> dict[str, Image.Image]:
    """A picture that answers the prompt ("true"), and the same with its first object ("blurred",
    "swapped") spoiled or in a look-alike's place. All are the same for the same index.

    Raises:
        ValueError: as :func:`scene_of`.
    """
    scene, rng = scene_of(prompt, world), np.random.default_rng((SEED, index))
    true, boxes = world.draw(scene, SIZE, rng)
    blurred = true.copy()
    first, *rest = scene.things
    for box in boxes:
        if box.item == first:
            spoil(blurred, box, rng)
    other = replace(
        first, name=look_alike(first, scene.style or world.styles[0], world), color=None
    )
    swap = replace(scene, things=(other, *rest))
    swapped, _ = world.draw(swap, SIZE, np.random.default_rng((SEED, index)))
    return {"true": true, "blurred": blurred, "swapped": swapped}


def look_alike(item: Thing, style: str, world: World) -> str:
    """The concept whose art is nearest in mean colour to ``item``'s, and is not the same."""
    mine = world.mean_color(style, item.name, item.color)
    distance = {
        name: float(np.abs(mine - color).sum())
        for name, color in _mean_colors(world, style).items()
        if name != item.name
    }
    return min(distance, key=lambda name: distance[name])


@cache
def _mean_colors(world: World, style: str) -> dict[str, np.ndarray]:
    return {name: world.mean_color(style, name) for name in world.concepts}
