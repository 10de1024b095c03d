"""What people do with a picture's bits, each as a request: vary, edit, mix, repair, extend, inspect.

The requests are complete: their records draw the results again without the pictures they began from.
"""

import threading
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from typing import Any

from PIL import Image

from infinity.devices import memory_errors
from infinity.edit.files import Picture
from infinity.edit.regions import WHOLE, region_of_box, region_of_mask, region_of_words
from infinity.edit.sources import Source, on_canvas, source_of
from infinity.errors import RequestError, StoppedError
from infinity.generation import inspection
from infinity.generation.drawing import LESS_MEMORY
from infinity.generation.inspection import InspectedScale
from infinity.images import covered, rgb
from infinity.packing import unpack_bits
from infinity.pipeline import InfinityPipeline
from infinity.prompt import words
from infinity.request import GenerationRequest
from infinity.start import REPAIR_DOUBT, Start
from infinity.wildcards import expand

AS_TAUGHT = {"guidance": 1.0, "temperature": 1.0}
Area = Image.Image | Sequence[float] | None
"""A mask, a box (left, top, right, bottom as shares), or everything. Both are of the whole picture as it is
given, upright; what the model's aspect ratio cuts off of the picture is cut off of them, too."""


def vary(
    pipeline: InfinityPipeline, image: Picture, keep_scales: int, **settings: Any
) -> GenerationRequest:
    """The coarse scales of a picture, the rest drawn anew: another seed, prompt, guidance, ...

    Args:
        settings: of the request; what is not given is as it was, for pictures drawn here. What a new prompt
            leaves open, where a model of a small world would let the seed choose, stays as the picture's
            prompt tells it ("a dog" where "a cat in the snow" was is in the snow), unless
            ``complete_prompt`` is given.

    Raises:
        RequestError: no prompt is given for a picture that brings none, or wrong settings. Here and
            below also as ``source_of``.
    """
    source = source_of(pipeline, image)
    start = Start(bits=source.bits, keep_scales=keep_scales)
    return _reworded(source, start, settings)


def edit(
    pipeline: InfinityPipeline,
    image: Picture,
    area: Area,
    *,
    keep_scales: int = 0,
    softness: int = 0,
    **settings: Any,
) -> GenerationRequest:
    """A part of a picture drawn anew; all bits outside of it stay.

    Args:
        area: the part; None finds it by the words that ``prompt`` changes, for pictures drawn here.
        softness: tokens over which the part's edge is soft.
        settings: as of :func:`vary`.

    Raises:
        RequestError: nothing is to change.
    """
    source = source_of(pipeline, image)
    if area is None:
        region = _region_of_words(pipeline, source, settings)
    else:
        region = _region(pipeline, source, area, image)
    start = Start(bits=source.bits, region=region, keep_scales=keep_scales, softness=softness)
    return _reworded(source, start, settings)


def mix(
    pipeline: InfinityPipeline,
    coarse: Picture,
    fine: Picture,
    keep_scales: int,
    **settings: Any,
) -> GenerationRequest:
    """The coarse scales of one picture, the fine ones of another."""
    source = source_of(pipeline, coarse)
    finer = source_of(pipeline, fine, source.aspect_ratio)
    start = Start(bits=source.bits, keep_scales=keep_scales, finer_bits=finer.bits)
    if source.request is None and not settings.get("prompt"):
        settings["prompt"] = "a mix of two pictures"  # nothing of it is drawn
    return _request(source, start, settings)


def repair(
    pipeline: InfinityPipeline,
    image: Picture,
    area: Area = None,
    *,
    doubt: float = REPAIR_DOUBT,
    rounds: int = 1,
    **settings: Any,
) -> GenerationRequest:
    """The bits put right that are errors as far as the model can tell: self-correction at inference.

    A picture that was not drawn here is read as training taught the model to read: without guidance, at
    temperature 1, unless other settings are given. Its bits were not drawn with any.

    Args:
        doubt: the largest share of a scale's bits that is taken for errors (``infinity.start``).
        rounds: how often, each time on what came of the time before.
    """
    source = source_of(pipeline, image)
    if source.request is None:
        settings = {**AS_TAUGHT, **settings}
    region = "" if area is None else _region(pipeline, source, area, image)
    start = Start(bits=source.bits, region=region, doubt=doubt, rounds=rounds)
    return _request(source, start, settings)


def extend(
    pipeline: InfinityPipeline, image: Picture, aspect_ratio: str, **settings: Any
) -> GenerationRequest:
    """A picture in the middle of a wider or taller one, drawn around it."""
    source = source_of(pipeline, image)
    canvas, region = on_canvas(pipeline, image, aspect_ratio)
    start = Start(bits=canvas.bits, region=region)
    return _request(replace(source, aspect_ratio=aspect_ratio), start, settings)


def kept(
    pipeline: InfinityPipeline,
    image: Picture,
    prompt: str = "",
    cancel: threading.Event | None = None,
) -> GenerationRequest:
    """A picture with all of its bits; drawn, it is the picture as the model decodes it.

    Args:
        prompt: in place of the picture's own; "" for that.
        cancel: set it, from any thread, to stop.
    """
    source = source_of(pipeline, image, cancel=cancel)
    start = Start(bits=source.bits, keep_scales=len(pipeline.spec.schedule(source.aspect_ratio)))
    return _request(source, start, {"prompt": prompt} if prompt else {})


def inspect(
    pipeline: InfinityPipeline, image: Picture, prompt: str = ""
) -> tuple[GenerationRequest, tuple[InspectedScale, ...]]:
    """What the model thinks of every bit of a picture, and the request whose prompt and sampling it read.

    Args:
        prompt: in place of the picture's own; "" for that.
    """
    request = kept(pipeline, image, prompt)
    assert request.start is not None, "its bits are all kept"
    return request, tuple(inspect_bits(pipeline, request, request.start.bits))


def inspect_bits(
    pipeline: InfinityPipeline,
    request: GenerationRequest,
    bits: str,
    cancel: threading.Event | None = None,
) -> Iterator[InspectedScale]:
    """What the model thinks of every bit of a picture that ``request`` could have drawn, scale by scale.

    Args:
        bits: of all scales, of the request's aspect ratio.
        cancel: set it, from any thread, to stop.

    Raises:
        RequestError: bits of another model or aspect ratio.
        ResourceError: out of memory.
        StoppedError: cancelled.
    """
    with closing(pipeline.run(_inspect_bits, pipeline.check(request), bits)) as steps:
        for step in steps:
            if cancel is not None and cancel.is_set():
                raise StoppedError
            yield step


def _inspect_bits(
    pipeline: InfinityPipeline, request: GenerationRequest, bits: str
) -> Iterator[InspectedScale]:
    schedule, tokenizer = pipeline.spec.schedule(request.aspect_ratio), pipeline.tokenizer.config
    unpacked = unpack_bits(bits, schedule, tokenizer.bits_per_token)
    (picture, *_), _ = pipeline.read(request)
    sampling = request.sampling(pipeline.spec.sampling)
    steps = inspection.inspect(
        pipeline.transformer, tokenizer, picture, unpacked, schedule, sampling
    )
    for _ in schedule:
        with memory_errors("reading the bits", LESS_MEMORY):
            step = next(steps)
        yield step


def _request(source: Source, start: Start, settings: dict[str, Any]) -> GenerationRequest:
    given = {name: value for name, value in settings.items() if value is not None}
    if source.request is not None:
        changed: dict[str, Any] = {"start": start, "aspect_ratio": source.aspect_ratio, **given}
        return replace(source.request, **changed)
    if "prompt" not in given:
        raise RequestError(
            "This picture brings no prompt, as it was not drawn by this model; say what it shows."
        )
    given.setdefault("complete_prompt", False)  # what is to be drawn on leaves nothing open
    return GenerationRequest(**given, aspect_ratio=source.aspect_ratio, start=start)


def _reworded(source: Source, start: Start, settings: dict[str, Any]) -> GenerationRequest:
    """The request for a picture under a new prompt, which leaves the rest as the picture's own tells it."""
    asked = settings.get("complete_prompt") is not None
    if source.request is not None and settings.get("prompt") and not asked:
        own = expand(source.request.prompt, source.request.seed)
        start = replace(start, told=words(own))
        settings = {**settings, "complete_prompt": True}
    return _request(source, start, settings)


def _region(
    pipeline: InfinityPipeline,
    source: Source,
    area: Image.Image | Sequence[float],
    image: Picture,
) -> str:
    last, seen = pipeline.spec.schedule(source.aspect_ratio)[-1], WHOLE
    if isinstance(image, Image.Image):
        seen = covered(rgb(image), *pipeline.spec.image_size(source.aspect_ratio))
    if isinstance(area, Image.Image):
        return region_of_mask(area, last, seen)
    return region_of_box(area, last, seen)


def _region_of_words(pipeline: InfinityPipeline, source: Source, settings: dict[str, Any]) -> str:
    if source.request is None:
        raise RequestError(
            "Which part is to change cannot be told from words alone for this picture; mark it with a "
            "mask or a box."
        )
    if not (settings.get("prompt") or "").strip():
        raise RequestError(
            "Say what the picture is to show, in other words than its own, or mark the part that is to "
            "change with a mask or a box."
        )
    after = _reworded(source, Start(bits=source.bits), settings)
    read = [
        tuple(inspect_bits(pipeline, request, source.bits)) for request in (source.request, after)
    ]
    return region_of_words(*read)
