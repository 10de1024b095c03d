"""From what the judge saw to a mark, by GenEval's rules and a few more; no model is needed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from infinity.scoring.judge import Detection, Seen, is_at
from infinity.world.scene import SPOTS, Size, Spot
from training.evaluation.art_judge import Found, Sight
from training.evaluation.prompts import ExamPrompt, Wanted
from training.evaluation.sharpness import Sharpness

SIDES: Mapping[Size, tuple[float, float]] = {
    "tiny": (0.0, 0.3), "small": (0.15, 0.5), "normal": (0.3, 0.8), "big": (0.45, 1.0), "huge": (0.55, 1.0)
}  # fmt: skip
"""A single thing's longer side, as a share of the picture's; smaller in a corner than in the middle."""
THIRDS = ((0.0, 0.46), (0.3, 0.72), (0.54, 1.0))
"""Where the middle of a thing may be that is on the left, in the center or on the right, or from the top
down; things stand on the ground where there is one, so these overlap."""
TOUCHING = 0.08
"""Of the picture's height: how far the foot of what is on a thing may be above or below its top."""


@dataclass(frozen=True)
class Answer:
    """One picture, what is wrong with it (empty where it is right), features of it, and how sharp it is,
    where the judge can tell."""

    prompt: ExamPrompt
    image: Image.Image
    wrong: str
    features: np.ndarray
    sharpness: Sharpness | None = None


def grade(prompt: ExamPrompt, seen: Seen | Sight) -> str:
    """The first reason why a picture is wrong; empty where it is right: every wanted object is there
    in its number, color, size and place; nothing excluded; scene, style."""
    found: list[list[Detection]] = []
    for wanted in prompt.include:
        matching = _matching(wanted, seen.objects)
        if len(matching) < wanted.count:
            return f"{wanted.count} {_name(wanted)} wanted, {len(matching)} seen"
        if wanted.position is not None:
            relation, other = wanted.position
            others = [(it,) for it in found[other]]
            if relation == "between":
                others = [(one, two) for one in found[other] for two in found[other + 1]]
            if not any(stands(one, relation, *its) for one in matching for its in others):
                return f"no {_name(wanted)} {relation} {prompt.include[other].concept}"
        first = matching[: wanted.count]
        if prompt.style and any(one.style != prompt.style for one in first):
            return f"{_name(wanted)} is not {prompt.style}"
        if wanted.size and not all(_is_sized(one, wanted.size) for one in first):
            return f"{_name(wanted)} is not {wanted.size}"
        if wanted.spot and not all(_is_in(one, wanted.spot) for one in first):
            return f"{_name(wanted)} is not {wanted.spot}"
        if wanted.facing and any(getattr(one, "facing", None) != wanted.facing for one in first):
            return f"{_name(wanted)} does not face {wanted.facing}"
        found.append(matching)
    for unwanted in prompt.exclude:
        if len(_matching(unwanted, seen.objects)) >= unwanted.count:
            return f"{unwanted.count} or more {_name(unwanted)} seen"
    if prompt.scene is not None and seen.scene != prompt.scene:
        return f"the scene is {seen.scene}, not {prompt.scene}"
    return ""


def stands(one: Detection, relation: str, other: Detection, *another: Detection) -> bool:
    """Whether an object stands so to another one, or between two."""
    if one in (other, *another):
        return False
    if relation == "between":
        (third,) = another
        return min(other.x, third.x) < one.x < max(other.x, third.x)
    if relation == "behind":
        return stands(other, "in front of", one)
    apart_x, apart_y = (
        abs(a - b) - (c + d) / 2
        for a, b, c, d in (
            (one.x, other.x, one.width, other.width),
            (one.y, other.y, one.height, other.height),
        )
    )
    if relation == "on":
        foot, top = one.y + one.height / 2, other.y - other.height / 2
        return apart_x < 0 and one.y < other.y and -TOUCHING < foot - top < other.height / 2
    if relation == "in front of":
        return apart_x < 0 and apart_y < 0 and _hides(one, other)
    return is_at(one, relation, other)


def _hides(one: Detection, other: Detection) -> bool:
    """Where both would be, it is the one that is seen; where they do not touch, it is the lower one."""
    lower = one.y + one.height / 2 > other.y + other.height / 2
    if not (isinstance(one, Found) and isinstance(other, Found)):
        return lower
    return one.fit.hides(other.fit, lower)


def _is_sized(one: Detection, size: Size) -> bool:
    least, most = SIDES[size]
    return least <= max(one.width, one.height) <= most


def _is_in(one: Detection, spot: Spot) -> bool:
    row, column = divmod(SPOTS.index(spot), 3)
    return all(
        THIRDS[third][0] <= middle <= THIRDS[third][1]
        for third, middle in ((column, one.x), (row, one.y))
    )


def _matching(wanted: Wanted, objects: Sequence[Detection]) -> list[Detection]:
    return [
        one
        for one in objects
        if one.concept == wanted.concept and wanted.color in (None, one.color)
    ]


def _name(wanted: Wanted) -> str:
    return f"{wanted.color} {wanted.concept}" if wanted.color else wanted.concept
