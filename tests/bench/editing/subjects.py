"""What is measured of each feature: a function of the pipeline and a case's number, giving plain figures."""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from PIL import Image

from infinity.edit import tasks
from infinity.events import Done
from infinity.packing import pack_bits, unpack_region
from infinity.pipeline import InfinityPipeline
from infinity.scoring.judge import is_at
from infinity.start import Start
from tests.bench.editing.cases import (
    BOXES,
    concepts,
    draw,
    exam,
    kept_outside,
    pairs,
    psnr,
    scales,
    seen,
    unknown,
)
from training.evaluation.grade import grade

Figures = dict[str, Any]
PLANTED, FIRST_PLANTED = 0.05, 3
"""Share of the bits that are flipped, and the first scale (from 0) at which they are."""
CANDIDATES: Mapping[str, dict[str, int]] = {
    "one": {},
    "best of 4": {"candidates": 4},
    "best of 4, half dropped": {"candidates": 4, "prune_at_scale": 4},
    "best of 8": {"candidates": 8},
}
EVERY = 7
"""Candidates are drawn of each so many-th prompt of the exam, so of all categories alike."""
THIRD = 1 / 6
"""What a 3:2 picture lacks of a square one, above and below."""


def edits(pipeline: InfinityPipeline, case: int) -> Figures:
    """A thing is replaced: by a box around its half, and by its word alone."""
    pair = pairs()[case]
    source = draw(pipeline, pair.before, case)
    image = source.images[0]
    figures: Figures = {"source right": {pair.old, pair.other} <= concepts(image)}
    ways = {"box": BOXES[pair.relation], "words": None}
    for way, area in ways.items():
        done = pipeline.generate(tasks.edit(pipeline, image, area, prompt=pair.after))
        assert done.request.start is not None
        region, there = unpack_region(done.request.start.region), concepts(done.images[0])
        figures[way] = {
            "bits kept outside": kept_outside(pipeline, done),
            "new there": pair.new in there,
            "old gone": pair.old not in there,
            "other stays": pair.other in there,
            "region": float(region.mean()),
            "psnr outside": psnr(image, done.images[0], ~region),
        }
    return figures


def changes(pipeline: InfinityPipeline, case: int) -> Figures:
    """The only thing of a picture becomes another one by its word alone; what the seed chose stays."""
    asked = exam("single_object")
    one, other = asked[case % len(asked)], asked[(case + 1 + case // len(asked)) % len(asked)]
    old, new = one.include[0].concept, other.include[0].concept
    source = draw(pipeline, one.prompt, case)
    done = pipeline.generate(tasks.edit(pipeline, source.images[0], None, prompt=other.prompt))
    assert done.request.start is not None
    region, there = unpack_region(done.request.start.region), concepts(done.images[0])
    return {
        "source right": old in concepts(source.images[0]),
        "bits kept": 1 - changed(pipeline, source, done),
        "bits kept of another picture": 1
        - changed(pipeline, source, draw(pipeline, other.prompt, case)),
        "region": float(region.mean()),
        "new there": new in there,
        "old gone": old not in there,
        "psnr of the border": psnr(source.images[0], done.images[0], _border(region)),
    }


def _border(region: np.ndarray) -> np.ndarray:
    """The outermost tokens of a picture."""
    border = np.ones_like(region)
    border[1:-1, 1:-1] = False
    return border


def branches(pipeline: InfinityPipeline, case: int) -> Figures:
    """Coarse scales of a picture, the rest drawn with another seed ("vary") or taken of another ("mix")."""
    asked = exam("single_object")
    prompt, other = asked[case], asked[(case + 1) % len(asked)]
    one, two = draw(pipeline, prompt.prompt, case), draw(pipeline, other.prompt, case + 1000)
    figures: Figures = {}
    of_one, of_two = scales(pipeline, one), scales(pipeline, two)
    for kept in range(len(of_one)):
        varied = pipeline.generate(tasks.vary(pipeline, one.images[0], kept, seed=case + 2000))
        mixed = pipeline.generate(tasks.mix(pipeline, one.images[0], two.images[0], kept))
        same = list(map(same_bits, of_one, scales(pipeline, varied)))
        there = concepts(mixed.images[0])
        figures[f"keep {kept}"] = {
            "vary bits kept": float(np.mean(same[:kept] or 1)),
            "vary later bits the same": float(np.mean(same[kept:])),
            "vary right": not grade(prompt, seen(varied.images[0])),
            "vary distance": distance(one, varied),
            "mix shows coarse": prompt.include[0].concept in there,
            "mix shows fine": other.include[0].concept in there,
            "mix bits as asked": float(
                np.mean(
                    list(map(same_bits, of_one[:kept] + of_two[kept:], scales(pipeline, mixed)))
                )
            ),
        }
    return figures


def same_bits(one: torch.Tensor, other: torch.Tensor) -> float:
    """Share of the bits of a scale that are equal."""
    return float((one == other).float().mean())


def extensions(pipeline: InfinityPipeline, case: int) -> Figures:
    """The middle of a picture, cut to 3:2 and extended to a square again."""
    prompt = exam("scene")[case]
    cut = cut_of(draw(pipeline, prompt.prompt, case).images[0])
    done = pipeline.generate(
        tasks.extend(pipeline, cut, "1:1", prompt=prompt.prompt, seed=case + 1000)
    )
    image = done.images[0]
    return {
        "bits kept": kept_outside(pipeline, done),
        "right": not grade(prompt, seen(image)),
        "psnr of the middle": psnr(cut, cut_of(image)),
    }


def cut_of(image: Image.Image) -> Image.Image:
    """The middle of a square picture as 3:2."""
    return image.crop(
        (0, round(image.height * THIRD), image.width, round(image.height * (1 - THIRD)))
    )


def repairs(pipeline: InfinityPipeline, case: int) -> Figures:
    """Bits flipped at random at one scale, drawn by lot, or at all from the fourth on; then repaired."""
    tags = ("single_object", "position", "scene", "colors", "style")
    return _repairs(pipeline, case, exam(tags[case % len(tags)])[case // len(tags)].prompt)


def unknown_repairs(pipeline: InfinityPipeline, case: int) -> Figures:
    """The same of pictures of things that the model does not know."""
    return _repairs(pipeline, case, unknown(pipeline)[case])


def _repairs(pipeline: InfinityPipeline, case: int, prompt: str) -> Figures:
    source = draw(pipeline, prompt, case + 5000)
    plain_s = timed(lambda: draw(pipeline, prompt, case))[1]
    rng = np.random.default_rng(case)
    one = int(rng.integers(FIRST_PLANTED, len(scales(pipeline, source))))
    untouched = repaired(pipeline, source)
    figures: Figures = {
        "untouched changed": changed(pipeline, source, untouched),
        "untouched distance": distance(source, untouched),
    }
    for plan in ("one scale", "all scales"):
        planted = plant(pipeline, source, rng, one if plan == "one scale" else None)
        after, taken_s = timed(lambda it=planted: repaired(pipeline, it))
        figures[plan] = {
            "plain draws": taken_s / plain_s,
            "damage": distance(source, planted),
            "left": distance(source, after),
            "bits wrong before": changed(pipeline, source, planted),
            "bits wrong after": changed(pipeline, source, after),
        }
    figures[f"at scale {one + 1} alone"] = figures["one scale"]
    return figures


def plant(
    pipeline: InfinityPipeline, source: Done, rng: np.random.Generator, scale: int | None
) -> Done:
    """The picture with bits flipped at one scale (counted from 0), or at all of them."""
    bits = [
        each ^ torch.from_numpy(rng.random(each.shape) < PLANTED)
        if index >= FIRST_PLANTED and scale in (None, index)
        else each
        for index, each in enumerate(scales(pipeline, source))
    ]
    start = Start(bits=pack_bits(bits), keep_scales=len(bits))
    return pipeline.generate(replace(source.request, start=start))


def repaired(pipeline: InfinityPipeline, done: Done) -> Done:
    return pipeline.generate(tasks.repair(pipeline, done.images[0]))


def changed(pipeline: InfinityPipeline, one: Done, other: Done) -> float:
    """Share of the bits that differ."""
    a, b = (torch.cat(scales(pipeline, each)) for each in (one, other))
    return float((a != b).float().mean())


def distance(one: Done, other: Done) -> float:
    """Between the judge's features of two pictures."""
    a, b = (seen(each.images[0]).features for each in (one, other))
    return float(np.linalg.norm(a - b))


def words(pipeline: InfinityPipeline, case: int) -> Figures:
    """Where the model looked at each of two words, against where the judge sees the things."""
    pair = pairs()[case]
    done = draw(pipeline, pair.before, case)
    spans = pipeline.text_encoder.encode(pair.before).spans
    _, inspected = tasks.inspect(pipeline, done.images[0])
    boundary = pair.before.index(f" {pair.relation} ")
    first = [index for index, (_, stop) in enumerate(spans) if 0 < stop <= boundary]
    second = [
        index
        for index, (start, stop) in enumerate(spans)
        if stop > start >= boundary + len(pair.relation) + 2
    ]
    last = inspected[-1]
    maps = {}
    for thing, columns in ((pair.old, first), (pair.other, second)):
        total = np.zeros((last.height, last.width))
        for scale in inspected[FIRST_PLANTED:]:
            one = scale.attention_Tl[columns].sum(0).reshape(scale.height, scale.width)
            enlarged = Image.fromarray(one / one.sum()).resize((last.width, last.height))
            total += np.asarray(enlarged)
        maps[thing] = total / total.sum()
    difference = maps[pair.old] - maps[pair.other]
    centers = [_center(np.clip(sign * difference, 0, None)) for sign in (1, -1)]
    dx, dy = (np.array(centers[0]) - centers[1]).tolist()
    sides = {"left of": dx < 0, "right of": dx > 0, "above": dy < 0, "below": dy > 0}
    objects = seen(done.images[0]).objects
    figures: Figures = {"on the side asked for": sides[pair.relation]}
    known = [[one for one in objects if one.concept == thing] for thing in maps]
    if all(known):
        figures["side in the picture too"] = any(
            is_at(one, pair.relation, it) for one in known[0] for it in known[1]
        )
        for name, found, (x, y) in zip(("first", "second"), known, centers, strict=True):
            figures[f"{name} inside its box"] = any(
                abs(x - one.x) <= one.width / 2 and abs(y - one.y) <= one.height / 2
                for one in found
            )
    return figures


def _center(map_hw: np.ndarray) -> tuple[float, float]:
    """(x, y) of the center of mass, in shares of the picture."""
    height, width = map_hw.shape
    weight = map_hw / map_hw.sum()
    x, y = (np.arange(width) + 0.5) / width, (np.arange(height) + 0.5) / height
    return float((weight.sum(0) * x).sum()), float((weight.sum(1) * y).sum())


def candidates(pipeline: InfinityPipeline, case: int) -> Figures:
    """The best of several by the judge, marked by the same judge, and what it costs in plain draws."""
    prompt = exam()[case * EVERY]
    draw(pipeline, prompt.prompt, case)  # whatever only the first draw takes is not counted
    plain_s = timed(lambda: draw(pipeline, prompt.prompt, case))[1]
    figures: Figures = {}
    for name, settings in CANDIDATES.items():
        done, taken_s = timed(lambda it=settings: draw(pipeline, prompt.prompt, case, **it))
        right = not grade(prompt, seen(done.images[0]))
        figures[name] = {"right": right, "draws": taken_s / plain_s}
    return figures


def seconds(pipeline: InfinityPipeline, case: int) -> Figures:
    """Processor time of each feature in plain draws, its reading of the source apart."""
    pair = pairs()[case]
    image = draw(pipeline, pair.before, case).images[0]
    makers: dict[str, Callable[[], Any]] = {
        "vary": lambda: tasks.vary(pipeline, image, 3, seed=1),
        "edit a box": lambda: tasks.edit(pipeline, image, (0, 0, 0.5, 1), prompt=pair.after),
        "edit by words": lambda: tasks.edit(pipeline, image, None, prompt=pair.after),
        "mix": lambda: tasks.mix(pipeline, image, image, 3),
        "repair": lambda: tasks.repair(pipeline, image),
        "extend": lambda: tasks.extend(pipeline, cut_of(image), "1:1", prompt=pair.before),
    }
    plain = timed(lambda: draw(pipeline, pair.before, case))[1]
    figures: Figures = {"draw in seconds": plain}
    for name, make in makers.items():
        request, reading = timed(make)
        drawing = timed(lambda it=request: pipeline.generate(it))[1]
        figures[name] = {"reading": reading / plain, "drawing": drawing / plain}
    figures["inspect"] = timed(lambda: tasks.inspect(pipeline, image))[1] / plain
    return figures


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    started_s = time.process_time()
    result = work()
    return result, time.process_time() - started_s


SUBJECTS: Mapping[str, tuple[Callable[[InfinityPipeline, int], Figures], int]] = {
    "seconds": (seconds, 8),
    "repairs": (repairs, 50),
    "repairs of unknown things": (unknown_repairs, 35),
    "changes": (changes, 100),
    "words": (words, 105),
    "extensions": (extensions, 50),
    "candidates": (candidates, 120),
    "branches": (branches, 50),
    "edits": (edits, 500),
}
"""Subject -> how a case is measured, and how many there are."""
