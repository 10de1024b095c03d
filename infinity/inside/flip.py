"""Bits of a picture turned over: the picture with them, and how the later scales answer."""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from infinity.errors import RequestError, StoppedError, quoted
from infinity.events import Done
from infinity.generation.inspection import InspectedScale
from infinity.packing import pack_bits, unpack_bits
from infinity.pipeline import InfinityPipeline
from infinity.request import GenerationRequest
from infinity.schedule import Scale
from infinity.spec import ModelSpec
from infinity.start import Start

MOST_FLIPS = 1000
PICTURES = 3
"""That a flip draws."""
Scales = Sequence[Scale | InspectedScale]


@dataclass(frozen=True)
class Place:
    """A bit of a picture; all count from 0."""

    scale: int
    row: int
    column: int
    bit: int = 0

    @classmethod
    def numbered(cls, numbers: Sequence[Any]) -> Self:
        """From scale, row, column and bit as people count them, from 1. Raises RequestError for anything
        else."""
        is_list = isinstance(numbers, Sequence) and len(numbers) == 4
        if not is_list or not all(type(number) is int for number in numbers):
            raise RequestError(
                "A bit is named by its scale, row, column and number, each from 1, such as 5,3,4,12; not "
                f"{quoted(numbers)}."
            )
        return cls(*(number - 1 for number in numbers))

    def check(self, scales: Scales, bits: int) -> None:
        """Raises RequestError for a place that a picture of these scales and bits a token does not have."""
        sizes = [("scale", self.scale, len(scales))]
        if 0 <= self.scale < len(scales):
            scale = scales[self.scale]
            sizes += [("row", self.row, scale.height), ("column", self.column, scale.width)]
            sizes += [("bit", self.bit, bits)]
        for name, value, count in sizes:
            if not 0 <= value < count:
                raise RequestError(
                    f"There is no {name} {value + 1} here; choose one from 1 to {count}."
                )

    def token(self, scales: Scales) -> int:
        """Which of its scale's tokens, row by row."""
        return self.row * scales[self.scale].width + self.column


@dataclass(frozen=True)
class FlipRequests:
    """Three requests about flipped bits, each complete in itself.

    Attributes:
        alone: they are flipped, all others kept.
        answered: the scales after the last of them drawn anew, with the picture's seed.
        unanswered: the same drawing on without the flip, to compare it with; of a picture that was
            drawn plainly it is the picture itself.
    """

    alone: GenerationRequest
    answered: GenerationRequest
    unanswered: GenerationRequest


def flip_requests(
    spec: ModelSpec, request: GenerationRequest, places: Sequence[Place]
) -> FlipRequests:
    """What flipping some bits of a picture asks for.

    Args:
        request: the picture with all of its bits (``infinity.edit.tasks.kept``).

    Raises:
        RequestError: a place that the picture does not have, none at all, or too many.
    """
    if not 0 < len(places) <= MOST_FLIPS:
        raise RequestError(f"Name 1 to {MOST_FLIPS:,} bits to flip, not {len(places):,}.")
    assert request.start is not None, "its bits are all kept"
    schedule, count = spec.schedule(request.aspect_ratio), spec.tokenizer.bits_per_token
    bits = unpack_bits(request.start.bits, schedule, count)
    scales = tuple(schedule)
    for place in dict.fromkeys(places):
        place.check(scales, count)
        bits[place.scale][place.token(scales), place.bit] ^= True
    flipped, answering = pack_bits(bits), 1 + max(place.scale for place in places)

    def drawing(bits: str, keep_scales: int) -> GenerationRequest:
        return replace(request, start=Start(bits=bits, keep_scales=keep_scales))

    return FlipRequests(
        drawing(flipped, len(schedule)),
        drawing(flipped, answering),
        drawing(request.start.bits, answering),
    )


def draw_flip(
    pipeline: InfinityPipeline, requests: FlipRequests, cancel: threading.Event
) -> Iterator[Done]:
    """Draw the three, in their order.

    Raises:
        ResourceError: out of memory.
        StoppedError: cancelled.
    """
    for request in (requests.alone, requests.answered, requests.unanswered):
        events = pipeline.stream(request, cancel=cancel, previews="off")
        done = next((event for event in events if isinstance(event, Done)), None)
        if done is None:
            raise StoppedError
        yield done


def changed_bits(spec: ModelSpec, first: Done, second: Done) -> list[np.ndarray]:
    """Per scale (h, w) int: how many bits of a token differ between two pictures."""
    schedule, count = spec.schedule(first.request.aspect_ratio), spec.tokenizer.bits_per_token
    pairs = (unpack_bits(done.bits[0], schedule, count) for done in (first, second))
    return [
        (one ^ other).sum(dim=-1).view(scale.height, scale.width).numpy()
        for scale, one, other in zip(schedule, *pairs, strict=True)
    ]


def told(spec: ModelSpec, changed: Sequence[np.ndarray]) -> list[dict[str, int]]:
    """What :func:`changed_bits` found, JSON-ready: a scale's size, its bits, and how many changed."""
    return [
        {
            "height": changed_hw.shape[0],
            "width": changed_hw.shape[1],
            "bits": changed_hw.size * spec.tokenizer.bits_per_token,
            "changed": int(changed_hw.sum()),
        }
        for changed_hw in changed
    ]
