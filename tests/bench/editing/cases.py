"""The pictures that are measured: prompts and seeds by rule, nothing picked."""

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from PIL import Image

from infinity.events import Done
from infinity.generation.revision import thresholds
from infinity.packing import unpack_bits, unpack_region
from infinity.pipeline import InfinityPipeline
from infinity.request import GenerationRequest
from infinity.scoring.judge import Seen, load_judge
from infinity.world.caption import caption_of
from infinity.world.wording import article_for
from training.evaluation.judge import WEIGHTS
from training.evaluation.prompts import EXAM, FIRST_EXAM, ExamPrompt, read_prompts
from training.world.concepts import WITHOUT_ARTICLE

BOXES = {
    "left of": (0, 0, 0.5, 1),
    "right of": (0.5, 0, 1, 1),
    "above": (0, 0, 1, 0.5),
    "below": (0, 0.5, 1, 1),
}
"""Where the first of two things is, by its relation to the other."""


@dataclass(frozen=True)
class Pair:
    """Two things beside or above each other, the first of which is to become another one."""

    old: str
    new: str
    relation: str
    other: str

    @property
    def before(self) -> str:
        return f"{_named(self.old)} {self.relation} {_named(self.other)}"

    @property
    def after(self) -> str:
        return f"{_named(self.new)} {self.relation} {_named(self.other)}"


def _named(thing: str) -> str:
    return thing if thing in WITHOUT_ARTICLE else f"{article_for(thing)} {thing}"


@cache
def judge():
    return load_judge(WEIGHTS)


@cache
def exam(tag: str = "") -> list[ExamPrompt]:
    """The exam's prompts of one category; "" for all."""
    return [prompt for prompt in read_prompts(FIRST_EXAM)[0] if tag in ("", prompt.tag)]


def unknown(pipeline: InfinityPipeline) -> list[str]:
    """The newest exam's prompts of one thing that the model does not know."""
    vocabulary = pipeline.spec.vocabulary
    assert vocabulary is not None
    asked = [prompt for prompt in read_prompts(EXAM)[0] if prompt.tag == "single_object"]
    return [one.prompt for one in asked if caption_of(one.prompt, vocabulary, None) is None]


@cache
def pairs() -> list[Pair]:
    """Each of the exam's places, with the things of the next five of them as what is new."""
    asked = exam("position")
    found = []
    for step in range(1, 6):
        for index, prompt in enumerate(asked):
            other, old = prompt.include
            assert old.position is not None
            new = asked[(index + step) % len(asked)].include[1].concept
            if new not in (old.concept, other.concept):
                found.append(Pair(old.concept, new, old.position[0], other.concept))
    return found


def draw(pipeline: InfinityPipeline, prompt: str, seed: int, **settings: Any) -> Done:
    return pipeline.generate(GenerationRequest(prompt=prompt, seed=seed, **settings))


def seen(image: Image.Image) -> Seen:
    return judge().see([image])[0]


def concepts(image: Image.Image) -> set[str]:
    """What the judge sees."""
    return {one.concept for one in seen(image).objects}


def scales(pipeline: InfinityPipeline, done: Done):
    """The bits of one picture, per scale (l, D) bool."""
    schedule = pipeline.spec.schedule(done.request.aspect_ratio)
    return unpack_bits(done.bits[0], schedule, pipeline.tokenizer.config.bits_per_token)


def kept_outside(pipeline: InfinityPipeline, done: Done) -> float:
    """Share of the bits outside of an edit's region that are the source's."""
    start, schedule = done.request.start, pipeline.spec.schedule(done.request.aspect_ratio)
    assert start is not None
    source = unpack_bits(start.bits, schedule, pipeline.tokenizer.config.bits_per_token)
    region, same, total = unpack_region(start.region), 0, 0
    for scale, before, after in zip(schedule, source, scales(pipeline, done), strict=True):
        outside = thresholds(region, scale, schedule[-1], 0) < 0
        same += int((before[outside] == after[outside]).sum())
        total += before[outside].numel()
    return same / total


def psnr(one: Image.Image, other: Image.Image, where_hw: np.ndarray | None = None) -> float:
    """In decibels, at most 99; of the pixels of the tokens (h, w) that are True."""
    error = (np.asarray(one, float) - np.asarray(other, float)) ** 2
    if where_hw is not None:
        token = error.shape[0] // where_hw.shape[0], error.shape[1] // where_hw.shape[1]
        error = error[np.kron(where_hw, np.ones(token)).astype(bool)]
    return min(99.0, float(10 * np.log10(255**2 / max(error.mean(), 1e-9))))
