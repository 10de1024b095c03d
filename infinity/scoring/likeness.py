"""How much a picture looks like what was asked for, in the eyes of the judge.

Legend: B pictures, y x cells of the judge's grid.
"""

import math
from collections.abc import Sequence

import torch
from PIL import Image
from torch import Tensor

from infinity.scoring.asked import Asked, Thing
from infinity.scoring.judge import Detection, Judge, Output, box_at, is_at, peaks, to_pixels

LEAST = 1e-4
"""The least probability, so that one thing missed is not worse than all."""
MOST_PEAKS = 5


@torch.inference_mode()
def likeness(judge: Judge, asked: Asked, images: Sequence[Image.Image]) -> list[float]:
    """Sums of log probabilities, at most 0: of every thing in its number, color and style, of its place
    beside the next, of the scene."""
    output, words = judge(to_pixels(images)), judge.words
    color, style, scene = (part.float().softmax(1) for part in output[2:5])
    heat = output.heat.float().sigmoid()
    totals = [0.0] * len(images)
    if asked.scene:
        of_scene = scene[:, words.scenes.index(asked.scene)].tolist()
        totals = [_log(probability) for probability in of_scene]
    for b in range(len(images)):
        before: tuple[Thing, list[tuple[float, Detection]]] | None = None
        for thing in asked.things:
            looks = heat[b, words.concepts.index(thing.concept)]
            is_peak = peaks(looks[None])[0]
            if thing.color in words.colors:
                looks = looks * color[b, words.colors.index(thing.color)]
            if asked.style:
                looks = looks * style[b, words.styles.index(asked.style)]
            found = _found(output, b, looks * is_peak, thing)
            totals[b] += _things(found, thing.count)
            if before is not None and (relation := before[0].relation):
                totals[b] += _log(_related(before[1], relation, found))
            before = thing, found
    return totals


def _found(output: Output, b: int, looks_yx: Tensor, thing: Thing) -> list[tuple[float, Detection]]:
    """The likeliest places of a thing, the likeliest first: (probability, where)."""
    best = looks_yx.flatten().topk(MOST_PEAKS)
    places = [divmod(place, looks_yx.shape[1]) for place in best.indices.tolist()]
    return [
        (probability, Detection(thing.concept, thing.color, "", *box_at(output, b, y, x)))
        for probability, (y, x) in zip(best.values.tolist(), places, strict=True)
    ]


def _things(found: Sequence[tuple[float, Detection]], count: int | None) -> float:
    """So many of a thing, and where a number was asked for no more."""
    there = sum(_log(probability) for probability, _ in found[: count or 1])
    return there if count is None else there + _log(1 - found[count][0])


def _related(
    ones: Sequence[tuple[float, Detection]],
    relation: str,
    others: Sequence[tuple[float, Detection]],
) -> float:
    return max(
        (
            p * q
            for p, one in ones
            for q, other in others
            if one is not other and is_at(one, relation, other)
        ),
        default=0.0,
    )


def _log(probability: float) -> float:
    return math.log(max(probability, LEAST))
