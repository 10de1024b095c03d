"""A picture's bits and a region of it as text, for requests, records and files.

Legend: l tokens of a scale, D bits a token, h w the last scale's token grid.
"""

import base64
import binascii
import re
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from infinity.errors import RequestError
from infinity.schedule import MOST_TOKENS, ScaleSchedule

_REGION = re.compile(r"(\d{1,5})x(\d{1,5}):([A-Za-z0-9+/]*=*)")


def pack_bits(bits: Sequence[Tensor]) -> str:
    """Per scale (l, D) bool -> base64 of all of them, eight a byte, in the order of the sequence."""
    flat = torch.cat([each.flatten() for each in bits]).cpu().numpy()
    return base64.b64encode(np.packbits(flat).tobytes()).decode()


def unpack_bits(text: str, schedule: ScaleSchedule, bits_per_token: int) -> tuple[Tensor, ...]:
    """The inverse of :func:`pack_bits` for a model's schedule: per scale (l, D) bool.

    Raises:
        RequestError: not such a text, or of another number of bits.
    """
    counts = [scale.tokens * bits_per_token for scale in schedule]
    packed = _decoded(text, "The bits")
    if len(packed) != -(-sum(counts) // 8):
        raise RequestError(
            f"The bits are of another model or aspect ratio: {len(packed)} bytes, not "
            f"{-(-sum(counts) // 8)}; use the model and the aspect ratio that they were made with."
        )
    flat = torch.from_numpy(np.unpackbits(packed, count=sum(counts)).astype(bool))
    return tuple(part.view(-1, bits_per_token) for part in flat.split(counts))


def kept_share(before: str, after: str) -> float:
    """Of the packed bits of one picture, the share that another of the same size has too, from 0 to 1."""
    one, other = _decoded(before, "The bits"), _decoded(after, "The bits")
    return 1 - float(np.bitwise_count(one ^ other).sum()) / (8 * len(one))


def pack_region(region_hw: np.ndarray) -> str:
    """(h, w) bool, True inside -> ``HxW:base64``."""
    height, width = region_hw.shape
    packed = np.packbits(region_hw.astype(bool)).tobytes()
    return f"{height}x{width}:{base64.b64encode(packed).decode()}"


def unpack_region(text: str) -> np.ndarray:
    """The inverse of :func:`pack_region`: (h, w) bool.

    Raises:
        RequestError: not such a text.
    """
    found = _REGION.fullmatch(text)
    height, width = (int(found[1]), int(found[2])) if found else (0, 0)
    if found is None or not (0 < height <= MOST_TOKENS and 0 < width <= MOST_TOKENS):
        raise RequestError("The region is damaged; it is written HEIGHTxWIDTH:BASE64.")
    packed = _decoded(found[3], "The region")
    if len(packed) != -(-height * width // 8):
        raise RequestError(
            f"The region is damaged: {len(packed)} bytes for {height}x{width} cells."
        )
    return np.unpackbits(packed, count=height * width).astype(bool).reshape(height, width)


def _decoded(text: str, what: str) -> np.ndarray:
    try:
        return np.frombuffer(base64.b64decode(text, validate=True), np.uint8)
    except (binascii.Error, ValueError) as error:
        raise RequestError(f"{what} are no base64 text; send them as they were made.") from error
