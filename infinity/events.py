"""What a running request reports: a preview a scale, then the pictures, or that it was stopped.

Everything here lives on the host: PIL pictures and plain numbers.
"""

from dataclasses import dataclass

from PIL import Image

from infinity.request import GenerationRequest


@dataclass(frozen=True, kw_only=True)
class Preview:
    """One scale is finished.

    Attributes:
        index, num_scales: which scale, of how many.
        height, width: the scale's size in tokens.
        bits: bits drawn at this scale for one picture.
        seconds: time in the model for this scale, all pictures together.
        preview_seconds: time spent on making ``images``; 0 at the last scale, whose pictures are
            the result itself.
        images: one picture each, or None if previews are off.
        is_exact: the pictures are whole decodings of all bits so far, at full size; otherwise they
            are rough and small.
    """

    index: int
    num_scales: int
    height: int
    width: int
    bits: int
    seconds: float
    preview_seconds: float
    images: tuple[Image.Image, ...] | None
    is_exact: bool = True


@dataclass(frozen=True, kw_only=True)
class Done:
    """The pictures, each with its record in ``info["infinity"]`` (see ``infinity.metadata``).

    Attributes:
        images: RGB, one a seed.
        request: what was drawn, with every setting spelled out; of several pictures the prompt as
            it was written, wildcards and all, of a single one with them filled in.
        seconds: from the first step to here, without the time the caller took between events.
        text_seconds, model_seconds, decode_seconds, preview_seconds: its parts.
        notes: sentences the user should see, such as a prompt that was cut.
        bits: of every picture, all scales (``infinity.packing``).
        captions: what each picture was drawn from where its prompt was completed, else "".
    """

    images: tuple[Image.Image, ...]
    request: GenerationRequest
    seconds: float
    text_seconds: float
    model_seconds: float
    decode_seconds: float
    preview_seconds: float
    notes: tuple[str, ...] = ()
    bits: tuple[str, ...] = ()
    captions: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Cancelled:
    """Stopped on request; ``completed_scales`` scales were finished."""

    completed_scales: int


@dataclass(frozen=True, kw_only=True)
class Refined:
    """After ``Done``: scale ``index``, whose preview was rough, decoded wholly; one picture each."""

    index: int
    images: tuple[Image.Image, ...]


Event = Preview | Done | Refined | Cancelled
