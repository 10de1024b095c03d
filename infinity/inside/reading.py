"""A picture as the model reads it, scale by scale: its bits, the picture so far, the words of its prompt.

Legend: h w tokens of the last scale, H W pixels.
"""

import re
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image

from infinity.devices import memory_errors
from infinity.edit.files import Picture
from infinity.edit.tasks import inspect_bits, kept
from infinity.errors import RequestError, StoppedError
from infinity.generation.drawing import LESS_MEMORY
from infinity.generation.inputs import PictureInputs
from infinity.generation.inspection import InspectedScale
from infinity.images import images_from_tensor
from infinity.inside import maps
from infinity.pipeline import InfinityPipeline
from infinity.request import GenerationRequest

_WORD = re.compile(r"[\w'’-]+")


@dataclass(frozen=True)
class Word:
    """A word of the prompt, and the text tokens it is made of at each scale (none where the prompt does
    not have it)."""

    text: str
    tokens: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Inspection:
    """What the model thinks of every bit of a picture.

    Attributes:
        model, weights: its name, and the pipeline's fingerprint of it.
        request: the picture with all of its bits kept, and the words it was read with.
        bits: of all scales (``infinity.packing``).
    """

    model: str
    weights: str
    request: GenerationRequest
    bits: str
    scales: tuple[InspectedScale, ...]
    words: tuple[Word, ...]

    @property
    def bits_per_token(self) -> int:
        return self.scales[0].bits_lD.shape[1]

    @property
    def nbytes(self) -> int:
        """Of all arrays."""
        arrays = (value for scale in self.scales for value in vars(scale).values())
        return sum(value.nbytes for value in arrays if isinstance(value, np.ndarray))

    def check_like(self, other: "Inspection") -> None:
        """Raises RequestError where the two cannot be laid side by side."""
        shapes = [[(s.height, s.width) for s in each.scales] for each in (self, other)]
        if self.model != other.model or shapes[0] != shapes[1]:
            raise RequestError(
                "The two pictures are of other models or aspect ratios; choose two of the same."
            )


@dataclass(frozen=True)
class Look:
    """An inspection with its pictures.

    Attributes:
        pictures: decoded after each scale, RGB.
        added: (H, W) float32 each, what a scale did to the brightness; the first compares with the
            decoding of no codes at all.
        decided_hw: float32, see :func:`infinity.inside.maps.decided`.
    """

    inspection: Inspection
    pictures: tuple[Image.Image, ...]
    added: tuple[np.ndarray, ...]
    decided_hw: np.ndarray


def look(
    pipeline: InfinityPipeline,
    image: Picture,
    prompt: str = "",
    *,
    model: str,
    cancel: threading.Event,
    check: Callable[[GenerationRequest], None] = lambda request: None,
) -> Iterator[float | Look]:
    """Read a picture: how much is done, from 0 to 1, a step a scale, and at last what was found.

    Args:
        image: any; drawn by this model, its own bits are read.
        prompt: in place of the picture's own; "" for that.
        model: what to call the pipeline's model.
        cancel: set it, from any thread, to stop.
        check: raises what stands against the picture's own request, which is not known before.

    Raises:
        RequestError: no prompt is given for a picture that brings none.
        ResourceError: out of memory.
        StoppedError: cancelled.
    """
    request = kept(pipeline, image, prompt, cancel)
    assert request.start is not None, "its bits are all kept"
    check(request)
    schedule, pictures = pipeline.spec.schedule(request.aspect_ratio), []
    scales: list[InspectedScale] = []
    with closing(pipeline.run(_read, request, request.start.bits)) as steps:
        for scale, picture in steps:
            if cancel.is_set():
                raise StoppedError
            pictures.append(picture)
            if scale is not None:
                scales.append(scale)
                yield len(scales) / len(schedule)
    (words,) = pipeline.run(_words, request)
    bits, whose = request.start.bits, (model, pipeline.fingerprint)
    inspection = Inspection(*whose, request, bits, tuple(scales), words)
    added = tuple(map(maps.added, pictures, pictures[1:]))
    yield Look(inspection, tuple(pictures[1:]), added, maps.decided(pictures[1:], schedule[-1]))


def _read(
    pipeline: InfinityPipeline, request: GenerationRequest, bits: str
) -> Iterator[tuple[InspectedScale | None, Image.Image]]:
    """The decoding of no codes, then every scale and the picture so far."""
    yield None, _decoded(pipeline, _no_codes(pipeline, request))
    for scale in inspect_bits(pipeline, request, bits):
        yield scale, _decoded(pipeline, scale.latent_dyx)


def _words(pipeline: InfinityPipeline, request: GenerationRequest) -> Iterator[tuple[Word, ...]]:
    (read, *_), _ = pipeline.read(request)
    yield words_of(read, len(pipeline.spec.schedule(request.aspect_ratio)))


def _decoded(pipeline: InfinityPipeline, latent_dyx: np.ndarray) -> Image.Image:
    with memory_errors("decoding", LESS_MEMORY), torch.inference_mode():
        (image,) = images_from_tensor(pipeline.tokenizer.decode(torch.from_numpy(latent_dyx)[None]))
    return image


def words_of(picture: PictureInputs, num_scales: int) -> tuple[Word, ...]:
    """The words of a prompt in its order; one that it has throughout, however it changes, is one word."""
    found: dict[tuple[str, int], list[tuple[int, ...]]] = {}
    for index in range(num_scales):
        part, seen = picture.part(index), []
        for match in _WORD.finditer(part.text):
            key = match[0], seen.count(match[0])
            seen.append(match[0])
            tokens = tuple(
                number
                for number, (first, stop) in enumerate(part.spans)
                if max(first, match.start()) < min(stop, match.end())
            )
            nowhere: list[tuple[int, ...]] = [()] * num_scales
            found.setdefault(key, nowhere)[index] = tokens
    return tuple(Word(text, tuple(tokens)) for (text, _), tokens in found.items())


def word_maps(scales: Sequence[InspectedScale], word: Word) -> list[np.ndarray]:
    """Per scale (h, w) float32: the attention that went to the word."""
    return [
        maps.attention(scale, tokens) for scale, tokens in zip(scales, word.tokens, strict=True)
    ]


def _no_codes(pipeline: InfinityPipeline, request: GenerationRequest) -> np.ndarray:
    schedule, config = pipeline.spec.schedule(request.aspect_ratio), pipeline.tokenizer.config
    size = schedule.latent_size(len(schedule) - 1, config.patch)
    return np.zeros((config.bits, *size), np.float32)
