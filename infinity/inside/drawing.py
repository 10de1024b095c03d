"""Maps as pictures: numbers become colors, a pixel each."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageColor


def colored(
    values_hw: np.ndarray, limits: tuple[float, float], colors: Sequence[str]
) -> Image.Image:
    """(h, w) numbers -> an RGB picture of as many pixels.

    Args:
        limits: what the first and the last color stand for; numbers beyond them take these colors.
        colors: ``#rrggbb``, at equal distances; between them they are mixed.
    """
    low, high = limits
    stops = np.array([ImageColor.getrgb(color) for color in colors], np.float32)
    places = (values_hw - low) / max(high - low, 1e-12) * (len(stops) - 1)
    channels = [np.interp(places, np.arange(len(stops)), stop) for stop in stops.T]
    return Image.fromarray(np.rint(np.stack(channels, axis=-1)).astype(np.uint8))
