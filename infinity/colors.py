"""Any mode, depth and color profile that pillow opens -> 8 bits a channel in sRGB."""

import io
import logging
from collections.abc import Mapping
from functools import cache, lru_cache
from typing import Any

import numpy as np
from PIL import Image, ImageCms

from infinity.errors import RequestError

logger = logging.getLogger(__name__)

_BITS, _PHOTOMETRIC, _SAMPLE_FORMAT = 258, 262, 339
"""Tags of TIFF files."""
_SIGNED = 2
_GRAY = ("1", "L", "LA")
_MODES = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}
"""Color space of a profile -> the mode its transform reads."""
_SAME = 2
"""Levels by which profiles that all mean sRGB differ."""


def eight_bits(image: Image.Image, tags: Mapping[int, Any]) -> Image.Image:
    """Deep greyscale (whole numbers of 16 bits, floating-point numbers from 0 to 1) -> L, or LA where
    one value means transparent; anything else as it is.

    Args:
        tags: of the file, where it was TIFF.

    Raises:
        RequestError: signed or wider numbers, or ones out of range.
    """
    if _SIGNED in np.atleast_1d(tags.get(_SAMPLE_FORMAT, 1)):
        raise RequestError(
            "The picture's values are signed numbers; save it with 8 or 16 unsigned bits a channel."
        )
    clear = image.info.get("transparency")
    if image.mode == "RGB" and isinstance(clear, tuple) and max(clear) > 255:
        image.info["transparency"] = tuple(value >> 8 for value in clear)  # as its pixels are read
    sixteen = image.mode.startswith("I;16")
    if not sixteen and image.mode not in ("I", "F"):
        return image
    values = np.asarray(image)
    bits = int(np.max(tags.get(_BITS, 16))) if image.mode != "F" else 0
    white = 2**bits - 1 if bits else 1
    low, high = values.min(), values.max()
    if not (low >= 0 and high <= white and bits <= 16):  # false for what is not a number, too
        raise RequestError(
            f"The picture's values go from {low:g} to {high:g}; save it with 8 or 16 bits a channel, or "
            "as floating-point values from 0 to 1."
        )
    if bits:
        levels = np.round(np.arange(white + 1) * (255 / white)).astype(np.uint8)[values]
    else:
        levels = np.round(values * 255).astype(np.uint8)
    # Pillow inverts pictures whose zero is white, but not these.
    gray = Image.fromarray(255 - levels if tags.get(_PHOTOMETRIC) == 0 else levels)
    if isinstance(clear, int):
        gray.putalpha(Image.fromarray(np.where(values == clear, 0, 255).astype(np.uint8)))
    gray.info = {key: value for key, value in image.info.items() if key == "icc_profile"}
    return gray


def srgb(image: Image.Image) -> Image.Image:
    """A picture of 8 bits -> RGB, or RGBA where it has transparent parts; the colors of its profile
    become sRGB's. A profile that is damaged, or of another kind of picture, is ignored and
    logged.
    """
    mode = "RGBA" if image.has_transparency_data else "RGB"
    profile = image.info.get("icc_profile") if image.mode != "LAB" else None
    space, transform = _transform(profile) if profile else ("", None)
    if transform is not None and _fits(image.mode, space):
        colors = image if image.mode == space else image.convert(_MODES[space])
        result = ImageCms.applyTransform(colors, transform)
        assert result is not None, "only a transform in place returns nothing"
        if mode == "RGBA":
            result.putalpha(image.convert("RGBA").getchannel("A"))
    else:
        result = image.convert(mode)
    result.info.pop("icc_profile", None)
    return result


@cache
def _fits(mode: str, space: str) -> bool:
    fits = (space == "CMYK") == (mode == "CMYK") and (space != "GRAY" or mode in _GRAY)
    if not fits:
        logger.warning("a color profile for %s is left out: the picture is %s", space, mode)
    return fits


@lru_cache(16)
def _transform(profile: bytes) -> tuple[str, ImageCms.ImageCmsTransform | None]:
    """(color space of a profile, its way to sRGB or None where it is sRGB or damaged)."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        space = str(getattr(source.profile, "xcolor_space", "")).strip()
        if space not in _MODES:
            raise ValueError(f"of the color space {space}")
        transform = ImageCms.buildTransform(
            source, ImageCms.createProfile("sRGB"), _MODES[space], "RGB"
        )
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError) as error:
        logger.warning("a color profile is left out: %s", error)
        return "", None
    if space == "CMYK":
        return space, transform
    ramp = np.arange(0, 256, 17, dtype=np.uint8)
    cube = np.stack(np.meshgrid(ramp, ramp, ramp), axis=-1).reshape(1, -1, 3)
    probe = Image.fromarray(cube).convert(_MODES[space])
    result = ImageCms.applyTransform(probe, transform)
    difference = np.asarray(result, np.int16) - np.asarray(probe.convert("RGB"), np.int16)
    return space, transform if np.abs(difference).max() > _SAME else None
