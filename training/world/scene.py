"""What a picture shows, as data: the one description that is drawn, captioned and examined.

And how often each thing is shown. Training never sees a held-out colour of a concept or a held-out
pair; `split="heldout"` shows exactly these.
"""

import hashlib
from bisect import bisect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import accumulate, combinations
from typing import Literal, TypeVar, get_args

import numpy as np

from training.world.color import BACKGROUNDS, HUES
from training.world.concepts import CONCEPTS, Concept
from training.world.places import PLACES

Relation = Literal["and", "left of", "right of", "above", "below"]
Size = Literal["little", "normal", "big"]
BackgroundKind = Literal["backdrop", "plain", "gradient", "place"]
Split = Literal["train", "heldout"]
Stage = Literal["single", "full", "composed"]
Option = TypeVar("Option")

POSITIONS: tuple[Relation, ...] = get_args(Relation)[1:]
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


@dataclass(frozen=True, kw_only=True)
class SceneObject:
    """One kind of thing in the picture.

    `relation` says how it stands to the next object; None for the last one. `color` is a key of
    `color.HUES`, or the concept's natural colour word, or None for the art as it is.
    """

    concept: str
    count: int = 1
    color: str | None = None
    size: Size = "normal"
    relation: Relation | None = None


@dataclass(frozen=True, kw_only=True)
class Background:
    """`names` holds one colour ("plain"), two colours ("gradient") or one place ("place").

    A "backdrop" is a plain colour that no caption names: what a picture has that is asked for
    without a background.
    """

    kind: BackgroundKind
    names: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A whole picture: one kind of object one to four times, or two objects and their relation."""

    objects: tuple[SceneObject, ...]
    background: Background
    style: str = "3d"


def is_held_out_color(color: str, concept: str) -> bool:
    """Whether one of eight colour-concept combinations is kept for the exam."""
    return _number(f"colour:{color}:{concept}") % 8 == 0


def is_held_out_pair(first: str, second: str) -> bool:
    """Whether one of ten unordered pairs of concepts is kept for the exam."""
    return _number("pair:" + ":".join(sorted((first, second)))) % 10 == 0


def _number(text: str) -> int:
    """A number fixed by the text alone, the same on every machine and run."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest())


@cache
def allowed_colors(concept: Concept, split: Split) -> tuple[str, ...]:
    """The colours a split may paint a concept in. The natural colour is never held out."""
    kept = {c for c in HUES if c != concept.natural and is_held_out_color(c, concept.name)}
    colors = HUES if concept.colorable else ()
    return tuple(color for color in colors if (color in kept) == (split == "heldout"))


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
        names = _pair(rng, concepts, split)
        relation: Relation = pick(rng, POSITIONS) if layout == "position" else "and"
        colors = [_color(rng, CONCEPTS[name], "train", share) for name in names]
        objects = tuple(
            SceneObject(concept=name, color=color, relation=joint)
            for name, color, joint in zip(names, colors, (relation, None), strict=True)
        )
    else:
        objects = (_single(rng, concepts, split, share, counted=layout == "count"),)
    background = _background(rng, objects, stage)
    main = len(styles) == 1 or rng.random() < MAIN_STYLE_SHARE
    style = styles[0] if main else pick(rng, styles[1:])
    return Scene(objects=objects, background=background, style=style)


def _single(
    rng: np.random.Generator, concepts: Sequence[str], split: Split, share: float, *, counted: bool
) -> SceneObject:
    if split == "heldout":
        share = 1.0
        concepts = [name for name in concepts if allowed_colors(CONCEPTS[name], split)]
        if not concepts:
            raise ValueError("none of these concepts has a held-out colour: use more concepts")
    name = pick(rng, concepts)
    color = _color(rng, CONCEPTS[name], split, share)
    if counted:
        return SceneObject(concept=name, count=int(rng.integers(2, 5)), color=color)
    return SceneObject(concept=name, color=color, size=pick_by_share(rng, SIZE_SHARES))


def _pair(rng: np.random.Generator, concepts: Sequence[str], split: Split) -> tuple[str, str]:
    order = [concepts[int(i)] for i in rng.permutation(len(concepts))]
    for first, second in combinations(order, 2):
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


def _background(
    rng: np.random.Generator, objects: tuple[SceneObject, ...], stage: Stage
) -> Background:
    """A place, or colours that the objects stand out from."""
    kind = pick_by_share(rng, BACKGROUND_SHARES[stage])
    if kind == "backdrop":
        return backdrop(objects)
    if kind == "place":
        home = CONCEPTS[objects[0].concept].home
        if home is None or rng.random() >= HOME_SHARE:
            home = pick(rng, tuple(PLACES))
        return Background(kind="place", names=(home,))
    taken = {item.color or CONCEPTS[item.concept].natural for item in objects}
    free = [color for color in BACKGROUNDS if color not in taken]
    chosen = rng.permutation(len(free))[: 1 if kind == "plain" else 2]
    return Background(kind=kind, names=tuple(free[i] for i in chosen))


def pick(rng: np.random.Generator, options: Sequence[Option]) -> Option:
    """One of the options, all equally likely."""
    return options[int(rng.integers(len(options)))]


def pick_by_share(rng: np.random.Generator, shares: Mapping[Option, float]) -> Option:
    """One of the keys, each as likely as its share; nothing is drawn where there is only one."""
    options = list(shares)
    if len(options) == 1:
        return options[0]
    *_, total = sums = list(accumulate(shares.values()))
    return options[bisect([part / total for part in sums], rng.random())]
