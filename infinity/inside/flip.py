"""One bit of a picture turned over: the picture with it, and how the later scales answer."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch

from infinity.errors import RequestError, StoppedError
from infinity.events import Done
from infinity.inside.reading import Inspection
from infinity.packing import pack_bits, unpack_bits
from infinity.pipeline import InfinityPipeline
from infinity.request import GenerationRequest
from infinity.start import Start


@dataclass(frozen=True)
class Place:
    """A bit of a picture; all count from 0."""

    scale: int
    row: int
    column: int
    bit: int = 0

    def check(self, inspection: Inspection) -> None:
        """Raises RequestError for a place that the picture does not have."""
        scales = inspection.scales
        sizes = [("scale", self.scale, len(scales))]
        if 0 <= self.scale < len(scales):
            scale = scales[self.scale]
            sizes += [("row", self.row, scale.height), ("column", self.column, scale.width)]
            sizes += [("bit", self.bit, scale.bits_lD.shape[1])]
        for name, value, count in sizes:
            if not 0 <= value < count:
                raise RequestError(
                    f"There is no {name} {value + 1} here; choose one from 1 to {count}."
                )

    def token(self, inspection: Inspection) -> int:
        """Which of its scale's tokens, row by row."""
        return self.row * inspection.scales[self.scale].width + self.column


@dataclass(frozen=True)
class FlipRequests:
    """Three requests about a flipped bit, each complete in itself.

    Attributes:
        alone: the bit flipped, all others kept.
        answered: the scales after it drawn anew, with the picture's seed.
        unanswered: the same drawing on without the flip, to compare it with; of a picture that was
            drawn plainly it is the picture itself.
    """

    alone: GenerationRequest
    answered: GenerationRequest
    unanswered: GenerationRequest


def flip_requests(inspection: Inspection, place: Place) -> FlipRequests:
    """Raises RequestError for a place that the picture does not have."""
    place.check(inspection)
    bits = [scale.bits_lD.copy() for scale in inspection.scales]
    bits[place.scale][place.token(inspection), place.bit] ^= True
    flipped = pack_bits([torch.from_numpy(each) for each in bits])

    def drawing(bits: str, keep_scales: int) -> GenerationRequest:
        return replace(inspection.request, start=Start(bits=bits, keep_scales=keep_scales))

    answering = place.scale + 1
    return FlipRequests(
        drawing(flipped, len(bits)),
        drawing(flipped, answering),
        drawing(inspection.bits, answering),
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


def changed_bits(pipeline: InfinityPipeline, first: Done, second: Done) -> list[np.ndarray]:
    """Per scale (h, w) float32: the share of a token's bits in which two pictures differ."""
    schedule = pipeline.spec.schedule(first.request.aspect_ratio)
    count = pipeline.tokenizer.config.bits_per_token
    pairs = (unpack_bits(done.bits[0], schedule, count) for done in (first, second))
    return [
        (one ^ other).float().mean(dim=-1).view(scale.height, scale.width).numpy()
        for scale, one, other in zip(schedule, *pairs, strict=True)
    ]
