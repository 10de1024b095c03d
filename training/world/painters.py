"""What paints the backgrounds: plain colours, gradients, and the calm, large shapes of the places.

They keep the middle free: that is where the objects go. All vary a little.
"""

import numpy as np

from training.world.canvas import Canvas, Color, Curve
from training.world.color import BACKGROUNDS


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
    for away, y, width in (
        ((0.58, 0.7), (0.14, 0.24), (0.26, 0.34)),
        ((0.24, 0.3), (0.28, 0.36), (0.13, 0.18)),
    ):
        draw_cloud(canvas, x + inwards * rng.uniform(*away), rng.uniform(*y), rng.uniform(*width))


def draw_stars(canvas: Canvas, rng: np.random.Generator, count: int, lowest: float) -> None:
    """Points of light down to the height `lowest`."""
    for x, y, radius in rng.uniform((0, 0, 0.003), (1, lowest, 0.008), (count, 3)).tolist():
        canvas.disc(x, y, radius, (255, 250, 225))


def draw_pine(canvas: Canvas, x: float, base: float, height: float, color: Color) -> None:
    """A fir of three tiers standing on `base`."""
    for top, bottom, half in ((1.0, 0.55, 0.2), (0.78, 0.3, 0.27), (0.52, 0.0, 0.34)):
        left, right, hem = x - half * height, x + half * height, base - bottom * height
        canvas.polygon([(x, base - top * height), (left, hem), (right, hem)], color)


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


def plain(canvas: Canvas, rng: np.random.Generator, color: str) -> None:
    """A named colour with a barely lighter middle, as in a photo studio."""
    base = shade(BACKGROUNDS[color], rng, 5)
    canvas.fill(base)
    canvas.glow(0.5, 0.45, 0.75, 0.75, mix(base, (255, 255, 255), 0.35), 0.5)


def gradient(canvas: Canvas, rng: np.random.Generator, first: str, second: str) -> None:
    """From the first colour at the top (or top left) to the second at the bottom."""
    towards = (0.0, 1.0) if rng.random() < 0.6 else (0.6, 1.0)
    canvas.fill(*(shade(BACKGROUNDS[color], rng, 5) for color in (first, second)), towards=towards)


def meadow(canvas: Canvas, rng: np.random.Generator) -> None:
    canvas.fill(shade((122, 196, 250), rng, 6), (226, 243, 255), (226, 243, 255))
    draw_sun_and_cloud(canvas, rng)
    horizon = rng.uniform(0.54, 0.62)
    canvas.ground(hills(rng, horizon, 0.05), shade((164, 216, 120), rng, 6), (128, 196, 96))
    canvas.ground(hills(rng, horizon + 0.13, 0.03), shade((126, 200, 88), rng, 6), (76, 158, 70))
    petals = ((255, 255, 255), (255, 170, 190), (255, 224, 110))
    for x in np.linspace(0.05, 0.95, 7) + rng.uniform(-0.05, 0.05, 7):
        y, petal = rng.uniform(0.84, 0.97), petals[rng.integers(3)]
        for dx, dy in ((-1, 0), (1, 0), (0, -1), (0, 1)):
            canvas.disc(x + 0.011 * dx, y + 0.011 * dy, 0.009, petal)
        canvas.disc(x, y, 0.008, (250, 190, 70))


def beach(canvas: Canvas, rng: np.random.Generator) -> None:
    canvas.fill(shade((104, 196, 250), rng, 6), (214, 241, 255), (214, 241, 255))
    draw_sun_and_cloud(canvas, rng)
    horizon = rng.uniform(0.46, 0.54)
    canvas.band(horizon, 1.0, shade((34, 146, 204), rng, 5), (92, 214, 214), (150, 232, 220))
    shore = hills(rng, horizon + 0.2, 0.025, 0.7)
    canvas.ground(lambda x: shore(x) - 0.022, (246, 254, 252), (246, 254, 252))
    canvas.ground(shore, shade((240, 214, 160), rng, 4), (252, 226, 172), (232, 196, 138))


def night(canvas: Canvas, rng: np.random.Generator) -> None:
    canvas.fill((16, 20, 58), shade((38, 46, 112), rng, 5), (92, 92, 168))
    draw_stars(canvas, rng, 34, 0.66)
    x, y = near_edge(rng), rng.uniform(0.14, 0.2)
    canvas.glow(x, y, 0.24, 0.24, (250, 240, 200), 0.5)
    canvas.disc(x, y, 0.075, (252, 244, 208))
    canvas.disc(x + 0.02, y - 0.015, 0.018, (234, 222, 180))
    canvas.disc(x - 0.025, y + 0.02, 0.012, (234, 222, 180))
    horizon = rng.uniform(0.62, 0.68)
    canvas.ground(hills(rng, horizon, 0.05), (48, 56, 112), (36, 44, 96))
    canvas.ground(hills(rng, horizon + 0.1, 0.025), shade((34, 50, 88), rng, 4), (20, 30, 60))


def space(canvas: Canvas, rng: np.random.Generator) -> None:
    canvas.fill((14, 10, 38), shade((38, 22, 78), rng, 5), (12, 14, 46), towards=(0.7, 1.0))
    for color in ((168, 62, 186), (48, 98, 206)):
        x, y = rng.uniform(0.1, 0.9, 2)
        canvas.glow(x, y, rng.uniform(0.4, 0.6), rng.uniform(0.25, 0.45), color, 0.5)
    draw_stars(canvas, rng, 46, 1.0)
    x, y, radius = near_edge(rng), rng.uniform(0.12, 0.22), rng.uniform(0.07, 0.1)
    planets = ((240, 160, 90), (110, 190, 220), (226, 120, 150))
    planet = planets[rng.integers(3)]
    canvas.disc(x, y, radius, mix(planet, (30, 10, 50), 0.35))
    canvas.disc(x - 0.12 * radius, y - 0.12 * radius, radius * 0.86, planet)


def snow(canvas: Canvas, rng: np.random.Generator) -> None:
    canvas.fill(shade((150, 194, 234), rng, 5), (226, 240, 252), (236, 246, 255))
    horizon = rng.uniform(0.56, 0.63)
    canvas.ground(hills(rng, horizon, 0.05), (214, 230, 246), (200, 220, 242))
    near = hills(rng, horizon + 0.12, 0.025)
    for x in (rng.uniform(0.03, 0.1), rng.uniform(0.15, 0.24), rng.uniform(0.82, 0.95)):
        draw_pine(canvas, x, height_at(near, x) + 0.02, rng.uniform(0.2, 0.32), (84, 138, 142))
    canvas.ground(near, (250, 252, 255), (222, 234, 248))
    for x, y, radius in rng.uniform((0, 0, 0.005), (1, 0.95, 0.011), (30, 3)).tolist():
        canvas.disc(x, y, radius, (255, 255, 255))


def mountains(canvas: Canvas, rng: np.random.Generator) -> None:
    canvas.fill(shade((118, 186, 240), rng, 6), (232, 242, 250), (232, 242, 250))
    draw_clouds(canvas, rng)
    base = 0.72
    peaks = (0.5, (150, 168, 204)), (0.16, (112, 132, 178)), (0.86, (122, 142, 186))
    for center, color in peaks:
        x, top = center + rng.uniform(-0.06, 0.06), rng.uniform(0.2, 0.32)
        half = rng.uniform(0.34, 0.42)
        canvas.polygon([(x, top), (x - half, base), (x + half, base)], color)
        dark = mix(color, (40, 50, 90), 0.16)
        canvas.polygon([(x, top), (x + half, base), (x + 0.08, base)], dark)
        reach, drop = 0.3 * half, top + 0.3 * (base - top)
        hem = ((-1.0, 0.0), (-0.3, -0.03), (0.0, 0.02), (0.4, -0.03), (1.0, 0.0))
        snow_cap = [(x, top), *((x + dx * reach, drop + dy) for dx, dy in hem)]
        canvas.polygon(snow_cap, (250, 252, 255))
    canvas.ground(hills(rng, 0.64, 0.02), shade((140, 190, 110), rng, 6), (120, 176, 96))
    canvas.ground(hills(rng, 0.74, 0.02), shade((114, 178, 88), rng, 6), (74, 140, 72))


def desert(canvas: Canvas, rng: np.random.Generator) -> None:
    canvas.fill(shade((116, 196, 232), rng, 5), (255, 236, 196), (255, 226, 170))
    draw_sun(canvas, near_edge(rng), rng.uniform(0.14, 0.22), 0.075, (255, 240, 170))
    horizon = rng.uniform(0.52, 0.6)
    canvas.ground(hills(rng, horizon, 0.06, 0.8), shade((242, 190, 120), rng, 5), (228, 160, 92))
    canvas.ground(hills(rng, horizon + 0.1, 0.05, 0.7), (238, 174, 100), (222, 148, 78))
    canvas.ground(hills(rng, horizon + 0.2, 0.03, 0.6), (246, 192, 116), (214, 138, 70))


def underwater(canvas: Canvas, rng: np.random.Generator) -> None:
    canvas.fill(shade((110, 218, 236), rng, 5), (30, 140, 206), (14, 74, 150))
    for x in rng.uniform(0.05, 0.75, 3):
        width = rng.uniform(0.05, 0.1)
        beam = [(x, 0.0), (x + width, 0.0), (x + 2.2 * width + 0.1, 0.86), (x + 0.1, 0.86)]
        canvas.polygon(beam, (220, 250, 255), 0.16)
    floor = hills(rng, 0.88, 0.015)
    for center in (0.07, 0.14, 0.87, 0.94):
        x, height = center + rng.uniform(-0.03, 0.03), rng.uniform(0.2, 0.4)
        color = shade((46, 168, 120), rng, 10)
        t = np.linspace(0.0, 1.0, 12)
        sway = x + 0.018 * np.sin(7.0 * t + rng.uniform(0, 6))
        half = 0.02 * (1.0 - t) + 0.003
        up = list(zip(sway - half, 0.92 - height * t, strict=True))
        down = list(zip(sway + half, 0.92 - height * t, strict=True))[::-1]
        canvas.polygon(up + down, color)
    canvas.ground(floor, (226, 208, 160), (190, 170, 130))
    for _ in range(9):
        x, y, radius = near_edge(rng), rng.uniform(0.08, 0.75), rng.uniform(0.01, 0.024)
        canvas.ring(x, y, radius, 0.005, (206, 244, 255))


def forest(canvas: Canvas, rng: np.random.Generator) -> None:
    canvas.fill(shade((214, 240, 200), rng, 5), (176, 220, 164), (140, 196, 132))
    canvas.glow(0.5, 0.3, 0.5, 0.45, (255, 255, 220), 0.75)
    for x in np.array([0.1, 0.3, 0.7, 0.9]) + rng.uniform(-0.05, 0.05, 4):
        canvas.rectangle(x - 0.02, 0.0, x + 0.02, 0.75, (138, 172, 124))
    for x in (rng.uniform(0.0, 0.07), rng.uniform(0.17, 0.22), rng.uniform(0.86, 0.97)):
        half = rng.uniform(0.035, 0.05)
        foot = 1.3 * half
        trunk = [(x - half, 0.0), (x + half, 0.0), (x + foot, 0.8), (x - foot, 0.8)]
        canvas.polygon(trunk, (112, 82, 60))
        canvas.rectangle(x - half, 0.0, x - 0.3 * half, 0.76, (130, 98, 72))
    for x in np.linspace(0.0, 1.0, 7) + rng.uniform(-0.03, 0.03, 7):
        edge = 0.03 + 0.5 * abs(x - 0.5) ** 1.5
        canvas.disc(x, edge - 0.06, rng.uniform(0.1, 0.14), shade((70, 142, 76), rng, 7))
    canvas.ground(hills(rng, 0.7, 0.015), shade((110, 176, 92), rng, 5), (72, 136, 70))
    for x in (rng.uniform(0.0, 0.1), rng.uniform(0.9, 1.0)):
        canvas.disc(x, 0.76, rng.uniform(0.06, 0.09), (58, 128, 70))


def city(canvas: Canvas, rng: np.random.Generator) -> None:
    canvas.fill(shade((134, 196, 244), rng, 6), (236, 242, 250), (236, 242, 250))
    draw_clouds(canvas, rng)
    for x in np.arange(-0.02, 1.0, 0.13):
        top = rng.uniform(0.3, 0.5)
        canvas.rectangle(x, top, x + 0.12, 0.8, shade((176, 196, 222), rng, 5))
    walls = ((232, 150, 122), (240, 204, 140), (126, 158, 200), (150, 134, 186), (126, 190, 180))
    for x in (0.0, 0.17, 0.4, 0.62, 0.82):
        width = 0.16
        edge = abs(x + width / 2 - 0.5)
        top = rng.uniform(0.5, 0.58) - 0.6 * edge * rng.uniform(0.6, 1.0)
        wall = walls[rng.integers(len(walls))]
        canvas.rectangle(x, top, x + width, 0.8, wall)
        canvas.rectangle(x, top, x + width, top + 0.018, mix(wall, (60, 50, 80), 0.25))
        for row in np.arange(top + 0.045, 0.7, 0.075):
            for column in (0.028, 0.092):
                canvas.rectangle(x + column, row, x + column + 0.04, row + 0.042, (255, 246, 206))
    canvas.band(0.76, 0.8, (214, 214, 220), (196, 198, 206))
    canvas.band(0.8, 1.0, shade((112, 118, 134), rng, 4), (92, 98, 114))
    for x in np.arange(rng.uniform(-0.1, 0.05), 1.0, 0.22):
        canvas.rectangle(x, 0.945, x + 0.12, 0.96, (240, 236, 214))


def sunset(canvas: Canvas, rng: np.random.Generator) -> None:
    canvas.fill(shade((94, 66, 156), rng, 6), (236, 104, 134), (255, 176, 96), (255, 214, 130))
    x, horizon = rng.uniform(0.25, 0.75), rng.uniform(0.6, 0.66)
    canvas.glow(x, horizon, 0.55, 0.5, (255, 236, 160), 0.7)
    canvas.disc(x, horizon - 0.06, 0.17, (255, 240, 178))
    for y in (0.16, 0.3):
        center, half = rng.uniform(0.1, 0.9), rng.uniform(0.16, 0.26)
        canvas.ellipse(center, y, half, 0.018, (250, 160, 160))
        canvas.ellipse(center + 0.08, y + 0.022, half * 0.7, 0.014, (250, 160, 160))
    canvas.ground(hills(rng, horizon, 0.03), (164, 76, 132), (140, 62, 122))
    canvas.ground(hills(rng, horizon + 0.12, 0.025), shade((106, 52, 108), rng, 4), (70, 36, 84))


def sky(canvas: Canvas, rng: np.random.Generator) -> None:
    canvas.fill(shade((66, 152, 236), rng, 6), (150, 208, 250), (220, 240, 255))
    for x, y in ((0.16, 0.2), (0.84, 0.14), (0.1, 0.62), (0.9, 0.52), (0.3, 0.94), (0.76, 0.9)):
        dx, dy = rng.uniform(-0.05, 0.05, 2)
        draw_cloud(canvas, x + dx, y + dy, rng.uniform(0.26, 0.4))


def autumn(canvas: Canvas, rng: np.random.Generator) -> None:
    canvas.fill(shade((176, 216, 236), rng, 5), (254, 240, 212), (254, 232, 190))
    horizon = rng.uniform(0.58, 0.64)
    far = hills(rng, horizon, 0.03)
    canvas.ground(far, (232, 186, 104), (220, 166, 84))
    leaves = ((232, 96, 52), (244, 150, 50), (214, 64, 56), (250, 190, 70))
    for x in np.array([0.36, 0.66, 0.22, 0.8, 0.05, 0.94]) + rng.uniform(-0.03, 0.03, 6):
        height = 0.26 + 0.6 * abs(x - 0.5) + rng.uniform(-0.04, 0.04)
        leaf = shade(leaves[rng.integers(4)], rng, 6)
        draw_tree(canvas, x, height_at(far, x) + 0.06, height, leaf)
    canvas.ground(hills(rng, horizon + 0.1, 0.02), shade((222, 158, 78), rng, 5), (178, 112, 58))
    for x, y in rng.uniform((0, 0.76), (1, 0.98), (14, 2)):
        canvas.ellipse(x, y, 0.016, 0.009, leaves[rng.integers(4)])


def party(canvas: Canvas, rng: np.random.Generator) -> None:
    walls = ((255, 196, 214), (206, 190, 250), (178, 224, 250), (255, 224, 168))
    wall = shade(walls[rng.integers(4)], rng, 4)
    canvas.fill(mix(wall, (255, 255, 255), 0.35), wall)
    bright = ((240, 84, 110), (255, 190, 60), (76, 176, 236), (120, 204, 110), (168, 110, 230))
    sag = rng.uniform(0.06, 0.1)
    start = int(rng.integers(5))
    for i, x in enumerate(np.linspace(0.0, 0.9, 8)):
        y0, y1 = (0.03 + sag * 4 * v * (1 - v) for v in (x, x + 0.1))
        tip = (x + 0.05, (y0 + y1) / 2 + 0.13)
        canvas.polygon([(x, y0), (x + 0.1, y1), tip], bright[(start + i) % 5])
    for x, y, turn in rng.uniform((0, 0.2, 0), (1, 0.8, np.pi), (28, 3)):
        dx, dy = 0.02 * np.cos(turn), 0.02 * np.sin(turn)
        corners = ((-dx, -dy), (0.6 * dy, -0.6 * dx), (dx, dy), (-0.6 * dy, 0.6 * dx))
        canvas.polygon([(x + a, y + b) for a, b in corners], bright[rng.integers(5)])
    canvas.band(0.8, 1.0, mix(wall, (120, 70, 110), 0.28), mix(wall, (120, 70, 110), 0.42))
