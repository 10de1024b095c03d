"""What the places are painted with: colours that vary a little, hills, skies and trees."""

import numpy as np

from training.world.canvas import Canvas, Color, Curve


def mix(first: Color, second: Color, amount: float) -> Color:
    """The colour `amount` of the way from the first to the second."""
    red, green, blue = (round(a + (b - a) * amount) for a, b in zip(first, second, strict=True))
    return red, green, blue


def shade(color: Color, rng: np.random.Generator, spread: float) -> Color:
    """A near neighbour of a colour: a common and a small separate shift of each channel."""
    shift = rng.normal(0.0, spread) + rng.normal(0.0, spread * 0.5, 3)
    red, green, blue = (int(v) for v in np.clip(np.array(color) + shift, 0, 255))
    return red, green, blue


def hills(rng: np.random.Generator, level: float, height: float, waves: float = 1.0) -> Curve:
    """A rolling line about `level`, at most `height` up or down."""
    phase = rng.uniform(0, 2 * np.pi, 2)
    frequency = waves * rng.uniform(0.8, 1.3)

    def curve(x: np.ndarray) -> np.ndarray:
        slow = np.sin(2 * np.pi * frequency * x + phase[0])
        return level + height * (0.7 * slow + 0.3 * np.sin(4 * np.pi * frequency * x + phase[1]))

    return curve


def height_at(curve: Curve, x: float) -> float:
    """The curve's y at one x."""
    return float(curve(np.array([x]))[0])


def draw_cloud(canvas: Canvas, x: float, y: float, width: float) -> None:
    """A puffy white cloud with a flat base."""
    for dx, dy, radius in ((-0.32, 0.0, 0.17), (-0.08, -0.1, 0.25), (0.2, -0.04, 0.2)):
        canvas.disc(x + dx * width, y + dy * width, radius * width, (255, 255, 255))
    canvas.ellipse(x, y + 0.06 * width, 0.52 * width, 0.12 * width, (255, 255, 255))


def draw_clouds(canvas: Canvas, rng: np.random.Generator) -> None:
    """A cloud in the upper left and one in the upper right."""
    left, right = rng.uniform(0.08, 0.26), rng.uniform(0.74, 0.92)
    draw_cloud(canvas, left, rng.uniform(0.12, 0.28), rng.uniform(0.2, 0.3))
    draw_cloud(canvas, right, rng.uniform(0.1, 0.26), rng.uniform(0.18, 0.28))


def draw_sun(canvas: Canvas, x: float, y: float, radius: float, color: Color) -> None:
    """A disc in a soft glow."""
    canvas.glow(x, y, radius * 3.2, radius * 3.2, mix(color, (255, 255, 255), 0.4), 0.8)
    canvas.disc(x, y, radius, color)


def draw_sun_and_cloud(canvas: Canvas, rng: np.random.Generator) -> None:
    """The sun on one side of the sky, a large cloud on the other and a small one between."""
    x = near_edge(rng)
    draw_sun(canvas, x, rng.uniform(0.13, 0.2), 0.07, (255, 226, 110))
    inwards = 1.0 if x < 0.5 else -1.0
    draw_cloud(canvas, x + inwards * rng.uniform(0.58, 0.7), rng.uniform(0.14, 0.24),
               rng.uniform(0.26, 0.34))  # fmt: skip
    draw_cloud(canvas, x + inwards * rng.uniform(0.24, 0.3), rng.uniform(0.28, 0.36),
               rng.uniform(0.13, 0.18))  # fmt: skip


def draw_stars(canvas: Canvas, rng: np.random.Generator, count: int, lowest: float) -> None:
    """Points of light down to the height `lowest`."""
    for x, y, radius in rng.uniform((0, 0, 0.003), (1, lowest, 0.008), (count, 3)):
        canvas.disc(x, y, radius, (255, 250, 225))


def draw_pine(canvas: Canvas, x: float, base: float, height: float, color: Color) -> None:
    """A fir of three tiers standing on `base`."""
    for top, bottom, half in ((1.0, 0.55, 0.2), (0.78, 0.3, 0.27), (0.52, 0.0, 0.34)):
        canvas.polygon(
            [(x, base - top * height), (x - half * height, base - bottom * height),
             (x + half * height, base - bottom * height)], color)  # fmt: skip


def draw_tree(canvas: Canvas, x: float, base: float, height: float, leaf: Color) -> None:
    """A tree with a round crown standing on `base`."""
    half = 0.05 * height
    canvas.rectangle(x - half, base - 0.5 * height, x + half, base, (118, 78, 52))
    dark = mix(leaf, (60, 30, 20), 0.14)
    canvas.ellipse(x, base - 0.64 * height, 0.31 * height, 0.36 * height, dark)
    canvas.ellipse(x - 0.04 * height, base - 0.68 * height, 0.26 * height, 0.3 * height, leaf)


def near_edge(rng: np.random.Generator) -> float:
    """An x near the left or the right edge."""
    x = rng.uniform(0.06, 0.2)
    return x if rng.random() < 0.5 else 1.0 - x
