"""A picture as JPEG and as WebP of at most so many bytes: what as many bits of ours stand beside."""

import io
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

from PIL import Image

from infinity.tokenizer.quality import psnr, ssim

FORMATS: dict[str, dict[str, Any]] = {"jpeg": {"optimize": True}, "webp": {"method": 4}}
"""Pillow's names, and the settings that make files small."""
QUALITIES = range(101)


@dataclass(frozen=True)
class Compressed:
    """A picture as a file of another format.

    Attributes:
        quality: Pillow's, 0 to 100.
        data: the file.
        psnr, ssim: of what comes back from it, see ``infinity.tokenizer.quality``.
    """

    quality: int
    data: bytes
    psnr: float
    ssim: float


class Compressor:
    """Searches files of one picture by their size; what was tried is remembered.

    Args:
        original: RGB.
        format: one of :data:`FORMATS`.
    """

    def __init__(self, original: Image.Image, format: str) -> None:
        self._file: Callable[[int], bytes] = cache(partial(_file, original, format))
        self._measured: Callable[[int], Compressed] = cache(partial(self._measure, original))

    @property
    def smallest(self) -> int:
        """Bytes of the file of the lowest quality."""
        return len(self._file(QUALITIES[0]))

    def within(self, nbytes: int) -> Compressed | None:
        """The file of the highest quality with at most ``nbytes``; None where the smallest has more.
        Files grow with quality, but for a step here and there, which the search does not look for."""
        count = bisect_right(QUALITIES, nbytes, key=lambda quality: len(self._file(quality)))
        return self._measured(QUALITIES[count - 1]) if count else None

    def _measure(self, original: Image.Image, quality: int) -> Compressed:
        data = self._file(quality)
        with Image.open(io.BytesIO(data)) as image:
            again = image.convert("RGB")
        return Compressed(quality, data, psnr(original, again), ssim(original, again))


def _file(original: Image.Image, format: str, quality: int) -> bytes:
    stream = io.BytesIO()
    original.save(stream, format, quality=quality, **FORMATS[format])
    return stream.getvalue()
