"""A small drawing surface in unit coordinates, drawn at twice the size and then halved.

x runs right and y down, both in [0, 1]; colors are sRGB triples in [0, 255]. Radii and widths of lines
are shares of the side of a square of the same area, so that a disc is round in any picture.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from math import sqrt

import numpy as np
from PIL import Image, ImageDraw

Color = tuple[int, int, int]
Curve = Callable[[np.ndarray], np.ndarray]

OVERSAMPLING = 2
GRADIENT_SIDE = 96  # a slanted gradient is computed this large and enlarged
SPOTS_KEPT = 512

_RAMP = np.linspace(-1.0, 1.0, 128)
_FALLOFF = (1.0 - np.minimum(np.hypot(_RAMP[None, :], _RAMP[:, None]), 1.0) ** 2) ** 2
_SPOT = Image.fromarray((255 * _FALLOFF).round().astype(np.uint8))


class Canvas:
    """An RGB picture under construction.

    Attributes:
        across, down: what a length is in x and in y, where it is measured as radii are.
    """

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width * OVERSAMPLING, height * OVERSAMPLING
        self.unit = sqrt(self.width * self.height)
        self.across, self.down = self.unit / self.width, self.unit / self.height
        self.image = Image.new("RGB", (self.width, self.height))
        self._draw = ImageDraw.Draw(self.image)

    def finish(self) -> Image.Image:
        """The picture at its final size, edges smoothed."""
        return self.image.reduce(OVERSAMPLING)

    def fill(self, *stops: Color, towards: tuple[float, float] = (0.0, 1.0)) -> None:
        """Cover everything with an even gradient, right and down in the ratio `towards`."""
        x, y = towards
        if x == 0.0:
            self.band(0.0, 1.0, *stops)
            return
        ramp = np.linspace(0.0, 1.0, GRADIENT_SIDE)
        t = (x * ramp[None, :] + y * ramp[:, None]) / (x + y)
        self.image.paste(_ramp(t, stops).resize(self.image.size, Image.Resampling.BICUBIC))

    def band(self, top: float, bottom: float, *stops: Color) -> None:
        """A horizontal band with a vertical gradient."""
        y0, y1 = round(top * self.height), round(bottom * self.height)
        self.image.paste(self._gradient(y1 - y0, stops), (0, y0))

    def ground(self, curve: Curve, *stops: Color) -> None:
        """Everything below a curve y(x), with a vertical gradient from its highest point down."""
        xs = np.linspace(0.0, 1.0, 49)
        ys = curve(xs)
        y0 = max(round(float(ys.min()) * self.height), 0)
        height = self.height - y0
        mask = Image.new("L", (self.width, height), 0)
        outline = np.stack([xs * self.width, ys * self.height - y0], -1).ravel().tolist()
        ImageDraw.Draw(mask).polygon([*outline, self.width, height, 0, height], fill=255)
        self.image.paste(self._gradient(height, stops), (0, y0), mask)

    def polygon(
        self, points: Sequence[tuple[float, float]], color: Color, opacity: float = 1.0
    ) -> None:
        """A filled polygon."""
        scaled = [(x * self.width, y * self.height) for x, y in points]
        if opacity >= 1.0:
            self._draw.polygon(scaled, fill=color)
            return
        mask = Image.new("L", self.image.size, 0)
        ImageDraw.Draw(mask).polygon(scaled, fill=round(255 * opacity))
        self.image.paste(Image.new("RGB", self.image.size, color), (0, 0), mask)

    def rectangle(self, x0: float, y0: float, x1: float, y1: float, color: Color) -> None:
        """A filled upright rectangle."""
        self._draw.rectangle(
            [x0 * self.width, y0 * self.height, x1 * self.width, y1 * self.height], fill=color
        )

    def ellipse(self, x: float, y: float, rx: float, ry: float, color: Color) -> None:
        """A filled ellipse about (x, y)."""
        self._draw.ellipse(self._box(x, y, rx, ry), fill=color)

    def disc(self, x: float, y: float, radius: float, color: Color) -> None:
        """A filled circle about (x, y)."""
        self.ellipse(x, y, radius, radius, color)

    def ring(self, x: float, y: float, radius: float, width: float, color: Color) -> None:
        """A circular line of some width about (x, y)."""
        box = self._box(x, y, radius, radius)
        self._draw.ellipse(box, outline=color, width=max(1, round(width * self.unit)))

    def glow(self, x: float, y: float, rx: float, ry: float, color: Color, strength: float) -> None:
        """A soft spot of light (or shadow) fading to nothing at the radii."""
        x0, y0, x1, y1 = self._box(x, y, rx, ry)
        glow(
            self.image, (x0 + x1) / 2, (y0 + y1) / 2, (x1 - x0) / 2, (y1 - y0) / 2, color, strength
        )

    def _box(self, x: float, y: float, rx: float, ry: float) -> tuple[float, float, float, float]:
        x, y, rx, ry = x * self.width, y * self.height, rx * self.unit, ry * self.unit
        return x - rx, y - ry, x + rx, y + ry

    def _gradient(self, height: int, stops: Sequence[Color]) -> Image.Image:
        """As wide as the canvas, from top to bottom through evenly spaced stops."""
        if len(stops) == 1:
            return Image.new("RGB", (self.width, height), stops[0])
        column = _ramp(np.linspace(0.0, 1.0, max(height, 1))[:, None], stops)
        return column.resize((self.width, height), Image.Resampling.NEAREST)


def glow(
    image: Image.Image, x: float, y: float, rx: float, ry: float, color: Color, strength: float
) -> None:
    """Blend a soft elliptical spot into `image`; centre and radii in pixels, strength in [0, 1]."""
    spot = _spot(max(1, round(2 * rx)), max(1, round(2 * ry)), strength)
    image.paste(Image.new("RGB", spot.size, color), (round(x - rx), round(y - ry)), spot)


@lru_cache(SPOTS_KEPT)
def _spot(width: int, height: int, strength: float) -> Image.Image:
    """A falloff: 255 * strength in the middle, 0 at the rim, smooth at both."""
    spot = _SPOT.resize((width, height), Image.Resampling.BILINEAR)
    return spot.point([round(level * strength) for level in range(256)])


def _ramp(t: np.ndarray, stops: Sequence[Color]) -> Image.Image:
    """Colours at positions t in [0, 1], shape (height, width), along evenly spaced stops."""
    positions = np.linspace(0.0, 1.0, len(stops))
    channels = [np.interp(t, positions, channel) for channel in zip(*stops, strict=True)]
    return Image.fromarray(np.stack(channels, -1).round().astype(np.uint8))
