"""What a scene leaves open is chosen by the picture's seed, or stays as it is in another scene.

Bits of one token are drawn apart from each other, so a choice left open would mix to grey; the seed makes it
first. Every choice follows from the seed and its own name alone, so that one made by hand moves no other, and
completing a completed scene again changes nothing.
"""

import hashlib
from bisect import bisect
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import accumulate
from typing import TypeVar

from infinity.world.scene import Background, BackgroundKind, Facing, Scene, Size, Spot, Thing, Tilt
from infinity.world.vocabulary import Vocabulary

Option = TypeVar("Option")

GROUND_SHARES: Mapping[BackgroundKind, float] = {"place": 0.45, "plain": 0.35, "gradient": 0.2}
COMPANY_SHARES: Mapping[BackgroundKind, float] = {"place": 0.25, "plain": 0.45, "gradient": 0.3}
"""Of one thing, and of several, which a place makes a crowd."""
HOME_SHARE = 0.55
"""Of the places: that of the first thing that has a home."""
MAIN_STYLE_SHARE = 0.65
SIZE_SHARES: Mapping[Size, float] = {
    "tiny": 0.06,
    "small": 0.2,
    "normal": 0.44,
    "big": 0.2,
    "huge": 0.1,
}
TILT_SHARES: Mapping[Tilt, float] = {"none": 0.6, "left": 0.2, "right": 0.2}
CENTER_SHARE = 0.4
HOMES_ONLY = ("underwater", "space", "sky")
"""Places where only those are put whose home it is."""
DULL = ("gray", "black", "white", "beige")
"""Backgrounds that are drawn where they are asked for only."""
ALIKE = (
    {"red", "orange", "pink"}, {"yellow", "orange", "beige"}, {"white", "beige"}, {"green", "teal"},
    {"blue", "light blue", "teal"}, {"blue", "purple"}, {"purple", "pink"}, {"white", "light blue"},
)  # fmt: skip
"""Colors that do not stand out from each other."""


def completed(scene: Scene, vocabulary: Vocabulary, seed: int) -> Scene:
    """The scene with a choice made for everything open that the vocabulary's captions told of."""
    chosen = _Choice(seed, [thing.name for thing in scene.things])
    told = vocabulary.completed
    things = tuple(
        _completed(thing, place, scene, vocabulary, chosen)
        for place, thing in enumerate(scene.things)
    )
    scene = replace(scene, things=things)
    if scene.style is None and "style" in told:
        main, *others = vocabulary.styles
        shares = {main: MAIN_STYLE_SHARE} | dict.fromkeys(
            others, (1 - MAIN_STYLE_SHARE) / max(len(others), 1)
        )
        scene = replace(scene, style=chosen.by_share("style", shares))
    if scene.background is None and "background" in told:
        scene = replace(scene, background=_background(scene.things, vocabulary, chosen))
    return scene


def left_as(scene: Scene, before: Scene, vocabulary: Vocabulary) -> Scene:
    """The scene with what it leaves open, and a seed would choose, as it is in another scene.

    Of the things only where there are as many, and of those that are one in both.
    """
    things = list(scene.things)
    if len(things) == len(before.things):
        for place, (thing, other) in enumerate(zip(things, before.things, strict=True)):
            if thing.count == other.count == 1:
                facing = other.facing if thing.name in vocabulary.sided else None
                things[place] = replace(
                    thing,
                    facing=thing.facing or facing,
                    size=thing.size or other.size,
                    tilt=thing.tilt or other.tilt,
                    spot=thing.spot or other.spot,
                )
    return Scene(
        things=tuple(things),
        background=scene.background or before.background,
        style=scene.style or before.style,
    )


class _Choice:
    """Choices that follow from a seed, the things there are and the name of what is chosen; the same on
    every machine."""

    def __init__(self, seed: int, things: Sequence[str]) -> None:
        self._seed = f"{seed}:{','.join(things)}"

    def part(self, name: str) -> float:
        """From 0 up to 1."""
        digest = hashlib.blake2b(f"{self._seed}:{name}".encode(), digest_size=6).digest()
        return int.from_bytes(digest) / 2**48

    def one_of(self, name: str, options: Sequence[Option]) -> Option:
        return options[int(self.part(name) * len(options))]

    def by_share(self, name: str, shares: Mapping[Option, float]) -> Option:
        *_, total = sums = list(accumulate(shares.values()))
        return list(shares)[bisect([part / total for part in sums[:-1]], self.part(name))]


def _completed(
    thing: Thing, place: int, scene: Scene, vocabulary: Vocabulary, chosen: _Choice
) -> Thing:
    """Which way a thing faces; of one that is alone also size, tilt and spot."""
    told = vocabulary.completed
    if thing.facing is None and "facing" in told and thing.name in vocabulary.sided:
        facing: Facing = chosen.one_of(f"facing {place}", vocabulary.facings)
        thing = replace(thing, facing=facing)
    if len(scene.things) > 1 or thing.count > 1:
        return thing
    if thing.size is None and "size" in told:
        known = {size: share for size, share in SIZE_SHARES.items() if size in vocabulary.sizes}
        thing = replace(thing, size=chosen.by_share("size", known))
    if thing.tilt is None and "tilt" in told:
        tilts = {tilt: share for tilt, share in TILT_SHARES.items() if tilt in vocabulary.tilts}
        thing = replace(thing, tilt=chosen.by_share("tilt", tilts))
    if thing.spot is None and "spot" in told and thing.size not in ("big", "huge"):
        others = [spot for spot in vocabulary.spots if spot != "center"]
        shares: dict[Spot, float] = dict.fromkeys(others, (1 - CENTER_SHARE) / len(others))
        shares["center"] = CENTER_SHARE
        thing = replace(thing, spot=chosen.by_share("spot", shares))
    return thing


def _background(things: Sequence[Thing], vocabulary: Vocabulary, chosen: _Choice) -> Background:
    """A place, the things' home more often than others; or colors that all things stand out from."""
    alone = len(things) == things[0].count == 1
    kind = chosen.by_share("background", GROUND_SHARES if alone else COMPANY_SHARES)
    if kind == "place":
        homes = [vocabulary.homes[thing.name] for thing in things if thing.name in vocabulary.homes]
        places = [place for place in vocabulary.scenes if place not in HOMES_ONLY]
        if homes and (chosen.part("home") < HOME_SHARE or not places):
            return Background(kind=kind, names=(homes[0],))
        return Background(kind=kind, names=(chosen.one_of("place", places),))
    taken = {thing.color or vocabulary.natural_colors.get(thing.name) for thing in things}
    hidden = {color for group in ALIKE if group & taken for color in group} | taken
    known = vocabulary.background_colors or vocabulary.colors
    bright = [color for color in known if color not in (*DULL, *taken)]
    free = [color for color in bright if color not in hidden] or bright
    first = chosen.one_of("color", free)
    others = [color for color in free if color != first]
    if kind == "plain" or not others:
        return Background(kind="plain", names=(first,))
    return Background(kind=kind, names=(first, chosen.one_of("second color", others)))
