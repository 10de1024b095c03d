"""Pictures in and out: PIL on the outside, float tensors in [-1, 1] on the inside.

Legend: B pictures, H W pixels.
"""

import logging
import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from PIL import ExifTags, Image, ImageOps
from torch import Tensor

from infinity.colors import eight_bits, srgb
from infinity.errors import RequestError
from infinity.files import special

logger = logging.getLogger(__name__)

MAX_PIXELS = 100_000_000
MAX_PIXELS_FOR_NOTES = 2**22
MOST_CUT = 16
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "AVIF", "JPEG2000")
"""What is read: formats whose readers run no other program."""
_SEVERAL = ("GIF", "WEBP", "PNG", "TIFF", "AVIF")

_BROKEN = (
    OSError, SyntaxError, ValueError, EOFError, LookupError, TypeError, ArithmeticError,
    RuntimeError, struct.error, zlib.error, Image.DecompressionBombError,
)  # fmt: skip
"""What pillow's readers raise on damaged files."""


def open_image(path: str | Path | BinaryIO, name: str | None = None) -> Image.Image:
    """Read a picture file, of an animation or a file of several pages the first picture.

    Args:
        path: of the file, or the file itself, open for reading.
        name: what to call it in messages; None is its path.

    Raises:
        RequestError: no such file, not a picture, or too large a one.
    """
    with _opened(path, name) as image:
        if image.format in _SEVERAL and getattr(image, "is_animated", False):
            _say_first(image.format)
        image.load()
        return image


@cache
def _say_first(format: str) -> None:
    """Once a format: a set may have a million of them."""
    logger.warning("of %s files that hold several pictures, the first is used", format)


def image_notes(path: str | Path | BinaryIO, name: str | None = None) -> Image.Image:
    """A picture for its size, mode and ``info`` alone: pixels are not decoded, except of small PNGs, whose
    text may follow the pixels.

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
    if isinstance(path, str | Path) and (kind := special(Path(path))):
        raise RequestError(f"{name} is a {kind}, not a file; name a picture.")
    with _plain_errors(name), Image.open(path, formats=FORMATS) as image:
        if image.width * image.height > MAX_PIXELS:
            raise RequestError(
                f"{name} has {image.width}x{image.height} pixels; scale it down to at most "
                f"{MAX_PIXELS // 1_000_000} megapixels."
            )
        yield image


@contextmanager
def _plain_errors(name: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise RequestError(f"There is no picture at {name}; check the path.") from error
    except IsADirectoryError as error:
        raise RequestError(f"{name} is a folder; name a picture in it.") from error
    except _BROKEN as error:
        raise RequestError(
            f"{name} cannot be read as a picture ({error}); use a PNG, JPEG or WebP file."
        ) from error


def rgb(image: Image.Image) -> Image.Image:
    """Any mode -> RGB of 8 bits in sRGB, turned upright as its camera noted; transparent parts become
    white. 16 bits are scaled to 8, floating-point values from [0, 1].

    Raises:
        RequestError: values whose range cannot be known, or notes or a mode that cannot be read.
    """
    with _plain_errors("The picture"):
        tags = getattr(image, "tag_v2", {})
        image = srgb(eight_bits(ImageOps.exif_transpose(image), tags))
        if image.mode == "RGBA":
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
        return image.convert("RGB")


def covering(
    image: Image.Image, height: int, width: int, place: tuple[float, float] = (0.5, 0.5)
) -> Image.Image:
    """The centre of a picture, scaled (Lanczos) until it just covers height x width.

    ``place`` is where else to cut: 0 (left, top) to 1 (right, bottom). Upstream's preprocessing: the longer side after scaling is cut down to a whole number. Of a picture
    so long that ``MOST_CUT`` times that many pixels would come of it, only the centre is scaled, which
    rounds differently.
    """
    size, left, top = _cover(image.size, height, width, place)
    if size[0] * size[1] > MOST_CUT * width * height:
        across, down = image.width / size[0], image.height / size[1]
        box = (left * across, top * down, (left + width) * across, (top + height) * down)
        return image.resize((width, height), Image.Resampling.LANCZOS, box)
    resized = image.resize(size, Image.Resampling.LANCZOS)
    return resized.crop((left, top, left + width, top + height))


def covered(image: Image.Image, height: int, width: int) -> tuple[float, float, float, float]:
    """The part of an upright picture that :func:`covering` leaves: left, top, right and bottom as shares of
    it."""
    size, left, top = _cover(image.size, height, width)
    across, down = size
    return left / across, top / down, (left + width) / across, (top + height) / down


def _cover(
    given: tuple[int, int], height: int, width: int, place: tuple[float, float] = (0.5, 0.5)
) -> tuple[tuple[int, int], int, int]:
    """The size that a picture is scaled to, and where it is cut there: left, top."""
    if given[0] / given[1] <= width / height:
        size = width, max(height, int(width / (given[0] / given[1])))
    else:
        size = max(width, int(given[0] / given[1] * height)), height
    return size, int((size[0] - width) * place[0]), int((size[1] - height) * place[1])


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
    return images_to_come(images_B3HW)()


def images_to_come(images_B3HW: Tensor) -> Callable[[], tuple[Image.Image, ...]]:
    """:func:`images_from_tensor` in two: the copy from a CUDA card begins here, and what is returned waits for
    it, so that both can work on in between."""
    pixels = (images_B3HW.float() + 1).div_(2).mul_(255).clamp_(0, 255).to(torch.uint8)
    pixels_BHW3 = pixels.permute(0, 2, 3, 1)
    copied = torch.cuda.Event() if pixels.is_cuda else None
    pixels_BHW3 = pixels_BHW3.contiguous().to("cpu", non_blocking=copied is not None)
    if copied is not None:
        copied.record(torch.cuda.current_stream(pixels.device))

    def images() -> tuple[Image.Image, ...]:
        if copied is not None:
            copied.synchronize()
        return tuple(Image.fromarray(pixels_HW3) for pixels_HW3 in pixels_BHW3.numpy())

    return images
