"""What paints the places that people built, in the same way as ``landscapes``."""

import numpy as np

from training.world.brushes import draw_clouds, mix, shade
from training.world.canvas import Canvas


def city(canvas: Canvas, rng: np.random.Generator) -> None:
    canvas.fill(shade((134, 196, 244), rng, 6), (236, 242, 250), (236, 242, 250))
    draw_clouds(canvas, rng)
    for x in np.arange(-0.02, 1.0, 0.13):
        top = 0.3 + 0.2 * (7 * x % 1)
        canvas.rectangle(x, top, x + 0.12, 0.8, shade((176, 196, 222), rng, 3))
    walls = ((232, 150, 122), (240, 204, 140), (126, 158, 200), (150, 134, 186), (126, 190, 180))
    for x, wall in zip((0.0, 0.17, 0.4, 0.62, 0.82), walls, strict=True):
        width = 0.16
        edge = abs(x + width / 2 - 0.5)
        top = 0.54 - 0.6 * edge * rng.uniform(0.75, 0.85)
        canvas.rectangle(x, top, x + width, 0.8, wall)
        canvas.rectangle(x, top, x + width, top + 0.018, mix(wall, (60, 50, 80), 0.25))
        for row in np.arange(top + 0.045, 0.7, 0.075):
            for column in (0.028, 0.092):
                canvas.rectangle(x + column, row, x + column + 0.04, row + 0.042, (255, 246, 206))
    canvas.band(0.76, 0.8, (214, 214, 220), (196, 198, 206))
    canvas.band(0.8, 1.0, shade((112, 118, 134), rng, 4), (92, 98, 114))
    for x in np.arange(-0.05, 1.0, 0.22):
        canvas.rectangle(x, 0.945, x + 0.12, 0.96, (240, 236, 214))


def party(canvas: Canvas, rng: np.random.Generator) -> None:
    wall = shade((255, 196, 214), rng, 2)
    canvas.fill(mix(wall, (255, 255, 255), 0.35), wall)
    bright = ((240, 84, 110), (255, 190, 60), (76, 176, 236), (120, 204, 110), (168, 110, 230))
    sag = rng.uniform(0.07, 0.09)
    for i, x in enumerate(np.linspace(0.0, 0.9, 8)):
        y0, y1 = (0.03 + sag * 4 * v * (1 - v) for v in (x, x + 0.1))
        tip = (x + 0.05, (y0 + y1) / 2 + 0.13)
        canvas.polygon([(x, y0), (x + 0.1, y1), tip], bright[i % 5])
    scraps = rng.uniform((0, 0.2, 0), (1, 0.8, np.pi), (28, 3)).tolist()
    for number, (x, y, turn) in enumerate(scraps):
        dx, dy = 0.02 * np.cos(turn), 0.02 * np.sin(turn)
        corners = ((-dx, -dy), (0.6 * dy, -0.6 * dx), (dx, dy), (-0.6 * dy, 0.6 * dx))
        canvas.polygon([(x + a, y + b) for a, b in corners], bright[number % 5])
    canvas.band(0.8, 1.0, mix(wall, (120, 70, 110), 0.28), mix(wall, (120, 70, 110), 0.42))


def road(canvas: Canvas, rng: np.random.Generator) -> None:
    canvas.fill(shade((128, 198, 248), rng, 3), (234, 245, 255), (234, 245, 255))
    draw_clouds(canvas, rng)
    canvas.ground(lambda x: 0.54 + 0.04 * np.sin(5 * x + 1), (150, 196, 150), (130, 186, 120))
    canvas.band(0.6, 1.0, shade((150, 208, 108), rng, 3), (98, 170, 80))
    canvas.polygon([(0.44, 0.6), (0.56, 0.6), (1.16, 1.0), (-0.16, 1.0)], (236, 232, 222))
    canvas.polygon([(0.445, 0.6), (0.555, 0.6), (1.1, 1.0), (-0.1, 1.0)], (112, 118, 132))
    for top in (0.6, 0.655, 0.74, 0.86):
        bottom = top + 0.45 * (top - 0.56)
        near, far = (0.06 * (y - 0.56) + 0.002 for y in (bottom, top))
        dash = [(0.5 - far, top), (0.5 + far, top), (0.5 + near, bottom), (0.5 - near, bottom)]
        canvas.polygon(dash, (255, 232, 140))


def living_room(canvas: Canvas, rng: np.random.Generator) -> None:
    wall = shade((246, 222, 190), rng, 2)
    canvas.fill(mix(wall, (255, 255, 255), 0.25), wall)
    for x in np.linspace(0.03, 0.97, 12).tolist():
        canvas.rectangle(x - 0.006, 0.0, x + 0.006, 0.7, mix(wall, (255, 255, 255), 0.35))
    canvas.rectangle(0.04, 0.1, 0.31, 0.48, (255, 255, 255))
    canvas.rectangle(0.06, 0.12, 0.29, 0.46, (150, 212, 250))
    canvas.ellipse(0.17, 0.47, 0.13, 0.09, (134, 196, 110))
    canvas.rectangle(0.04, 0.46, 0.31, 0.49, (255, 255, 255))
    canvas.rectangle(0.168, 0.12, 0.182, 0.46, (255, 255, 255))
    for x0, x1, tip in ((0.0, 0.1, 0.02), (0.35, 0.25, 0.33)):
        canvas.polygon([(x0, 0.06), (x1, 0.06), (tip, 0.52), (x0, 0.52)], (226, 112, 96))
    canvas.rectangle(0.74, 0.14, 0.95, 0.38, (150, 102, 66))
    canvas.rectangle(0.76, 0.16, 0.93, 0.36, (206, 228, 240))
    canvas.polygon([(0.76, 0.36), (0.83, 0.22), (0.87, 0.29), (0.9, 0.25), (0.93, 0.36)],
                   (110, 150, 130))  # fmt: skip
    canvas.rectangle(0.0, 0.68, 1.0, 0.71, (252, 246, 236))
    canvas.band(0.71, 1.0, (206, 154, 104), (176, 122, 78))
    for number, y in enumerate((0.765, 0.83, 0.91)):
        canvas.rectangle(0.0, y, 1.0, y + 0.004, (160, 108, 68))
        for x in np.linspace(-0.1, 0.9, 4).tolist():
            joint = x + 0.12 * number
            canvas.rectangle(joint, y, joint + 0.004, y + 0.08, (160, 108, 68))
    canvas.ellipse(0.5, 0.88, 0.44 / canvas.across, 0.09 / canvas.down, (238, 206, 150))
    canvas.ellipse(0.5, 0.88, 0.4 / canvas.across, 0.078 / canvas.down, (110, 162, 186))


def kitchen(canvas: Canvas, rng: np.random.Generator) -> None:
    canvas.fill(shade((226, 240, 238), rng, 2), (206, 228, 226))
    for x in np.linspace(0.0, 1.0, 11).tolist():
        canvas.rectangle(x - 0.003, 0.0, x + 0.003, 0.7, (250, 254, 253))
    for y in np.linspace(0.06, 0.66, 7).tolist():
        canvas.rectangle(0.0, y - 0.003, 1.0, y + 0.003, (250, 254, 253))
    for x in (0.0, 0.78):
        canvas.rectangle(x, 0.0, x + 0.22, 0.24, (120, 176, 168))
        canvas.rectangle(x + 0.015, 0.0, x + 0.205, 0.22, (140, 194, 186))
        canvas.disc(0.19 if x == 0 else 0.81, 0.19, 0.011, (250, 226, 160))
    for x, y, color in ((0.05, 0.47, (240, 120, 96)), (0.15, 0.47, (250, 206, 110)),
                        (0.85, 0.47, (108, 160, 210)), (0.95, 0.47, (236, 236, 240))):  # fmt: skip
        canvas.rectangle(x - 0.035, y - 0.1, x + 0.035, y, color)
        canvas.rectangle(x - 0.025, y - 0.12, x + 0.025, y - 0.1, mix(color, (60, 40, 40), 0.3))
    for x in (0.0, 0.78):
        canvas.rectangle(x, 0.47, x + 0.22, 0.5, (190, 140, 96))
    canvas.band(0.7, 0.74, (250, 246, 240), (232, 226, 216))
    canvas.band(0.74, 1.0, shade((214, 160, 108), rng, 2), (186, 130, 84))
    for y in (0.8, 0.88):
        canvas.rectangle(0.0, y, 1.0, y + 0.004, (172, 118, 74))


def castle_hall(canvas: Canvas, rng: np.random.Generator) -> None:
    stone = shade((158, 156, 172), rng, 2)
    canvas.fill(mix(stone, (60, 56, 84), 0.3), stone)
    for row, y in enumerate(np.linspace(0.0, 0.63, 8).tolist()):
        canvas.rectangle(0.0, y, 1.0, y + 0.006, mix(stone, (70, 66, 90), 0.35))
        for x in np.linspace(0.0, 1.0, 7).tolist():
            joint = x + 0.08 * (row % 2)
            canvas.rectangle(joint, y, joint + 0.005, y + 0.09, mix(stone, (70, 66, 90), 0.35))
    for x in (0.5, 0.28, 0.72):
        canvas.ellipse(x, 0.2, 0.06, 0.08, (255, 236, 170))
        half = 0.06 * canvas.across
        canvas.rectangle(x - half, 0.2, x + half, 0.44, (255, 236, 170))
        canvas.rectangle(x - 0.006, 0.13, x + 0.006, 0.44, (96, 90, 110))
    for x in (0.1, 0.9):
        banner = (x - 0.07, 0.06), (x + 0.07, 0.06), (x + 0.07, 0.5), (x, 0.44), (x - 0.07, 0.5)
        canvas.polygon(banner, (176, 40, 58))
        canvas.rectangle(x - 0.085, 0.045, x + 0.085, 0.065, (226, 178, 80))
        canvas.disc(x, 0.22, 0.04, (240, 200, 96))
    canvas.band(0.68, 1.0, (120, 116, 134), (92, 88, 108))
    canvas.polygon([(0.36, 0.68), (0.64, 0.68), (0.92, 1.0), (0.08, 1.0)], (226, 178, 80))
    canvas.polygon([(0.38, 0.68), (0.62, 0.68), (0.87, 1.0), (0.13, 1.0)], (190, 44, 62))


def stage(canvas: Canvas, rng: np.random.Generator) -> None:
    canvas.fill((44, 26, 66), shade((86, 44, 104), rng, 2))
    for x, foot in ((0.3, 0.38), (0.7, 0.62)):
        beam = [(x - 0.03, 0.0), (x + 0.03, 0.0), (foot + 0.26, 0.84), (foot - 0.26, 0.84)]
        canvas.polygon(beam, (255, 236, 180), 0.22)
    canvas.band(0.74, 1.0, (196, 136, 84), (150, 96, 58))
    for x in np.linspace(-0.6, 1.6, 12).tolist():
        foot = 0.5 + (x - 0.5) * 1.5
        plank = [(x, 0.74), (x + 0.006, 0.74), (foot + 0.01, 1.0), (foot, 1.0)]
        canvas.polygon(plank, (134, 84, 50))
    canvas.glow(0.5, 0.88, 0.46, 0.12, (255, 244, 206), 0.7)
    for fold in range(4):
        red = mix((196, 34, 54), (110, 14, 36), 0.5 * (fold % 2))
        x, width = 0.055 * fold, 0.055
        for left in (x, 1.0 - x - width):
            canvas.rectangle(left, 0.0, left + width, 0.84 - 0.02 * fold, red)
    for fold in range(10):
        canvas.ellipse(
            0.05 + 0.1 * fold, 0.0, 0.055, 0.12, mix((206, 40, 60), (140, 20, 42), fold % 2)
        )
    canvas.rectangle(0.0, 0.0, 1.0, 0.02, (236, 186, 88))


def stadium(canvas: Canvas, rng: np.random.Generator) -> None:
    canvas.fill(shade((126, 196, 248), rng, 3), (226, 242, 255), (226, 242, 255))
    for x in (0.12, 0.88):
        canvas.rectangle(x - 0.01, 0.1, x + 0.01, 0.4, (150, 156, 168))
        canvas.rectangle(x - 0.08, 0.06, x + 0.08, 0.14, (120, 126, 140))
        for lamp in (-0.05, 0.0, 0.05):
            canvas.disc(x + lamp, 0.1, 0.02, (255, 250, 220))
    canvas.ground(lambda x: 0.34 + 0.06 * np.cos(2 * np.pi * x), (92, 100, 140), (72, 78, 116))
    crowd = ((240, 110, 100), (250, 210, 110), (240, 240, 246), (110, 180, 230))
    for row in range(5):
        for seat in range(26):
            x = (seat + 0.5 * (row % 2)) / 25.5
            y = 0.39 + 0.06 * np.cos(2 * np.pi * x) + 0.04 * row
            canvas.disc(x, y, 0.011, crowd[(5 * seat + 3 * row + seat // 4) % 4])
    canvas.band(0.6, 0.65, (246, 248, 252), (222, 228, 238))
    for number in range(6):
        top, bottom = (0.65 + 0.35 * (part / 6) ** 1.5 for part in (number, number + 1))
        color = (92, 182, 84) if number % 2 else (112, 200, 98)
        canvas.band(top, bottom, color)
    canvas.rectangle(0.0, 0.69, 1.0, 0.697, (250, 252, 250))
