"""From what the judge saw to a mark, by GenEval's rules; no model is needed."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from training.evaluation.prompts import ExamPrompt, Wanted

POSITION_MARGIN = 0.1
"""GenEval's: centres must differ by more than this share of the two objects' joint size."""


@dataclass(frozen=True)
class Detection:
    """One object the judge saw: box in shares of the picture's side, y down."""

    concept: str
    color: str
    style: str
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Seen:
    """All the judge saw in one picture.

    Attributes:
        scene: a place, "gradient", or the colour of a plain background.
        features: (256,) float64, for the Frechet distance.
    """

    objects: tuple[Detection, ...]
    scene: str
    features: np.ndarray


@dataclass(frozen=True)
class Answer:
    """One picture, what is wrong with it (empty where it is right), and the judge's features of it."""

    prompt: ExamPrompt
    image: Image.Image
    wrong: str
    features: np.ndarray


def grade(prompt: ExamPrompt, seen: Seen) -> str:
    """The first reason why a picture is wrong; empty where it is right: every wanted object is there
    in its number, colour and place; nothing excluded; scene, style."""
    found: list[list[Detection]] = []
    for wanted in prompt.include:
        matching = _matching(wanted, seen.objects)
        if len(matching) < wanted.count:
            return f"{wanted.count} {_name(wanted)} wanted, {len(matching)} seen"
        if wanted.position is not None:
            relation, other = wanted.position
            if not any(is_at(one, relation, it) for one in matching for it in found[other]):
                return f"no {_name(wanted)} {relation} {prompt.include[other].concept}"
        if prompt.style and any(one.style != prompt.style for one in matching[: wanted.count]):
            return f"{_name(wanted)} is not {prompt.style}"
        found.append(matching)
    for unwanted in prompt.exclude:
        if len(_matching(unwanted, seen.objects)) >= unwanted.count:
            return f"{unwanted.count} or more {_name(unwanted)} seen"
    if prompt.scene is not None and seen.scene != prompt.scene:
        return f"the scene is {seen.scene}, not {prompt.scene}"
    return ""


def is_at(one: Detection, relation: str, other: Detection) -> bool:
    """GenEval's relative position: beyond the margin, and mainly in that direction."""
    dx, dy = one.x - other.x, one.y - other.y
    margin_x = POSITION_MARGIN * (one.width + other.width)
    margin_y = POSITION_MARGIN * (one.height + other.height)
    return {
        "left of": dx < -margin_x and abs(dx) > abs(dy),
        "right of": dx > margin_x and abs(dx) > abs(dy),
        "above": dy < -margin_y and abs(dy) > abs(dx),
        "below": dy > margin_y and abs(dy) > abs(dx),
    }[relation]


def _matching(wanted: Wanted, objects: Sequence[Detection]) -> list[Detection]:
    return [
        one
        for one in objects
        if one.concept == wanted.concept and wanted.color in (None, one.color)
    ]


def _name(wanted: Wanted) -> str:
    return f"{wanted.color} {wanted.concept}" if wanted.color else wanted.concept
