"""True renders of exam prompts: what a perfect generator would draw, to measure the judge itself.

Also their spoiled copies (objects blurred beyond recognition, or swapped for another of the same
colour and size), which the judge must refuse.
"""

from dataclasses import replace
from functools import cache

import numpy as np
from PIL import Image

from training.evaluation.judge_training import spoil
from training.evaluation.prompts import ExamPrompt
from training.world.color import BACKGROUNDS
from training.world.concepts import CONCEPTS
from training.world.scene import Background, Scene, SceneObject, backdrop
from training.world.world import World

SIZE = 192
MOST = 4
"""Things of one kind in a picture."""
SEED = 991
"""Neither the generator's nor the judge's training seeds."""


def scene_of(prompt: ExamPrompt, world: World) -> Scene:
    """A scene that answers the prompt.

    What the prompt leaves open is as captions leave it open: the main style, and the backdrop of
    these things, since other styles and backgrounds are always named.

    Raises:
        ValueError: the prompt asks for what this world does not draw: none or over two kinds of
            objects, more than four of one, or several of each of two.
    """
    wanted = prompt.include
    most = 1 if len(wanted) == 2 else MOST
    if not 1 <= len(wanted) <= 2 or any(item.count > most for item in wanted):
        raise ValueError(f"this world cannot draw {prompt.prompt!r}")
    objects = [
        SceneObject(
            concept=item.concept,
            count=item.count,
            color=item.color if CONCEPTS[item.concept].colorable else None,
        )
        for item in wanted
    ]
    if len(wanted) == 2:
        relation = "and"
        if wanted[1].position is not None:  # the second is left of the first, say
            objects.reverse()
            relation = wanted[1].position[0]
        objects[0] = replace(objects[0], relation=relation)  # type: ignore[arg-type]
    if prompt.scene is None:
        background = backdrop(tuple(objects))
    else:
        kind = "plain" if prompt.scene in BACKGROUNDS else "place"
        background = Background(kind=kind, names=(prompt.scene,))
    style = prompt.style or world.styles[0]
    return Scene(objects=tuple(objects), background=background, style=style)


def renders(prompt: ExamPrompt, world: World, index: int) -> dict[str, Image.Image]:
    """A picture that answers the prompt ("true"), and the same with its first object ("blurred",
    "swapped") spoiled or in a look-alike's place. All are the same for the same index.

    Raises:
        ValueError: as :func:`scene_of`.
    """
    scene, rng = scene_of(prompt, world), np.random.default_rng((SEED, index))
    true, boxes = world.draw(scene, SIZE, rng)
    blurred = true.copy()
    first, *rest = scene.objects
    for box in boxes:
        if box.item == first:
            spoil(blurred, box, rng)
    other = replace(first, concept=look_alike(first, scene.style, world), color=None)
    swap = replace(scene, objects=(other, *rest))
    swapped, _ = world.draw(swap, SIZE, np.random.default_rng((SEED, index)))
    return {"true": true, "blurred": blurred, "swapped": swapped}


def look_alike(item: SceneObject, style: str, world: World) -> str:
    """The concept whose art is nearest in mean colour to ``item``'s, and is not the same."""
    mine = world.mean_color(style, item)
    distance = {
        name: float(np.abs(mine - color).sum())
        for name, color in _mean_colors(world, style).items()
        if name != item.concept
    }
    return min(distance, key=lambda name: distance[name])


@cache
def _mean_colors(world: World, style: str) -> dict[str, np.ndarray]:
    return {name: world.mean_color(style, SceneObject(concept=name)) for name in world.concepts}
