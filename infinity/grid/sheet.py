"""A grid as one picture: cells in their places, labels beside them, the recipe inside."""

from collections.abc import Mapping, Sequence
from functools import cache, partial
from itertools import product

from PIL import Image, ImageDraw, ImageFont

from infinity.grid.axes import MODEL, show
from infinity.grid.plan import KEY, GridPlan

MAX_PIXELS = 40_000_000
"""Of all cells together; larger ones are scaled down to fit."""
PAPER, INK, FAINT, BLANK = "white", "#18181b", "#52525b", "#e4e4e7"
FONTS = ("DejaVuSans.ttf", "NotoSans-Regular.ttf", "arial.ttf", "Arial Unicode.ttf")
MOST_LINES, SPACING = 4, 2
FACTS = ("aspect_ratio", "seed", "guidance", "temperature", "confidence", "top_p", "top_k")

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def sheet(plan: GridPlan, pictures: Mapping[tuple[int, int], Image.Image]) -> Image.Image:
    """The grid drawn so far, with its recipe in ``info``.

    Args:
        pictures: by (row, column), at least one; the places of missing ones stay grey.

    Returns:
        An RGB picture. Cells keep their pixels unless all together have over ``MAX_PIXELS``.
    """
    rows, columns = plan.shape
    result = labelled(
        pictures,
        [plan.x.label(i) for i in range(columns)],
        [] if plan.y is None else [plan.y.label(i) for i in range(rows)],
        _caption(plan),
    )
    result.info[KEY] = plan.to_json()
    return result


def labelled(
    pictures: Mapping[tuple[int, int], Image.Image],
    heads: Sequence[str],
    sides: Sequence[str],
    caption: str,
) -> Image.Image:
    """Pictures, by (row, column), in a table with its headings; without ``sides`` it has one row."""
    rows, columns = max(1, len(sides)), len(heads)
    wide = max(picture.width for picture in pictures.values())
    high = max(picture.height for picture in pictures.values())
    shrink = min(1.0, (MAX_PIXELS / (rows * columns * wide * high)) ** 0.5)
    wide, high = max(1, int(wide * shrink)), max(1, int(high * shrink))
    size = min(40, max(13, wide // 14))
    font, gap = _font(size), max(4, size // 3)

    heads = [_wrapped(text, font, max(wide, 60)) for text in heads]
    top = max(_size(text, font)[1] for text in heads) + 2 * gap
    sides = [_wrapped(text, font, max(wide // 2, 110)) for text in sides]
    side = max((_size(text, font)[0] + 2 * gap for text in sides), default=0)
    full = max(side + columns * (wide + gap), 320)
    caption = _wrapped(caption, font, full - 2 * gap)
    bottom = _size(caption, font)[1] + 3 * gap

    result = Image.new("RGB", (full, top + rows * (high + gap) + bottom), PAPER)
    write = partial(ImageDraw.Draw(result).multiline_text, font=font, spacing=SPACING)
    lefts = [side + column * (wide + gap) for column in range(columns)]
    tops = [top + row * (high + gap) for row in range(rows)]
    for x, text in zip(lefts, heads, strict=True):
        write((x + wide // 2, top - gap), text, INK, anchor="md", align="center")
    for y, text in zip(tops, sides, strict=bool(sides)):
        write((side - gap, y + high // 2), text, INK, anchor="rm", align="right")
    for (row, y), (column, x) in product(enumerate(tops), enumerate(lefts)):
        picture = pictures.get((row, column))
        if picture is None:
            result.paste(BLANK, (x, y, x + wide, y + high))
            continue
        fitted = picture.convert("RGB")
        if shrink < 1:
            fitted.thumbnail((wide, high), Image.Resampling.LANCZOS)
        result.paste(fitted, (x + (wide - fitted.width) // 2, y + (high - fitted.height) // 2))
    write((gap, result.height - bottom + gap), caption, FAINT)
    return result


def _caption(plan: GridPlan) -> str:
    """The prompt and what all cells have in common."""
    varied = {axis.parameter for axis in plan.axes}
    request = plan.request.to_dict()
    facts = [
        f"{name.replace('_', ' ')} {show(tuple(value) if isinstance(value, list) else value)}"
        for name in FACTS
        if name not in varied and (value := request.get(name)) is not None
    ]
    model = [] if MODEL in varied else [plan.model]
    words = [] if "prompt" in varied else [*plan.request.prompts]
    return " · ".join((*words, *model, *facts))


@cache
def _font(size: int) -> Font:
    """A font of this machine that knows many alphabets, else the one inside pillow."""
    for name in FONTS:
        try:
            return ImageFont.truetype(name, size)
        except OSError:
            continue
    return ImageFont.load_default(size)


def _wrapped(text: str, font: Font, width: int) -> str:
    """At most ``MOST_LINES`` lines of at most ``width`` pixels; what is left over becomes an ellipsis."""
    lines = [""]
    for word in " ".join(text.split())[: 200 * MOST_LINES].split(" "):
        if lines[-1] and font.getlength(f"{lines[-1]} {word}") <= width:
            lines[-1] += f" {word}"
            continue
        if lines[-1]:
            lines.append("")
        for letter in word:
            if lines[-1] and font.getlength(lines[-1] + letter) > width:
                lines.append("")
            lines[-1] += letter
    if len(lines) > MOST_LINES:
        lines = [*lines[: MOST_LINES - 1], lines[MOST_LINES - 1][:-1] + "…"]
    return "\n".join(lines)


def _size(text: str, font: Font) -> tuple[int, int]:
    """(width, height) that a text takes, from its corner on the left above."""
    probe = ImageDraw.Draw(Image.new("L", (1, 1)))
    _, _, right, bottom = probe.multiline_textbbox((0, 0), text, font, spacing=SPACING)
    return int(right) + 1, int(bottom) + 1
