"""The bits that a picture begins from: of a picture drawn here, of any picture, of a larger canvas."""

import threading
from dataclasses import dataclass, replace

import numpy as np
import torch
from PIL import Image, ImageFilter, ImageOps

from infinity.edit.files import Picture, PictureBits
from infinity.edit.regions import pack_tokens
from infinity.errors import RequestError, StoppedError, quoted
from infinity.events import Done
from infinity.images import rgb
from infinity.metadata import KEY, PictureRecord, attach, read_record, weights_note
from infinity.packing import pack_bits, unpack_bits
from infinity.pipeline import InfinityPipeline
from infinity.request import GenerationRequest
from infinity.schedule import nearest_aspect_ratio
from infinity.start import Start
from infinity.tokenizer.reconstruction import Reconstruction

_BLUR = 0.05  # of the canvas's longer side


@dataclass(frozen=True)
class Source:
    """A picture as bits of a model.

    Attributes:
        bits: of all scales (``infinity.packing``).
        aspect_ratio: of the model, that the bits are of.
        request: what drew the picture; None where it was not drawn by this model.
    """

    bits: str
    aspect_ratio: str
    request: GenerationRequest | None = None


def source_of(
    pipeline: InfinityPipeline,
    image: Picture,
    aspect_ratio: str | None = None,
    cancel: threading.Event | None = None,
) -> Source:
    """A picture's bits: those of its file of bits; the very ones it was drawn with where its record is of
    this model and these weights; else those of the tokenizer.

    Args:
        image: any size and mode, or bits.
        aspect_ratio: one of the model's, for the tokenizer; None takes the nearest.
        cancel: set it, from any thread, to stop.

    Raises:
        RequestError: a damaged record, bits of another model, or an aspect ratio that the model or the bits
            do not have.
        ResourceError: out of memory.
        StoppedError: cancelled.
    """
    if isinstance(image, PictureBits):
        return _source_of_bits(pipeline, image, aspect_ratio)
    if isinstance(image.info.get(KEY), str):
        record = read_record(image)
        same = record.model == pipeline.spec.name and record.weights == pipeline.fingerprint
        if same and aspect_ratio in (None, record.request.aspect_ratio):
            bits = pipeline.recent.get(image.info[KEY]) or _drawn_again(pipeline, record, cancel)
            return Source(bits, record.request.aspect_ratio, record.as_drawn)
    rebuilt = pipeline.reconstruct(image, aspect_ratio)
    bits = pack_bits([torch.from_numpy(each) for each in rebuilt.bits])
    return Source(bits, rebuilt.aspect_ratio)


def bits_of(pipeline: InfinityPipeline, source: Source) -> PictureBits:
    """A source as it is saved."""
    schedule = pipeline.spec.schedule(source.aspect_ratio)
    unpacked = unpack_bits(source.bits, schedule, pipeline.tokenizer.config.bits_per_token)
    bits = tuple(bits_lD.numpy() for bits_lD in unpacked)
    whose = pipeline.spec.name, pipeline.fingerprint
    return PictureBits(*whose, source.aspect_ratio, bits, source.request)


def rebuild(
    pipeline: InfinityPipeline, image: Picture, aspect_ratio: str | None = None
) -> Reconstruction:
    """A picture through the tokenizer and back, however it was made; bits, only back. Raises as
    :func:`source_of`."""
    if isinstance(image, PictureBits):
        source = _source_of_bits(pipeline, image, aspect_ratio)
        return pipeline.decode(source.bits, source.aspect_ratio)
    return pipeline.reconstruct(image, aspect_ratio)


def with_record(pipeline: InfinityPipeline, image: Image.Image, source: Source) -> Image.Image:
    """The picture of a source's bits with a record that gives these very bits again; as it is where
    nothing drew it."""
    if source.request is None:
        return image
    every = len(pipeline.spec.schedule(source.aspect_ratio))
    start = Start(bits=source.bits, keep_scales=every)
    request = replace(source.request, start=start, aspect_ratio=source.aspect_ratio)
    whose = {"model": pipeline.spec.name, "weights": pipeline.fingerprint}
    return attach(image, PictureRecord(request=request, **whose))


def on_canvas(pipeline: InfinityPipeline, image: Picture, aspect_ratio: str) -> tuple[Source, str]:
    """A picture in the middle of a canvas of another aspect ratio, and the region around it.

    Around the picture lies its own blurred and enlarged copy, of which nothing need stay.

    Returns:
        the canvas's bits, and the packed region of the tokens that are not wholly in the picture.

    Raises:
        RequestError: an aspect ratio that the model does not have, or that adds nothing.
    """
    schedule = pipeline.spec.schedule(aspect_ratio)
    height, width = schedule.image_size(pipeline.spec.tokenizer.token_pixels)
    if isinstance(image, PictureBits):
        image = rebuild(pipeline, image).image
    picture = rgb(image)
    scale = min(width / picture.width, height / picture.height)
    size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
    picture = picture.resize(size, Image.Resampling.LANCZOS)
    left, top = (width - picture.width) // 2, (height - picture.height) // 2
    last = schedule[-1]
    rows, columns = (
        _covered(first, first + size, length, tokens)
        for first, size, length, tokens in (
            (top, picture.height, height, last.height),
            (left, picture.width, width, last.width),
        )
    )
    around = ~np.outer(rows, columns)
    if not around.any():
        nearest = nearest_aspect_ratio(image.height, image.width, pipeline.spec.schedules)
        raise RequestError(
            f"The picture fills {aspect_ratio} already (it is nearest to {nearest}); choose a wider or "
            "a taller aspect ratio."
        )
    canvas = ImageOps.fit(picture, (width, height), Image.Resampling.LANCZOS)
    canvas = canvas.filter(ImageFilter.GaussianBlur(_BLUR * max(width, height)))
    canvas.paste(picture, (left, top))
    rebuilt = pipeline.reconstruct(canvas, aspect_ratio)
    bits = pack_bits([torch.from_numpy(each) for each in rebuilt.bits])
    return Source(bits, aspect_ratio), pack_tokens(around)


def _drawn_again(
    pipeline: InfinityPipeline, record: PictureRecord, cancel: threading.Event | None
) -> str:
    whole = record.batch or record.request
    for event in pipeline.stream(whole, cancel=cancel, previews="off", only=record.only):
        if isinstance(event, Done):
            return event.bits[0]
    raise StoppedError


def _source_of_bits(
    pipeline: InfinityPipeline, file: PictureBits, aspect_ratio: str | None
) -> Source:
    spec = pipeline.spec
    if file.model != spec.name:
        raise RequestError(
            f"These are bits of the model {quoted(file.model)}, which mean nothing to {spec.name}; choose "
            "that model, or give the picture itself."
        )
    if weights_note(file.weights, pipeline.fingerprint):
        raise RequestError(
            f"These are bits of other weights ({quoted(file.weights)}) than {spec.name} has here; give the "
            "picture itself."
        )
    if aspect_ratio not in (None, file.aspect_ratio):
        raise RequestError(
            f"These are bits of aspect ratio {quoted(file.aspect_ratio)}, not {quoted(aspect_ratio)}; give "
            "a picture, or bits of the same aspect ratio."
        )
    schedule = spec.schedule(file.aspect_ratio)
    if [bits_lD.shape for bits_lD in file.bits] != [
        (scale.tokens, spec.tokenizer.bits_per_token) for scale in schedule
    ]:
        raise RequestError(
            f"These bits are not of the scales that {spec.name} has; give the picture itself."
        )
    bits = pack_bits([torch.from_numpy(bits_lD) for bits_lD in file.bits])
    return Source(bits, file.aspect_ratio, file.request)


def _covered(first: int, stop: int, pixels: int, tokens: int) -> np.ndarray:
    """(tokens) bool: which tokens of a side lie wholly between two pixels of it."""
    edges = np.arange(tokens + 1) * pixels / tokens
    return (edges[:-1] >= first) & (edges[1:] <= stop)
