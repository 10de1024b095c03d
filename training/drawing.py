"""Pictures of many prompts, and sheets of many pictures."""

import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont
from tqdm import tqdm

from infinity.pipeline import InfinityPipeline
from infinity.presets import presets
from infinity.request import GenerationRequest
from infinity.wildcards import escape

LINE_HEIGHT = 17


def read_prompts(path: Path) -> list[str]:
    """The lines of a text file that are not blank."""
    lines = path.read_text(encoding="utf-8-sig").splitlines()
    return [line.strip() for line in lines if line.strip()]


def draw(
    pipeline: InfinityPipeline,
    wanted: Sequence[tuple[str, int]],
    batch_size: int = 1,
    preset: str = "balanced",
    complete_prompt: bool = True,
    aspect_ratio: str = "1:1",
    **best_of: Any,
) -> Iterator[Image.Image]:
    """A picture of each (prompt, seed) with a preset's settings; braces are plain text.

    Args:
        batch_size: pictures in one pass; equal to single ones except for rounding.
        complete_prompt: of the requests.
        preset: one of ``infinity.presets``; "balanced" is the model's own settings.
        best_of: ``candidates`` and ``prune_at_scale`` of the requests, which are then drawn one by one.
    """
    plain = [
        GenerationRequest(
            prompt=escape(prompt),
            seed=seed,
            complete_prompt=complete_prompt,
            aspect_ratio=aspect_ratio,
            **best_of,
        )
        for prompt, seed in wanted
    ]
    requests = [
        request.resolved(presets(pipeline.spec, request.aspect_ratio)[preset].sampling)
        for request in plain
    ]
    starts = range(0, len(requests), batch_size)
    for start in tqdm(starts, desc=f"{batch_size} pictures each"):
        group = requests[start : start + batch_size]
        drawn = map(pipeline.generate, group) if best_of else pipeline.generate_batch(group)
        for done in drawn:
            yield from done.images


def sheet(
    pictures: Sequence[Image.Image],
    labels: Sequence[str] = (),
    *,
    columns: int = 8,
    size: tuple[int, int] | None = None,
    lines: int = 2,
    frames: Sequence[str] = (),
) -> Image.Image:
    """Pictures (at least one) in rows, each above its label.

    Args:
        size: (width, height) of each picture in pixels; None: of the first.
        lines: most lines of a label; the rest of it is cut.
        frames: the color of a frame around each picture.
    """
    width, height = size or pictures[0].size
    cell_height = height + (LINE_HEIGHT * lines if labels else 0)
    rows = -(-len(pictures) // columns)
    result = Image.new("RGB", (columns * width, rows * cell_height), "white")
    pen, font = ImageDraw.Draw(result), ImageFont.load_default(size=12)
    for index, picture in enumerate(pictures):
        x, y = index % columns * width, index // columns * cell_height
        result.paste(picture.resize((width, height), Image.Resampling.LANCZOS), (x, y))
        if frames:
            corners = (x, y, x + width - 1, y + height - 1)
            pen.rectangle(corners, outline=frames[index], width=max(2, width // 48))
        if labels:
            text = "\n".join(textwrap.wrap(labels[index], max(10, width // 7))[:lines])
            pen.multiline_text((x + 4, y + height + 2), text, "black", font, spacing=1)
    return result
