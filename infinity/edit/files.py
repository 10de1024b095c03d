"""What a picture may come as: a file of its pixels, or a small one of its bits (``.npz``).

A file of bits has ``scale_1_bits``, ``scale_2_bits``, ...: (tokens, bits a token) bool; and ``about``, JSON.
So what ``inspect`` writes is one, too.

Legend: l tokens of a scale, D bits a token.
"""

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from infinity.arrays import holds_arrays, read_arrays, save_arrays
from infinity.errors import RequestError
from infinity.images import image_notes, open_image
from infinity.metadata import KEY, read_record
from infinity.request import GenerationRequest, recorded
from infinity.start import MOST_SCALES

_SCALE = re.compile(r"scale_([1-9]\d{0,3})_bits")
_TEXTS = ("model", "weights", "aspect_ratio")


@dataclass(frozen=True)
class PictureBits:
    """A picture as bits.

    Attributes:
        model, weights: whose bits; ``weights`` are their fingerprint, "" where that is unknown.
        aspect_ratio: of the model's.
        bits: per scale (l, D) bool.
        request: what drew the picture; None where nothing did.
    """

    model: str
    weights: str
    aspect_ratio: str
    bits: tuple[np.ndarray, ...]
    request: GenerationRequest | None = None

    def save(self, path: Path) -> None:
        """Write the file, whole or not at all.

        Raises:
            ResourceError: the disk is full, or the place may not be written.
        """
        arrays = {f"scale_{number}_bits": bits_lD for number, bits_lD in enumerate(self.bits, 1)}
        about = {name: getattr(self, name) for name in _TEXTS}
        save_arrays(path, arrays, {**about, "request": self.request and self.request.to_dict()})


Picture = Image.Image | PictureBits


def open_picture(path: Path, name: str | None = None) -> Picture:
    """Read a file of pixels or of bits.

    Args:
        name: what to call it in messages; None is its path.

    Raises:
        RequestError: no such file, or neither of the two.
    """
    if holds_arrays(path):
        return open_bits(path, str(path) if name is None else name)
    return open_image(path, name)


def named_model(path: Path, name: str) -> str:
    """The model that a file of pixels or of bits says it is of; "" where it says none. Raises as
    :func:`open_picture`."""
    if holds_arrays(path):
        return open_bits(path, name).model
    image = image_notes(path, name)
    return read_record(image).model if isinstance(image.info.get(KEY), str) else ""


def open_bits(path: Path, name: str) -> PictureBits:
    """Read a file of bits. Raises as :func:`open_picture`."""
    arrays, about = read_arrays(path, lambda key: _SCALE.fullmatch(key) is not None, name)
    keys = [f"scale_{number}_bits" for number in range(1, len(arrays) + 1)]
    scales: list[Any] = [arrays.get(key) for key in keys]
    request = about.get("request")
    texts: dict[str, Any] = {
        "weights": "",
        "aspect_ratio": isinstance(request, dict) and request.get("aspect_ratio"),
    }
    texts |= {text: about[text] for text in _TEXTS if text in about}
    if (
        not 0 < len(scales) <= MOST_SCALES
        or not all(isinstance(b, np.ndarray) and b.dtype == bool and b.ndim == 2 for b in scales)
        or not all(isinstance(texts.get(text), str) for text in _TEXTS)
        or not (request is None or isinstance(request, dict))
    ):
        raise RequestError(f"{name} is no file of a picture's bits; give one that was saved here.")
    drew = None if request is None else replace(recorded(request), num_images=1)
    bits = tuple(scale.view(np.uint8) != 0 for scale in scales)  # a byte may be any in a file
    return PictureBits(**texts, bits=bits, request=drew)
