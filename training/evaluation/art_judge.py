"""The exam's judge: it has learnt nothing, and finds the art itself in a picture.

What a prompt asks for, or forbids, is looked for in every pose (``search``), fitted pixel by pixel
(``fit``), and is there if the picture has enough of its edges. Behind it lies the painted background
that the rest of the picture is most like.

Nothing else is looked for, so what was not asked for does no harm, as in GenEval.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import permutations

import torch
from PIL import Image
from torch import Tensor

from infinity.scoring.judge import Detection
from infinity.world.scene import Background, Facing
from training.evaluation.fit import Fit, at, fit, scaled
from training.evaluation.prompts import ExamPrompt
from training.evaluation.search import Place, Search, tensor
from training.world.backgrounds import VARIANTS, paint
from training.world.color import BACKGROUNDS, HUES
from training.world.concepts import CONCEPTS
from training.world.places import PLACES
from training.world.world import World

EDGES = 0.35
"""The least share of a thing's edges. In JPEG at quality 30 nine things in ten have more; where another
thing of the same color stands, none has over 0.25."""
TRIED = 4
"""Places tried beyond as many as are wanted."""
ONE = 0.5
"""Two places that share more than this of the smaller one are one thing."""
GROUND_SIDE, FARTHEST = 32, 0.15
"""Backgrounds are compared with as many pixels as a square of this side has; one further off than that
(of 1) is something else."""


@dataclass(frozen=True)
class Found(Detection):
    """A thing found, its box in shares of the picture's sides.

    Attributes:
        facing: where its art looks, if to a side.
        fit: the art laid over it.
    """

    facing: Facing | None
    fit: Fit


@dataclass(frozen=True)
class Sight:
    """What was found in a picture of what a prompt is about.

    Attributes:
        scene: a place, a color, or two of them from top to bottom: "red to blue".
        nearest: the picture as the world would paint what was found, but for shadows.
    """

    objects: tuple[Found, ...]
    scene: str
    nearest: Image.Image


class ArtJudge:
    """Args:
    world: whose art is looked for, in all its styles.
    """

    def __init__(self, world: World) -> None:
        self._search = Search(world)

    def knows(self, prompt: ExamPrompt) -> bool:
        """All that a prompt of the exam can be about."""
        return True

    def look(self, picture: Image.Image, prompt: ExamPrompt) -> Sight:
        """Look for the things of a prompt, wanted or not."""
        most: dict[tuple[str, str | None], int] = {}
        for item in (*prompt.include, *prompt.exclude):
            kind = item.concept, item.color
            most[kind] = max(most.get(kind, 0), item.count)
        found = [
            thing
            for (name, color), count in most.items()
            for thing in self.find(picture, name, color, count)
        ]
        scene, ground = background_of(picture, [thing.fit for thing in found])
        for thing in sorted(
            found, key=lambda one: one.fit.edges
        ):  # what is hidden in part goes first
            mask = Image.fromarray((thing.fit.art.permute(1, 2, 0) * 255).byte().numpy())
            ground.paste(mask, (thing.fit.x, thing.fit.y), mask)
        return Sight(tuple(found), scene, ground)

    def find(
        self, picture: Image.Image, name: str, color: str | None, most: int = 1
    ) -> list[Found]:
        """Up to ``most`` of a thing, in a color; None: in its own, or all in another one."""
        colorable = CONCEPTS[name].colorable
        for shown in (color,) if color or not colorable else (None, *HUES):
            if found := [*self._find(picture, name, shown, most)]:
                return found
        return []

    def _find(
        self, picture: Image.Image, name: str, color: str | None, most: int
    ) -> Iterator[Found]:
        found: list[Fit] = []
        tried = 0
        for place in self._search.places(picture, name, color):
            if any(_shared(place, one) > ONE for one in found):
                continue
            tried += 1
            best = fit(picture, place)
            if best and self._is(best, picture, name, color, found):
                found.append(best)
                yield _found(picture, name, color, best)
            if len(found) == most or tried == most + TRIED:
                return

    def _is(
        self, best: Fit, picture: Image.Image, name: str, color: str | None, found: Sequence[Fit]
    ) -> bool:
        """Whether it is a thing in its color, and not one that was found before."""
        if best.edges < EDGES or any(_shared(best, other) > ONE for other in found):
            return False
        is_painted = color is not None and CONCEPTS[name].colorable
        return not is_painted or self._color(picture, name, best) == color

    def _color(self, picture: Image.Image, name: str, best: Fit) -> str:
        """Which of the colors a thing may have it is nearest to."""
        full = tensor(picture)

        def difference(color: str) -> float:
            pose = self._search.repainted(best.pose, name, color)
            return at(full, pose, scaled(pose, best.width), best.x, best.y).difference()

        return min(HUES, key=difference)


def _found(picture: Image.Image, name: str, color: str | None, best: Fit) -> Found:
    faces = CONCEPTS[name].faces.get(best.pose.style)
    if faces and best.pose.mirrored:
        faces = "left" if faces == "right" else "right"
    return Found(
        concept=name,
        color=color or CONCEPTS[name].natural or "",
        style=best.pose.style,
        x=(best.x + best.width / 2) / picture.width,
        y=(best.y + best.height / 2) / picture.height,
        width=best.width / picture.width,
        height=best.height / picture.height,
        facing=faces,
        fit=best,
    )


def _shared(one: Place | Fit, other: Fit) -> float:
    """Area of two boxes in both of them, as a share of the smaller one."""
    wide = min(one.x + one.width, other.x + other.width) - max(one.x, other.x)
    high = min(one.y + one.height, other.y + other.height) - max(one.y, other.y)
    smaller = min(one.width * one.height, other.width * other.height)
    return max(0, wide) * max(0, high) / smaller


def background_of(picture: Image.Image, things: Sequence[Fit]) -> tuple[str, Image.Image]:
    """Name of the background that is most like the picture beside the things, and its painting."""
    covered = Image.new("L", picture.size)
    for thing in things:
        alpha = Image.fromarray((thing.art[3] * 255).byte().numpy())
        covered.paste(255, (thing.x, thing.y), alpha)
    names, paintings_N3yx = _paintings(picture.size)
    height, width = paintings_N3yx.shape[2:]
    seen = tensor(picture.resize((width, height), Image.Resampling.BOX))
    hidden = tensor(covered.convert("RGB").resize((width, height), Image.Resampling.BOX))[0]
    free = hidden < 0.02
    off = ((paintings_N3yx - seen).abs().mean(1).clamp(max=FARTHEST) * free).sum((1, 2))
    background, variant = names[int(off.argmin())]
    return " to ".join(background.names), paint(background, picture.size, variant)


@cache
def _paintings(size: tuple[int, int]) -> tuple[list[tuple[Background, int]], Tensor]:
    """All backgrounds, small."""
    scale = math.sqrt(size[0] * size[1]) / GROUND_SIDE
    small = round(size[0] / scale), round(size[1] / scale)
    names = [
        *((Background(kind="plain", names=(color,)), 0) for color in BACKGROUNDS),
        *((Background(kind="gradient", names=pair), 0) for pair in permutations(BACKGROUNDS, 2)),
        *((Background(kind="place", names=(name,)), v) for name in PLACES for v in range(VARIANTS)),
    ]
    paintings = [paint(one, size, v).resize(small, Image.Resampling.BOX) for one, v in names]
    return names, torch.stack([tensor(painting) for painting in paintings])
