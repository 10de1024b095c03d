"""A sheet of captioned examples, to be looked at."""

import math
import textwrap
from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

from training.world.world import Example

CAPTION_HEIGHT = 46
GAP = 8


def contact_sheet(examples: Sequence[Example], *, columns: int) -> Image.Image:
    """All examples (at least one, of one size) in a grid, each above its caption."""
    size = examples[0].image.shape[0]
    cell_width, cell_height = size + GAP, size + CAPTION_HEIGHT
    rows = math.ceil(len(examples) / columns)
    sheet = Image.new("RGB", (columns * cell_width + GAP, rows * cell_height + GAP), "white")
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(12)
    for i, example in enumerate(examples):
        x, y = GAP + i % columns * cell_width, GAP + i // columns * cell_height
        sheet.paste(Image.fromarray(example.image), (x, y))
        lines = textwrap.wrap(example.caption, max(size // 6, 8))
        draw.multiline_text((x, y + size + 2), "\n".join(lines[:3]), fill="black", font=font,
                            spacing=1)  # fmt: skip
    return sheet
