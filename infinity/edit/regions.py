"""Which part of a picture may change: from a mask, a box, or two prompts.

Legend: l tokens of a scale, h w the last scale's token grid.
"""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from PIL.ImageOps import exif_transpose
from torch import Tensor

from infinity.errors import RequestError, quoted
from infinity.generation.inspection import InspectedScale
from infinity.images import rgb
from infinity.packing import pack_region
from infinity.schedule import Scale

HALF = 0.5
CHANGED = 0.35
"""Of the largest difference between two prompts: from here on a token is told apart by them."""


WHOLE = (0.0, 0.0, 1.0, 1.0)


def region_of_mask(
    mask: Image.Image, last: Scale, seen: tuple[float, float, float, float] = WHOLE
) -> str:
    """A mask of any size and mode, bright (or, where some of it is transparent, opaque) inside -> a packed
    region.

    A token of the last scale is inside where at least half of it is; of a mask so small that no token
    is, every token that a pixel of it touches.

    Args:
        seen: the part of the picture that the tokens cover: left, top, right and bottom as shares of it.
            The mask is of the whole picture.

    Raises:
        RequestError: nothing is inside, or a mode that cannot be read.
    """
    gray = _brightness(mask)
    if (brightest := int(np.asarray(gray).max())) < 255 * HALF:
        raise RequestError(
            f"The mask marks nothing: its brightest place is {brightest} of 255; make white what is to "
            "change."
        )
    bright = gray.point([255 * (value >= 255 * HALF) for value in range(256)])
    size, box = (last.width, last.height), Image.Resampling.BOX
    (left, top, right, bottom), (width, height) = seen, bright.size
    part = left * width, top * height, right * width, bottom * height
    inside = np.asarray(gray.resize(size, box, part)) >= 255 * HALF
    return pack_tokens(inside if inside.any() else np.asarray(bright.resize(size, box, part)) > 0)


def region_of_box(
    box: Sequence[float], last: Scale, seen: tuple[float, float, float, float] = WHOLE
) -> str:
    """(left, top, right, bottom) as shares of the picture -> a packed region.

    Args:
        seen: as of :func:`region_of_mask`.

    Raises:
        RequestError: not such a box, or no token's center is inside.
    """
    numbers = (
        isinstance(box, Sequence)
        and len(box) == 4
        and all(isinstance(share, int | float) for share in box)
    )
    if not numbers or not (0 <= box[0] < box[2] <= 1 and 0 <= box[1] < box[3] <= 1):
        raise RequestError(
            "A box is left, top, right and bottom as shares of the picture, such as 0.5,0,1,1 for its "
            f"right half; not {quoted(box)}."
        )
    left, top, right, bottom = box
    across = seen[0] + (seen[2] - seen[0]) * (np.arange(last.width) + HALF) / last.width
    down = seen[1] + (seen[3] - seen[1]) * (np.arange(last.height) + HALF) / last.height
    return pack_tokens(
        np.outer((down >= top) & (down < bottom), (across >= left) & (across < right))
    )


def region_of_words(before: Sequence[InspectedScale], after: Sequence[InspectedScale]) -> str:
    """Where two prompts part on the same bits -> a packed region.

    The difference of a token is that of its bits' probabilities, averaged over its bits and over the
    scales from the first that has several tokens.

    Args:
        before, after: the same bits, inspected with one prompt and with the other.

    Raises:
        RequestError: the prompts do not part anywhere.
    """
    last = after[-1]
    difference_hw = torch.zeros(last.height, last.width)
    for one, other in zip(before, after, strict=True):
        parted_l = torch.from_numpy(np.abs(one.conditional_lD - other.conditional_lD).mean(-1))
        if len(parted_l) > 1:
            difference_hw += _enlarged(parted_l.view(one.height, one.width), last)
    if not difference_hw.max() > 0:
        raise RequestError(
            "The model reads these words as the picture's own; change others, or mark the part with a "
            "mask or a box."
        )
    return pack_tokens((difference_hw > CHANGED * difference_hw.max()).numpy())


def pack_tokens(inside_hw: np.ndarray) -> str:
    """(h, w) bool -> a packed region. Raises RequestError where nothing is inside."""
    if not inside_hw.any():
        raise RequestError("Nothing of the picture is to change; mark a larger region.")
    return pack_region(inside_hw)


def _brightness(mask: Image.Image) -> Image.Image:
    """The alpha channel, where it says anything; else how bright it is."""
    if mask.has_transparency_data:
        alpha = exif_transpose(mask).convert("RGBA").getchannel("A")
        if alpha.histogram()[255] < alpha.width * alpha.height:
            return alpha
    return rgb(mask).convert("L")


def _enlarged(map_hw: Tensor, last: InspectedScale) -> Tensor:
    return F.interpolate(map_hw[None, None], size=(last.height, last.width), mode="bilinear")[0, 0]
