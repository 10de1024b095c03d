"""How often each picture is shown: scenes drawn at random, most of them with everything said.

What varies to the eye is said by the scene, or it is as usual: the bits of a token are drawn apart
from each other, so an open choice would become a grey mixture.

Training never sees a held-out color of a concept or a held-out pair; `split="heldout"` shows exactly
these.
"""

import hashlib
from bisect import bisect
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from itertools import accumulate, combinations, islice
from typing import Literal, TypeVar, get_args

import numpy as np

from infinity.world.scene import (
    FACINGS,
    SPOTS,
    Background,
    Relation,
    Scene,
    Size,
    Spot,
    Thing,
    Tilt,
)
from training.world.color import BACKGROUNDS, HUES
from training.world.concepts import CONCEPTS, Concept
from training.world.places import PLACES

Split = Literal["train", "heldout"]
Stage = Literal["single", "full", "composed"]
Layout = Literal["one", "count", "two", "counts", "three"]
Option = TypeVar("Option")

STAGES: tuple[Stage, ...] = get_args(Stage)
LAYOUTS: dict[Stage, dict[Layout, float]] = {
    "single": {"one": 1.0},
    "full": {"one": 0.5, "count": 0.14, "two": 0.25, "counts": 0.05, "three": 0.06},
    "composed": {"one": 0.2, "count": 0.1, "two": 0.44, "counts": 0.12, "three": 0.14},
}
BACKGROUND_SHARES: dict[str, float] = {"open": 0.14, "plain": 0.27, "gradient": 0.13, "place": 0.46}
RELATION_SHARES: dict[Relation, float] = {
    **{"and": 0.3, "left of": 0.12, "right of": 0.12, "above": 0.1, "below": 0.1},
    **{"in front of": 0.09, "behind": 0.08, "on": 0.09},
}
THREE_SHARES: dict[tuple[Relation, Relation], float] = {
    **{("and", "and"): 0.45, ("between", "and"): 0.3},
    **{("on", "and"): 0.08, ("left of", "and"): 0.05, ("right of", "and"): 0.04},
    **{("above", "and"): 0.04, ("and", "in front of"): 0.04},
}
SIZE_SHARES: dict[Size | None, float] = {
    **{None: 0.4, "normal": 0.16, "tiny": 0.08, "small": 0.14, "big": 0.14, "huge": 0.08},
}
TILT_SHARES: dict[Tilt | None, float] = {None: 0.76, "left": 0.12, "right": 0.12}
SAID = {"one": {"size": 1.0, "spot": 0.7, "facing": 0.8, "tilt": 1.0},
        "count": {"size": 0.2, "spot": 0.15, "facing": 0.6, "tilt": 0.2},
        "two": {"size": 0.3, "spot": 0.0, "facing": 0.6, "tilt": 0.25},
        "counts": {"size": 0.1, "spot": 0.0, "facing": 0.5, "tilt": 0.0},
        "three": {"size": 0.15, "spot": 0.0, "facing": 0.5, "tilt": 0.1}}  # fmt: skip
"""Layout -> how often a choice is drawn at random, where the rest leave it as usual."""
CENTERS: tuple[Spot, ...] = ("center",) * 3  # more often than each of the others
APART: tuple[tuple[Spot, ...], ...] = (
    *(("left", "right"), ("top", "bottom")),
    ("top left", "top right", "bottom left", "bottom right"),
)
APART_SHARES: dict[Layout, float] = {"two": 0.2, "three": 0.15}
"""Layout -> of things that are only listed, how often each has a spot of its own."""
MAIN_STYLE_SHARE, STYLE_SAID_SHARE = 0.6, 0.75
RECOLOR_SHARES: dict[Stage, float] = {"single": 0.45, "full": 0.45, "composed": 0.85}
"""Of the things that may be recolored."""
NATURAL_COLOR_SHARE = 0.15
HOME_SHARE = 0.3
MOST_COUNT, MOST_OF_EACH = 6, 4


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

    "single" shows one thing; "full" is half that, then counts, pairs and three things; "composed" is
    mostly several kinds of things, in colors that are not theirs.

    Raises:
        ValueError: `split` is "heldout" and these concepts have no held-out combination.
    """
    layout = pick_by_share(rng, LAYOUTS[stage])
    if stage == "composed" and rng.random() < 0.5:
        concepts = [name for name in concepts if CONCEPTS[name].colorable] or concepts
    kinds = {"one": 1, "count": 1, "three": 3}.get(layout, 2)
    share = RECOLOR_SHARES[stage]
    names = (pick(rng, concepts),) if kinds == 1 else _kinds(rng, concepts, split, kinds)
    if kinds == 1 and split == "heldout":
        concepts = [name for name in concepts if allowed_colors(CONCEPTS[name], split)]
        if not concepts:
            raise ValueError("none of these concepts has a held-out colour: use more concepts")
        names, share = (pick(rng, concepts),), 1.0
    colors_from: Split = split if kinds == 1 else "train"
    relations = _relations(rng, layout)
    things = [
        Thing(name=name, color=_color(rng, CONCEPTS[name], colors_from, share), relation=relation)
        for name, relation in zip(names, relations, strict=True)
    ]
    things = [_varied(rng, thing, layout) for thing in things]
    listed = set(relations[:-1]) == {"and"}
    if listed and rng.random() < APART_SHARES.get(layout, 0.0):
        spots = rng.permutation(pick(rng, [each for each in APART if len(each) >= kinds])).tolist()
        things = [replace(thing, spot=spot) for thing, spot in zip(things, spots, strict=False)]
    style = styles[0]
    if len(styles) > 1 and rng.random() >= MAIN_STYLE_SHARE:
        style = pick(rng, styles[1:])
    is_said = style != styles[0] or rng.random() < STYLE_SAID_SHARE
    return Scene(
        things=tuple(things),
        background=_background(rng, things),
        style=style if is_said else None,
    )


def _relations(rng: np.random.Generator, layout: Layout) -> tuple[Relation | None, ...]:
    if layout == "two":
        return pick_by_share(rng, RELATION_SHARES), None
    if layout == "three":
        return *pick_by_share(rng, THREE_SHARES), None
    return ("and", None) if layout == "counts" else (None,)


def _varied(rng: np.random.Generator, thing: Thing, layout: Layout) -> Thing:
    """The thing in some number, size, spot, facing and tilt; what is None is as usual."""
    said = {choice: rng.random() < share for choice, share in SAID[layout].items()}
    most = {"count": MOST_COUNT, "counts": MOST_OF_EACH}.get(layout, 1)
    return replace(
        thing,
        count=int(rng.integers(2 if layout == "count" else 1, most + 1)),
        size=pick_by_share(rng, SIZE_SHARES) if said["size"] else None,
        spot=pick(rng, (*SPOTS, *CENTERS)) if said["spot"] else None,
        facing=pick(rng, FACINGS) if said["facing"] and CONCEPTS[thing.name].faces else None,
        tilt=pick_by_share(rng, TILT_SHARES) if said["tilt"] else None,
    )


def _kinds(
    rng: np.random.Generator, concepts: Sequence[str], split: Split, kinds: int
) -> tuple[str, ...]:
    """Different concepts, the first two of which are a pair of the split."""
    order = [concepts[int(i)] for i in rng.permutation(len(concepts))]
    for first, second in combinations(order[:64], 2):
        if is_held_out_pair(first, second) == (split == "heldout"):
            pair = first, second
            others = (
                n for n in order if n not in pair and not any(is_held_out_pair(n, p) for p in pair)
            )
            return *pair, *islice(others, kinds - 2)
    raise ValueError(f"these concepts have no pair in the {split} split: use more concepts")


def _color(rng: np.random.Generator, concept: Concept, split: Split, share: float) -> str | None:
    colors = allowed_colors(concept, split)
    if colors:
        return pick(rng, colors) if rng.random() < share else None
    return concept.natural if rng.random() < NATURAL_COLOR_SHARE else None


def _background(rng: np.random.Generator, things: Sequence[Thing]) -> Background | None:
    """A place, or colors that the things stand out from; None as often as prompts name none."""
    kind = pick_by_share(rng, BACKGROUND_SHARES)
    if kind == "open":
        return None
    if kind == "place":
        home = CONCEPTS[things[0].name].home
        if home is None or rng.random() >= HOME_SHARE:
            home = pick(rng, tuple(PLACES))
        return Background(kind="place", names=(home,))
    taken = {thing.color or CONCEPTS[thing.name].natural for thing in things}
    free = [color for color in BACKGROUNDS if color not in taken]
    chosen = rng.permutation(len(free))[: 1 if kind == "plain" else 2].tolist()
    names = tuple(free[number] for number in chosen)
    return Background(kind="plain" if kind == "plain" else "gradient", names=names)


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
