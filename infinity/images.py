"""Pictures in and out: PIL on the outside, float tensors in [-1, 1] on the inside.

Legend: B pictures, H W pixels.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from PIL import ExifTags, Image, ImageOps
from torch import Tensor

from infinity.errors import RequestError

MAX_PIXELS = 100_000_000
MAX_PIXELS_FOR_NOTES = 2**22
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "AVIF", "JPEG2000")
"""What is read: formats whose readers run no other program."""

_BROKEN = (
    OSError, SyntaxError, ValueError, EOFError, LookupError, TypeError, ArithmeticError,
    struct.error, zlib.error, Image.DecompressionBombError,
)  # fmt: skip
"""What pillow's readers raise on damaged files."""


def open_image(path: str | Path | BinaryIO, name: str | None = None) -> Image.Image:
    """Read a picture file.

    Args:
        path: of the file, or the file itself, open for reading.
        name: what to call it in messages; None is its path.

    Raises:
        RequestError: no such file, not a picture, or too large a one.
    """
    with _opened(path, name) as image:
        image.load()
        return image


def image_notes(path: str | Path | BinaryIO, name: str | None = None) -> Image.Image:
    """A picture of which only size, mode and ``info`` may be used: what its pixels are is not decoded,
    but where the notes of a small PNG stand behind them.

    Raises:
        RequestError: as :func:`open_image`.
    """
    with _opened(path, name) as image:
        if image.format == "PNG" and image.width * image.height <= MAX_PIXELS_FOR_NOTES:
            image.load()
        return image


def image_size(path: str | Path | BinaryIO, name: str | None = None) -> tuple[int, int]:
    """(height, width) of a picture standing upright, read from the head of its file alone.

    Raises:
        RequestError: as :func:`open_image`, but damage behind the head goes unseen.
    """
    with _opened(path, name) as image:
        # A PNG's reader would decode the picture to look for notes behind it.
        noted = image.format != "PNG" or "exif" in image.info
        turned = noted and image.getexif().get(ExifTags.Base.Orientation, 1) >= 5
        return (image.width, image.height) if turned else (image.height, image.width)


@contextmanager
def _opened(path: str | Path | BinaryIO, name: str | None) -> Iterator[Image.Image]:
    name = str(path) if name is None else name
    try:
        with Image.open(path, formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise RequestError(
                    f"{name} has {image.width}x{image.height} pixels; scale it down to at most "
                    f"{MAX_PIXELS // 1_000_000} megapixels."
                )
            yield image
    except FileNotFoundError as error:
        raise RequestError(f"There is no picture at {name}; check the path.") from error
    except IsADirectoryError as error:
        raise RequestError(f"{name} is a folder; name a picture in it.") from error
    except _BROKEN as error:
        raise RequestError(
            f"{name} cannot be read as a picture ({error}); use a PNG, JPEG or WebP file."
        ) from error


def rgb(image: Image.Image) -> Image.Image:
    """Any mode -> RGB, turned upright as its camera noted; transparent parts become white."""
    image = ImageOps.exif_transpose(image)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")


def covering(image: Image.Image, height: int, width: int) -> Image.Image:
    """The centre of a picture, scaled (Lanczos) until it just covers height x width.

    Upstream's preprocessing: the longer side after scaling is cut down to a whole number.
    """
    if image.width / image.height <= width / height:
        size = width, max(height, int(width / (image.width / image.height)))
    else:
        size = max(width, int(image.width / image.height * height)), height
    resized = image.resize(size, Image.Resampling.LANCZOS)
    left, top = (size[0] - width) // 2, (size[1] - height) // 2
    return resized.crop((left, top, left + width, top + height))


def tensor_from_image(image: Image.Image) -> Tensor:
    """RGB picture -> (3, H, W) float32 in [-1, 1]."""
    pixels = torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1)
    unit = pixels.contiguous().float() / 255
    return unit + unit - 1


def preprocess(image: Image.Image, height: int, width: int) -> Tensor:
    """Picture of any size and mode -> (3, height, width) float32 in [-1, 1]."""
    return tensor_from_image(covering(rgb(image), height, width))


def images_from_tensor(images_B3HW: Tensor) -> tuple[Image.Image, ...]:
    """(B, 3, H, W) float in [-1, 1] -> RGB pictures; 255 (x + 1) / 2 is cut, not rounded, as upstream."""
    pixels = (images_B3HW.float() + 1).div_(2).mul_(255).clamp_(0, 255).to(torch.uint8)
    return tuple(Image.fromarray(p) for p in pixels.permute(0, 2, 3, 1).cpu().numpy())
