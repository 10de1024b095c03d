"""What places are painted with: skies, hills, clouds, stars and trees, each a little different.

Lengths within a shape are in shares of a square picture's side; in other shapes they keep their form.
"""

import numpy as np

from training.world.canvas import Canvas, Color, Curve

WHITE: Color = (255, 255, 255)


def mix(first: Color, second: Color, amount: float) -> Color:
    """The colour `amount` of the way from the first to the second."""
    red, green, blue = (round(a + (b - a) * amount) for a, b in zip(first, second, strict=True))
    return red, green, blue


def shade(color: Color, rng: np.random.Generator, spread: float) -> Color:
    """A near neighbour of a colour: a common and a small separate shift of each channel."""
    common = rng.normal(0.0, spread)
    shifts = (common + rng.normal(0.0, spread * 0.5, 3)).tolist()
    red, green, blue = (int(min(max(c + s, 0), 255)) for c, s in zip(color, shifts, strict=True))
    return red, green, blue


def hills(rng: np.random.Generator, level: float, height: float, waves: float = 1.0) -> Curve:
    """A rolling line about `level`, at most `height` up or down; alike for the same level."""
    phase = 9.0 * level + rng.uniform(-0.2, 0.2)

    def curve(x: np.ndarray) -> np.ndarray:
        angle = 2 * np.pi * waves * x + phase
        return level + height * (0.7 * np.sin(angle) + 0.3 * np.sin(2 * angle + 1.7))

    return curve


def height_at(curve: Curve, x: float) -> float:
    """The curve's y at one x."""
    return float(curve(np.array([x]))[0])


def draw_cloud(canvas: Canvas, x: float, y: float, width: float, color: Color = WHITE) -> None:
    """A puffy cloud with a flat base."""
    for dx, dy, radius in ((-0.32, 0.0, 0.17), (-0.08, -0.1, 0.25), (0.2, -0.04, 0.2)):
        across, down = dx * width * canvas.across, dy * width * canvas.down
        canvas.disc(x + across, y + down, radius * width, color)
    canvas.ellipse(x, y + 0.06 * width * canvas.down, 0.52 * width, 0.12 * width, color)


def draw_clouds(canvas: Canvas, rng: np.random.Generator) -> None:
    """A cloud in the upper left and one in the upper right."""
    left, right = rng.uniform(0.14, 0.2), rng.uniform(0.8, 0.86)
    draw_cloud(canvas, left, rng.uniform(0.18, 0.22), rng.uniform(0.24, 0.27))
    draw_cloud(canvas, right, rng.uniform(0.14, 0.18), rng.uniform(0.2, 0.23))


def draw_sun(canvas: Canvas, x: float, y: float, radius: float, color: Color) -> None:
    """A disc in a soft glow."""
    canvas.glow(x, y, radius * 3.2, radius * 3.2, mix(color, (255, 255, 255), 0.4), 0.8)
    canvas.disc(x, y, radius, color)


def draw_sun_and_clouds(canvas: Canvas, rng: np.random.Generator) -> None:
    """The sun on the left of the sky, a large cloud on the right and a small one between."""
    draw_sun(canvas, near_edge(rng), rng.uniform(0.14, 0.17), 0.07, (255, 226, 110))
    for x, y, width in ((0.78, 0.19, 0.3), (0.41, 0.31, 0.15)):
        dx, dy = rng.uniform(-0.03, 0.03, 2).tolist()
        draw_cloud(canvas, x + dx, y + dy, width)


def draw_stars(canvas: Canvas, rng: np.random.Generator, count: int, lowest: float) -> None:
    """Points of light down to the height `lowest`."""
    for x, y, radius in rng.uniform((0, 0, 0.003), (1, lowest, 0.008), (count, 3)).tolist():
        canvas.disc(x, y, radius, (255, 250, 225))


def draw_pine(canvas: Canvas, x: float, base: float, height: float, color: Color) -> None:
    """A fir of three tiers standing on `base`."""
    for top, bottom, half in ((1.0, 0.55, 0.2), (0.78, 0.3, 0.27), (0.52, 0.0, 0.34)):
        reach, hem = half * height * canvas.across, base - bottom * height * canvas.down
        tip = base - top * height * canvas.down
        canvas.polygon([(x, tip), (x - reach, hem), (x + reach, hem)], color)


def draw_tree(canvas: Canvas, x: float, base: float, height: float, leaf: Color) -> None:
    """A tree with a round crown standing on `base`."""
    half, tall = 0.05 * height * canvas.across, height * canvas.down
    canvas.rectangle(x - half, base - 0.5 * tall, x + half, base, (118, 78, 52))
    dark = mix(leaf, (60, 30, 20), 0.14)
    canvas.ellipse(x, base - 0.64 * tall, 0.31 * height, 0.36 * height, dark)
    canvas.ellipse(x - 0.8 * half, base - 0.68 * tall, 0.26 * height, 0.3 * height, leaf)


def draw_blossoms(canvas: Canvas, rng: np.random.Generator, top: float, count: int = 7) -> None:
    """A row of small flowers across the foreground."""
    petals = ((255, 255, 255), (255, 170, 190), (255, 224, 110))
    places = np.linspace(0.05, 0.95, count) + rng.uniform(-0.03, 0.03, count)
    for number, x in enumerate(places.tolist()):
        y = top + 0.12 * (number * 0.38 % 1)
        for dx, dy in ((-1, 0), (1, 0), (0, -1), (0, 1)):
            across, down = 0.011 * dx * canvas.across, 0.011 * dy * canvas.down
            canvas.disc(x + across, y + down, 0.009, petals[number % 3])
        canvas.disc(x, y, 0.008, (250, 190, 70))


def near_edge(rng: np.random.Generator) -> float:
    """An x near the left edge."""
    return rng.uniform(0.11, 0.15)
