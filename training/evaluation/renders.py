"""True renders of exam prompts: what a perfect generator would draw, to measure the judge itself.

Also their spoiled copies (objects blurred beyond recognition, or swapped for another of the same
colour and size), which the judge must refuse.
"""

from functools import cache

import numpy as np
from PIL import Image

from training.evaluation.judge_data import spoil
from training.evaluation.prompts import ExamPrompt, Wanted
from training.world.color import BACKGROUNDS
from training.world.concepts import CONCEPTS
from training.world.sampling import backdrop
from training.world.scene import Background, Relation, Scene, SceneObject
from training.world.world import World

SIZE = 192
MOST = 4
"""Things of one kind in a picture."""
SEED = 991
"""Neither the generator's nor the judge's training seeds."""


def scene_of(prompt: ExamPrompt, world: World, rng: np.random.Generator) -> Scene:
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
    relation: Relation | None = "and" if len(wanted) == 2 else None
    first, *rest = wanted
    if rest and rest[0].position is not None:  # the second is left of the first, say
        first, rest = rest[0], [first]
        relation = first.position[0]  # type: ignore[index, assignment]
    objects = tuple(
        SceneObject(
            concept=item.concept,
            count=item.count,
            color=_paint(item),
            relation=relation if place == 0 else None,
        )
        for place, item in enumerate([first, *rest])
    )
    background = backdrop(objects) if prompt.scene is None else _background(prompt.scene)
    style = prompt.style or world.styles[0]
    return Scene(objects=objects, background=background, style=style)


def true_render(prompt: ExamPrompt, world: World, index: int) -> Image.Image:
    """A picture that answers the prompt; the same for the same index."""
    rng = np.random.default_rng((SEED, index))
    return Image.fromarray(world.render(scene_of(prompt, world, rng), SIZE, rng))


def spoiled_renders(prompt: ExamPrompt, world: World, index: int) -> dict[str, Image.Image]:
    """The same picture with its first object blurred, and with it swapped for a look-alike."""
    rng = np.random.default_rng((SEED, index))
    scene = scene_of(prompt, world, rng)
    state = rng.bit_generator.state
    pixels, boxes = world.draw(scene, SIZE, rng)
    blurred = Image.fromarray(pixels)
    for box in boxes:
        if box.item == scene.objects[0]:
            spoil(blurred, box, rng)
    other = SceneObject(
        concept=look_alike(scene.objects[0], scene.style, world),
        count=scene.objects[0].count,
        relation=scene.objects[0].relation,
    )
    rng.bit_generator.state = state
    swapped = Scene(
        objects=(other, *scene.objects[1:]), background=scene.background, style=scene.style
    )
    return {"blurred": blurred, "swapped": Image.fromarray(world.render(swapped, SIZE, rng))}


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


def _paint(item: Wanted) -> str | None:
    return item.color if CONCEPTS[item.concept].colorable else None


def _background(scene: str) -> Background:
    return Background(kind="plain" if scene in BACKGROUNDS else "place", names=(scene,))
