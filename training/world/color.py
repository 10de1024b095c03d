"""Colour words, and repainting a sprite in one of them.

Repainting happens in Oklab, where lightness, chroma and hue are separate and even to the eye:
the dominant hue of a sprite is turned to the target, and everything else (leaf, tyres, eyes,
shine and shade) stays as it was drawn.
"""

import numpy as np

# Object colours as Oklab lightness, chroma and hue in degrees.
HUES: dict[str, tuple[float, float, float]] = {
    "red": (0.60, 0.225, 25.0),
    "orange": (0.73, 0.175, 57.0),
    "yellow": (0.86, 0.170, 92.0),
    "green": (0.68, 0.190, 142.0),
    "blue": (0.57, 0.190, 258.0),
    "purple": (0.53, 0.210, 304.0),
    "pink": (0.76, 0.150, 353.0),
    "white": (0.95, 0.004, 80.0),
    "black": (0.30, 0.008, 280.0),
}

# Plain and gradient backgrounds, sRGB.
BACKGROUNDS: dict[str, tuple[int, int, int]] = {
    "white": (250, 250, 250),
    "gray": (160, 165, 174),
    "black": (28, 29, 36),
    "red": (228, 74, 72),
    "orange": (250, 158, 74),
    "yellow": (255, 217, 92),
    "green": (104, 190, 110),
    "teal": (62, 178, 176),
    "light blue": (160, 213, 248),
    "blue": (68, 126, 228),
    "purple": (142, 98, 214),
    "pink": (252, 178, 204),
    "beige": (240, 226, 200),
}

_RGB_TO_LMS = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ],
    dtype=np.float32,
)
_LMS_TO_LAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ],
    dtype=np.float32,
)
_LAB_TO_LMS = np.linalg.inv(_LMS_TO_LAB)
_LMS_TO_RGB = np.linalg.inv(_RGB_TO_LMS)


def rgb_to_oklab(rgb: np.ndarray) -> np.ndarray:
    """sRGB (..., 3) in [0, 1] to Oklab (..., 3): lightness in [0, 1], then a and b."""
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return np.cbrt(linear @ _RGB_TO_LMS.T) @ _LMS_TO_LAB.T


def oklab_to_rgb(lab: np.ndarray) -> np.ndarray:
    """Oklab (..., 3) to sRGB (..., 3), clipped to [0, 1]."""
    lms = lab @ _LAB_TO_LMS.T
    linear = np.clip(lms * lms * lms @ _LMS_TO_RGB.T, 0.0, 1.0)
    return np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)


class Body:
    """What of a sprite takes on another colour: its dominant hue.

    Args:
        sprite: uint8 (height, width, 4) RGBA, not premultiplied.
    """

    def __init__(self, sprite: np.ndarray) -> None:
        self._sprite = sprite
        self._where = sprite[..., 3] > 0
        lab = rgb_to_oklab(sprite[self._where, :3].astype(np.float32) / 255.0)
        coverage = sprite[self._where, 3] / 255.0
        chroma = np.hypot(lab[:, 1], lab[:, 2])
        hue = np.degrees(np.arctan2(lab[:, 2], lab[:, 1]))

        dominant = _dominant_hue(hue, chroma * coverage)
        offset = (hue - dominant + 180.0) % 360.0 - 180.0
        near = (1.0 - _smoothstep(38.0, 62.0, np.abs(offset))) * _smoothstep(0.025, 0.06, chroma)
        colored = near * coverage * chroma
        vivid = float((colored * chroma).sum() / max(colored.sum(), 1e-6))
        # Tinted blacks and greys are not the body.
        mask = near * _smoothstep(0.2 * vivid, 0.4 * vivid, chroma)
        inside = mask > 0
        self._where[self._where] = inside
        self._lab, self._chroma, self._offset = lab[inside], chroma[inside], offset[inside]
        self._mask = mask[inside, None]
        weight = mask * coverage
        total = max(float(weight.sum()), 1e-6)
        self._mean_lightness = float((weight * lab[:, 0]).sum()) / total
        self._mean_chroma = max(float((weight * chroma).sum()) / total, 0.02)

    def painted(self, color: str) -> np.ndarray:
        """A new sprite of the same shape; alpha is unchanged. `color` is a key of `HUES`."""
        lightness_t, chroma_t, hue_t = HUES[color]
        # Keep the shading: shadows and highlights move with the body, squeezed near black and white.
        shade = self._lab[:, 0] - self._mean_lightness
        room = np.where(shade > 0, 1.0 - lightness_t, lightness_t)
        room_0 = np.where(shade > 0, 1.0 - self._mean_lightness, self._mean_lightness)
        contrast = np.clip(room / np.maximum(room_0, 0.05), 0.45, 1.25)
        chroma = np.minimum(self._chroma * (chroma_t / self._mean_chroma), chroma_t * 1.35)
        hue = np.radians(hue_t + 0.35 * self._offset)
        painted = np.stack(
            [lightness_t + shade * contrast, chroma * np.cos(hue), chroma * np.sin(hue)], axis=-1
        )
        result = self._sprite.copy()
        mixed = self._lab + self._mask * (painted - self._lab)
        result[self._where, :3] = np.round(oklab_to_rgb(mixed) * 255.0)
        return result


def _dominant_hue(hue: np.ndarray, weight: np.ndarray) -> float:
    """Centre in degrees of the heaviest 70 degree stretch of hues."""
    counts, _ = np.histogram(hue, bins=72, range=(-180.0, 180.0), weights=weight)
    window = sum(np.roll(counts, shift) for shift in range(-7, 8))
    center = int(np.argmax(window)) * 5.0 - 177.5
    offset = (hue - center + 180.0) % 360.0 - 180.0
    near = weight * (np.abs(offset) < 37.5)
    return center + float((near * offset).sum() / max(float(near.sum()), 1e-6))


def _smoothstep(low: float, high: float, x: np.ndarray) -> np.ndarray:
    t = np.clip((x - low) / max(high - low, 1e-9), 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)
