"""Draws scenes: what the training pictures show, and how often.

Training never sees a held-out colour of a concept or a held-out pair; `split="heldout"` shows
exactly these.
"""

from collections.abc import Mapping, Sequence
from typing import Literal, TypeVar, get_args

import numpy as np

from training.world.color import BACKGROUNDS, HUES
from training.world.concepts import CONCEPTS, HOMES, Concept
from training.world.scene import (
    RELATIONS,
    Background,
    BackgroundKind,
    Relation,
    Scene,
    SceneObject,
    Size,
    Split,
    is_held_out_color,
    is_held_out_pair,
)
from training.world.scenes import PLACES

Stage = Literal["single", "full", "composed"]
Option = TypeVar("Option")

STAGES: tuple[Stage, ...] = get_args(Stage)
LAYOUTS: dict[Stage, dict[str, float]] = {
    "single": {"one": 1.0},
    "full": {"one": 0.5, "count": 0.17, "and": 0.12, "position": 0.21},
    "composed": {"one": 0.3, "count": 0.08, "and": 0.32, "position": 0.3},
}
BACKGROUND_SHARES: dict[Stage, dict[BackgroundKind, float]] = {
    "single": {"backdrop": 0.35, "plain": 0.14, "gradient": 0.11, "place": 0.4},
    "full": {"backdrop": 0.35, "plain": 0.14, "gradient": 0.11, "place": 0.4},
    "composed": {"backdrop": 0.4, "plain": 0.2, "gradient": 0.12, "place": 0.28},
}
BACKDROPS = ("light blue", "yellow", "pink")
COOL = ("green", "blue", "purple", "black")
SIZE_SHARES: dict[Size, float] = {"normal": 0.86, "little": 0.07, "big": 0.07}
MAIN_STYLE_SHARE = 0.6
RECOLOR_SHARES: dict[Stage, dict[str, float]] = {  # of the things that may be recoloured
    "single": {"one": 0.45},
    "full": {"one": 0.45, "count": 0.45, "and": 0.35, "position": 0.35},
    "composed": {"one": 1.0, "count": 1.0, "and": 0.85, "position": 0.5},
}
NATURAL_COLOR_SHARE = 0.15
HOME_SHARE = 0.3


def allowed_colors(concept: Concept, split: Split) -> tuple[str, ...]:
    """The colours a split may paint a concept in. The natural colour is never held out."""
    if not concept.colorable:
        return ()
    return tuple(
        color
        for color in HUES
        if (color != concept.natural and is_held_out_color(color, concept.name))
        == (split == "heldout")
    )


def sample_scene(
    rng: np.random.Generator,
    *,
    concepts: Sequence[str],
    styles: Sequence[str],
    stage: Stage,
    split: Split,
) -> Scene:
    """Draw one scene.

    "single" shows one object; "full" is half that, then counts of two to four, pairs and positions;
    "composed" is mostly things in a colour that is not theirs, and two of them in one picture.

    Raises:
        ValueError: `split` is "heldout" and these concepts have no held-out combination.
    """
    layout = pick_by_share(rng, LAYOUTS[stage])
    if stage == "composed" and layout != "position":
        concepts = [name for name in concepts if CONCEPTS[name].colorable] or concepts
    share = RECOLOR_SHARES[stage][layout]
    if layout in ("and", "position") and len(concepts) > 1:
        objects = _pair(rng, concepts, split, share, positioned=layout == "position")
    else:
        objects = (_single(rng, concepts, split, share, counted=layout == "count"),)
    background = sample_background(rng, objects, BACKGROUND_SHARES[stage])
    return Scene(objects=objects, background=background, style=_style(rng, styles))


def _single(
    rng: np.random.Generator,
    concepts: Sequence[str],
    split: Split,
    share: float,
    *,
    counted: bool,
) -> SceneObject:
    if split == "heldout":
        concepts = [name for name in concepts if allowed_colors(CONCEPTS[name], split)]
        if not concepts:
            raise ValueError("none of these concepts has a held-out colour: use more concepts")
    concept = CONCEPTS[pick(rng, concepts)]
    color = _color(rng, concept, split, 1.0 if split == "heldout" else share)
    if counted:
        return SceneObject(concept=concept.name, count=int(rng.integers(2, 5)), color=color)
    size = pick_by_share(rng, SIZE_SHARES)
    return SceneObject(concept=concept.name, color=color, size=size)


def _pair(
    rng: np.random.Generator,
    concepts: Sequence[str],
    split: Split,
    share: float,
    *,
    positioned: bool,
) -> tuple[SceneObject, SceneObject]:
    first, second = _pair_names(rng, concepts, split)
    relation: Relation = pick(rng, RELATIONS[1:]) if positioned else "and"
    colors = [_color(rng, CONCEPTS[name], "train", share) for name in (first, second)]
    return (
        SceneObject(concept=first, color=colors[0], relation=relation),
        SceneObject(concept=second, color=colors[1]),
    )


def _pair_names(rng: np.random.Generator, concepts: Sequence[str], split: Split) -> tuple[str, str]:
    order = [concepts[int(i)] for i in rng.permutation(len(concepts))]
    for i, first in enumerate(order):
        for second in order[i + 1 :]:
            if is_held_out_pair(first, second) == (split == "heldout"):
                return first, second
    raise ValueError(f"these concepts have no pair in the {split} split: use more concepts")


def _color(rng: np.random.Generator, concept: Concept, split: Split, share: float) -> str | None:
    colors = allowed_colors(concept, split)
    if colors:
        return pick(rng, colors) if rng.random() < share else None
    return concept.natural if rng.random() < NATURAL_COLOR_SHARE else None


def backdrop(objects: Sequence[SceneObject]) -> Background:
    """The background of a picture asked for without one: settled by its things, so that it can be
    known from the caption. Light blue, yellow behind what is cool, and never a thing's own colour.

    The bits of the first token are drawn apart from each other. If any colour could follow a
    caption, they would mix these to grey.
    """
    colors = [item.color or CONCEPTS[item.concept].natural for item in objects]
    taken = ["light blue" if color == "blue" else color for color in colors]
    free = [color for color in BACKDROPS if color not in taken]
    name = "yellow" if colors[0] in COOL and "yellow" in free else free[0]
    return Background(kind="backdrop", names=(name,))


def sample_background(
    rng: np.random.Generator,
    objects: tuple[SceneObject, ...],
    shares: Mapping[BackgroundKind, float],
) -> Background:
    """A place, or colours that the objects stand out from."""
    kind = pick_by_share(rng, shares)
    if kind == "backdrop":
        return backdrop(objects)
    if kind == "place":
        home = HOMES.get(objects[0].concept)
        if home is not None and rng.random() < HOME_SHARE:
            return Background(kind="place", names=(home,))
        return Background(kind="place", names=(pick(rng, tuple(PLACES)),))
    taken = {item.color or CONCEPTS[item.concept].natural for item in objects}
    free = [color for color in BACKGROUNDS if color not in taken]
    chosen = rng.permutation(len(free))[: 1 if kind == "plain" else 2]
    return Background(kind=kind, names=tuple(free[i] for i in chosen))


def _style(rng: np.random.Generator, styles: Sequence[str]) -> str:
    if len(styles) == 1 or rng.random() < MAIN_STYLE_SHARE:
        return styles[0]
    return pick(rng, styles[1:])


def pick(rng: np.random.Generator, options: Sequence[Option]) -> Option:
    """One of the options, all equally likely."""
    return options[int(rng.integers(len(options)))]


def pick_by_share(rng: np.random.Generator, shares: Mapping[Option, float]) -> Option:
    """One of the keys, each as likely as its share; nothing is drawn where there is only one."""
    options = list(shares)
    return options[rng.choice(len(options), p=list(shares.values())) if len(options) > 1 else 0]
