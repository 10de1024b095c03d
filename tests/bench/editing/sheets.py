"""Pictures of what is measured: the first cases of each subject, nothing picked."""

from itertools import pairwise
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from infinity.edit import tasks
from infinity.events import Done
from infinity.packing import unpack_region
from infinity.pipeline import InfinityPipeline
from tests.bench.editing.cases import BOXES, draw, exam, pairs
from tests.bench.editing.subjects import cut_of, plant, repaired
from training.drawing import sheet

SIDE = 112
QUALITY = 72
SHOWN = 8


def write_sheets(pipeline: InfinityPipeline, output: Path) -> None:
    """``edits.webp``, ``changes.webp``, ``mixes.webp``, ``extensions.webp``, ``repairs.webp``."""
    for make in (edits, changes, mixes, extensions, repairs):
        path = output / f"{make.__name__}.webp"
        make(pipeline).save(path, quality=QUALITY, method=6)


def edits(pipeline: InfinityPipeline) -> Image.Image:
    """A column a pair: the source, its half drawn anew, and the same by words alone."""
    columns, labels = [], []
    for case, pair in enumerate(pairs()[:SHOWN]):
        image = draw(pipeline, pair.before, case).images[0]
        boxed, worded = (
            pipeline.generate(tasks.edit(pipeline, image, area, prompt=pair.after))
            for area in (BOXES[pair.relation], None)
        )
        columns.append((image, _outlined(boxed), _outlined(worded)))
        labels.append((pair.before, f"{pair.new}, by box", f"{pair.new}, by words"))
    return _sheet(columns, labels)


def changes(pipeline: InfinityPipeline) -> Image.Image:
    """A column a picture of one thing: as drawn, and with another word for the thing."""
    columns, labels, asked = [], [], exam("single_object")
    for case, (one, other) in enumerate(pairwise(asked[: SHOWN + 1])):
        image = draw(pipeline, one.prompt, case).images[0]
        request = tasks.edit(pipeline, image, None, prompt=other.prompt)
        columns.append((image, pipeline.generate(request).images[0]))
        labels.append(tuple(each.include[0].concept for each in (one, other)))
    return _sheet(columns, labels)


def mixes(pipeline: InfinityPipeline) -> Image.Image:
    """A row two pictures: the one, its first scales with the other's last ones, the other."""
    pictures, labels, asked = [], [], exam("single_object")
    lengths = (5, 4, 3, 2, 1)
    for case in range(3):
        one, two = (
            draw(pipeline, asked[case + offset].prompt, case + seed).images[0]
            for offset, seed in ((0, 0), (1, 1000))
        )
        mixed = [pipeline.generate(tasks.mix(pipeline, one, two, kept)) for kept in lengths]
        pictures += [one, *(done.images[0] for done in mixed), two]
        labels += [asked[case].include[0].concept, *(f"{kept} scales" for kept in lengths)]
        labels += [asked[case + 1].include[0].concept]
    return sheet(pictures, labels, columns=len(lengths) + 2, size=(SIDE, SIDE), lines=1)


def extensions(pipeline: InfinityPipeline) -> Image.Image:
    """A column a picture: its middle, and the middle extended to a square."""
    columns, labels = [], []
    for case, prompt in enumerate(exam("scene")[:SHOWN]):
        cut = cut_of(draw(pipeline, prompt.prompt, case).images[0])
        request = tasks.extend(pipeline, cut, "1:1", prompt=prompt.prompt, seed=case + 1000)
        framed = Image.new("RGB", (cut.width, cut.width), "white")
        framed.paste(cut, (0, (cut.width - cut.height) // 2))
        columns.append((framed, pipeline.generate(request).images[0]))
        labels.append((prompt.prompt, "extended"))
    return _sheet(columns, labels)


def repairs(pipeline: InfinityPipeline) -> Image.Image:
    """A column a picture: as drawn, with 5% of the bits of all scales from the fourth on flipped, repaired."""
    columns, labels = [], []
    for case, prompt in enumerate(exam("single_object")[:SHOWN]):
        source = draw(pipeline, prompt.prompt, case + 5000)
        planted = plant(pipeline, source, np.random.default_rng(case), None)
        after = repaired(pipeline, planted)
        columns.append(tuple(done.images[0] for done in (source, planted, after)))
        labels.append((prompt.include[0].concept, "5% flipped", "repaired"))
    return _sheet(columns, labels)


def _sheet(columns: list[tuple[Image.Image, ...]], labels: list[tuple[str, ...]]) -> Image.Image:
    pictures, texts = (
        [cell for row in zip(*rows, strict=True) for cell in row] for rows in (columns, labels)
    )
    return sheet(pictures, texts, columns=len(columns), size=(SIDE, SIDE))


def _outlined(done: Done) -> Image.Image:
    """The picture with a line around the tokens that could change."""
    assert done.request.start is not None
    return outlined(done.images[0], unpack_region(done.request.start.region))


def outlined(image: Image.Image, region_hw: np.ndarray) -> Image.Image:
    result, (rows, columns) = image.copy(), region_hw.shape
    pen, height, width = ImageDraw.Draw(result), image.height / rows, image.width / columns
    padded = np.pad(region_hw, 1)
    for row, column in np.argwhere(region_hw).tolist():
        x, y = column * width, row * height
        if not padded[row, column + 1]:
            pen.line((x, y, x + width, y), "red", 2)
        if not padded[row + 2, column + 1]:
            pen.line((x, y + height - 1, x + width, y + height - 1), "red", 2)
        if not padded[row + 1, column]:
            pen.line((x, y, x, y + height), "red", 2)
        if not padded[row + 1, column + 2]:
            pen.line((x + width - 1, y, x + width - 1, y + height), "red", 2)
    return result
