"""What paints the places in the open: calm, large shapes that keep the middle free for the things."""

import numpy as np

from training.world.brushes import (
    draw_blossoms,
    draw_cloud,
    draw_clouds,
    draw_pine,
    draw_stars,
    draw_sun,
    draw_sun_and_clouds,
    draw_tree,
    height_at,
    hills,
    mix,
    near_edge,
    shade,
)
from training.world.canvas import Canvas


def meadow(canvas: Canvas, rng: np.random.Generator) -> None:
    canvas.fill(shade((122, 196, 250), rng, 6), (226, 243, 255), (226, 243, 255))
    draw_sun_and_clouds(canvas, rng)
    horizon = rng.uniform(0.54, 0.62)
    canvas.ground(hills(rng, horizon, 0.05), shade((164, 216, 120), rng, 6), (128, 196, 96))
    canvas.ground(hills(rng, horizon + 0.13, 0.03), shade((126, 200, 88), rng, 6), (76, 158, 70))
    draw_blossoms(canvas, rng, 0.84)


def beach(canvas: Canvas, rng: np.random.Generator) -> None:
    canvas.fill(shade((104, 196, 250), rng, 6), (214, 241, 255), (214, 241, 255))
    draw_sun_and_clouds(canvas, rng)
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
    for x, y, color in ((0.7, 0.3, (168, 62, 186)), (0.3, 0.75, (48, 98, 206))):
        canvas.glow(x, y, rng.uniform(0.5, 0.6), rng.uniform(0.35, 0.42), color, 0.5)
    draw_stars(canvas, rng, 46, 1.0)
    x, y, radius = near_edge(rng), rng.uniform(0.15, 0.19), rng.uniform(0.08, 0.09)
    planet = (240, 160, 90)
    canvas.disc(x, y, radius, mix(planet, (30, 10, 50), 0.35))
    canvas.disc(x - 0.01 * canvas.across, y - 0.01 * canvas.down, radius * 0.86, planet)


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
        x, top = center + rng.uniform(-0.03, 0.03), 0.2 + 0.12 * abs(center - 0.4) * 2
        half = rng.uniform(0.36, 0.4)
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
    for x, width in ((0.12, 0.08), (0.4, 0.06), (0.68, 0.09)):
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
        x, y, radius = rng.choice((0.1, 0.9)), rng.uniform(0.08, 0.75), rng.uniform(0.01, 0.024)
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


def sunset(canvas: Canvas, rng: np.random.Generator) -> None:
    canvas.fill(shade((94, 66, 156), rng, 6), (236, 104, 134), (255, 176, 96), (255, 214, 130))
    x, horizon = rng.uniform(0.46, 0.54), rng.uniform(0.62, 0.65)
    canvas.glow(x, horizon, 0.55, 0.5, (255, 236, 160), 0.7)
    canvas.disc(x, horizon - 0.06, 0.17, (255, 240, 178))
    for y, center in ((0.16, 0.26), (0.3, 0.76)):
        half = rng.uniform(0.2, 0.24)
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
        leaf = leaves[round(100 * height) % 4]
        draw_tree(canvas, x, height_at(far, x) + 0.06, height, leaf)
    canvas.ground(hills(rng, horizon + 0.1, 0.02), shade((222, 158, 78), rng, 5), (178, 112, 58))
    for number, (x, y) in enumerate(rng.uniform((0, 0.76), (1, 0.98), (14, 2)).tolist()):
        canvas.ellipse(x, y, 0.016, 0.009, leaves[number % 4])


def pond(canvas: Canvas, rng: np.random.Generator) -> None:
    canvas.fill(shade((150, 208, 246), rng, 3), (236, 246, 250), (236, 246, 250))
    draw_clouds(canvas, rng)
    canvas.ground(hills(rng, 0.5, 0.03), (150, 200, 130), (120, 180, 104))
    for x, height in ((0.04, 0.34), (0.16, 0.24), (0.86, 0.26), (0.97, 0.36)):
        draw_tree(canvas, x + rng.uniform(-0.01, 0.01), 0.56, height, (92, 164, 92))
    canvas.ground(lambda x: 0.56 + 0.01 * np.cos(6 * x), (136, 206, 232), (66, 150, 204))
    for x, y, half in ((0.2, 0.64, 0.07), (0.74, 0.61, 0.06), (0.88, 0.7, 0.08), (0.38, 0.7, 0.05)):
        canvas.ellipse(x, y, half, 0.25 * half, (96, 180, 96))
        canvas.ellipse(x - 0.01, y - 0.003, 0.8 * half, 0.18 * half, (126, 204, 112))
    canvas.disc(0.885, 0.69, 0.014, (255, 170, 200))
    canvas.ground(hills(rng, 0.8, 0.015), shade((128, 196, 92), rng, 3), (82, 158, 72))
    for x in (0.03, 0.07, 0.11, 0.9, 0.94, 0.98):
        top = rng.uniform(0.56, 0.62)
        canvas.polygon([(x - 0.006, 0.86), (x, top), (x + 0.006, 0.86)], (86, 146, 66))
        canvas.ellipse(x, top + 0.02, 0.01, 0.035, (140, 92, 54))


def garden(canvas: Canvas, rng: np.random.Generator) -> None:
    canvas.fill(shade((138, 206, 250), rng, 3), (232, 246, 255), (232, 246, 255))
    draw_sun_and_clouds(canvas, rng)
    for x in np.linspace(-0.02, 1.02, 9).tolist():
        canvas.disc(x, 0.56, 0.1, shade((96, 168, 92), rng, 5))
    canvas.band(0.56, 1.0, (140, 206, 102), (98, 178, 80))
    for x in np.linspace(0.0, 1.0, 13).tolist():
        half = 0.022 * canvas.across
        corners = (x - half, 0.48), (x, 0.445), (x + half, 0.48), (x + half, 0.66), (x - half, 0.66)
        canvas.polygon(corners, (250, 250, 246))
    for y in (0.51, 0.6):
        canvas.rectangle(0.0, y, 1.0, y + 0.022, (238, 238, 232))
    blooms = ((244, 92, 120), (255, 206, 84), (186, 120, 232), (255, 255, 255))
    for number in range(14):
        x = 0.015 + 0.028 * (number // 2) if number % 2 else 0.985 - 0.028 * (number // 2)
        y = 0.66 + 0.05 * (number * 0.38 % 1)
        canvas.disc(x, y + 0.03, 0.03, (70, 150, 70))
        canvas.disc(x, y, 0.02, blooms[number % 4])
    draw_blossoms(canvas, rng, 0.86)


def farm(canvas: Canvas, rng: np.random.Generator) -> None:
    canvas.fill(shade((134, 202, 250), rng, 3), (236, 246, 255), (236, 246, 255))
    draw_cloud(canvas, rng.uniform(0.5, 0.54), 0.14, 0.24)
    draw_cloud(canvas, rng.uniform(0.84, 0.88), 0.24, 0.26)
    canvas.ground(hills(rng, 0.56, 0.025), (206, 208, 112), (176, 190, 92))
    for x in np.linspace(-1.4, 2.4, 20).tolist():
        foot = 0.5 + (x - 0.5) * 2.6
        stripe = [(x, 0.6), (x + 0.04, 0.6), (foot + 0.2, 0.82), (foot, 0.82)]
        canvas.polygon(stripe, (150, 174, 74), 0.5)
    roof, wall = (122, 62, 54), (206, 72, 60)
    canvas.rectangle(0.31, 0.36, 0.37, 0.64, (196, 200, 206))
    canvas.ellipse(0.34, 0.36, 0.031 / canvas.across, 0.04, (150, 156, 166))
    canvas.polygon([(0.03, 0.44), (0.16, 0.28), (0.29, 0.44), (0.29, 0.65), (0.03, 0.65)], wall)
    canvas.polygon([(0.0, 0.46), (0.16, 0.26), (0.32, 0.46), (0.29, 0.46), (0.16, 0.31),
                    (0.03, 0.46)], roof)  # fmt: skip
    canvas.rectangle(0.1, 0.5, 0.22, 0.65, (246, 240, 226))
    canvas.rectangle(0.112, 0.515, 0.208, 0.65, (160, 52, 46))
    canvas.ground(hills(rng, 0.78, 0.01), shade((130, 194, 88), rng, 3), (86, 156, 70))
    for x in (0.52, 0.68, 0.84, 1.0):
        canvas.rectangle(x - 0.012, 0.58, x + 0.012, 0.8, (168, 116, 72))
    for y in (0.62, 0.7):
        canvas.rectangle(0.5, y, 1.0, y + 0.025, (186, 132, 84))


def volcano(canvas: Canvas, rng: np.random.Generator) -> None:
    canvas.fill((62, 38, 66), shade((150, 66, 70), rng, 3), (240, 140, 84), (250, 180, 110))
    for x, y, radius in (
        (0.56, 0.14, 0.07),
        (0.47, 0.1, 0.08),
        (0.6, 0.04, 0.1),
        (0.44, 0.0, 0.11),
    ):
        canvas.disc(x + rng.uniform(-0.01, 0.01), y, radius, (84, 62, 76))
    canvas.glow(0.5, 0.24, 0.3, 0.22, (255, 170, 80), 0.8)
    canvas.polygon([(0.4, 0.24), (0.6, 0.24), (1.06, 0.74), (-0.06, 0.74)], (92, 60, 62))
    canvas.polygon([(0.52, 0.24), (0.6, 0.24), (1.06, 0.74), (0.66, 0.74)], (74, 48, 54))
    lava = (255, 128, 48)
    canvas.ellipse(0.5, 0.24, 0.1 / canvas.across, 0.022, (255, 196, 90))
    for x, foot, half in ((0.43, 0.2, 0.022), (0.56, 0.8, 0.026), (0.5, 0.47, 0.016)):
        flow = [(x - half, 0.24), (x + half, 0.24), (foot + 2 * half, 0.7), (foot - 2 * half, 0.7)]
        canvas.polygon(flow, lava)
    canvas.ground(hills(rng, 0.7, 0.015), shade((88, 62, 66), rng, 2), (50, 36, 44))
    for x, y, half in ((0.08, 0.8, 0.09), (0.93, 0.78, 0.1), (0.2, 0.95, 0.1), (0.8, 0.96, 0.12)):
        canvas.ellipse(x, y, half, 0.16 * half, lava)
        canvas.ellipse(x, y, 0.7 * half, 0.09 * half, (255, 196, 90))
