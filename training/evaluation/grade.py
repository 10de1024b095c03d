"""From what the judge saw to a mark, by GenEval's rules; no model is needed."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from infinity.scoring.judge import Detection, Seen, is_at
from training.evaluation.prompts import ExamPrompt, Wanted


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


def _matching(wanted: Wanted, objects: Sequence[Detection]) -> list[Detection]:
    return [
        one
        for one in objects
        if one.concept == wanted.concept and wanted.color in (None, one.color)
    ]


def _name(wanted: Wanted) -> str:
    return f"{wanted.color} {wanted.concept}" if wanted.color else wanted.concept
