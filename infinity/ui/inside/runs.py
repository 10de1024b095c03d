"""The runs of the Inside tab: one reads pictures, one draws what a flipped bit does."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from infinity.edit.files import open_picture
from infinity.errors import RequestError
from infinity.events import Done
from infinity.inside.flip import PICTURES, FlipRequests, Place, changed_bits, draw_flip
from infinity.inside.reading import Inspection, Look, look
from infinity.inside.shelf import Shelf
from infinity.pipeline import InfinityPipeline
from infinity.ui.inside.panels import flip_html
from infinity.ui.inside.view import InsideView, viewer_value, words_value
from infinity.ui.shared.context import Context
from infinity.ui.shared.runs import Run
from infinity.ui.shared.status import Status, duration


@dataclass(eq=False, kw_only=True)
class InsideRun(Run):
    """A run of this tab; ``before`` is what the page shows as it begins."""

    before: InsideView


@dataclass(eq=False, kw_only=True)
class LookRun(InsideRun):
    """Reads one or two pictures, with ``prompt`` unless that is empty."""

    paths: tuple[Path, ...]
    prompt: str


@dataclass(eq=False, kw_only=True)
class FlipRun(InsideRun):
    """Draws what a flipped bit does."""

    place: Place
    inspection: Inspection
    flips: FlipRequests


def looked(
    context: Context, shelf: Shelf, view: InsideView, pipeline: InfinityPipeline, run: LookRun
) -> Iterator[InsideView]:
    """The views of a reading; what was read is put on the shelf.

    Raises:
        RequestError: a picture that brings no prompt where none is given, or two of other shapes.
        StoppedError: the run was stopped.
    """
    started_s, looks = time.monotonic(), []
    yield replace(view, status=Status("painting", "Finding the picture’s bits …"))
    for number, path in enumerate(run.paths):
        image, allowed = open_picture(path, "The picture"), context.runs.allowance.check
        how = {"model": run.model, "cancel": run.cancel, "check": allowed}
        for step in look(pipeline, image, run.prompt, **how):
            if isinstance(step, Look):
                looks.append(step)
                continue
            done = (number + step) / len(run.paths)
            yield replace(view, status=Status("painting", "Reading its scales …", done))
    found: list[Inspection] = [each.inspection for each in looks]
    for other in found[1:]:
        found[0].check_like(other)
    keys = tuple(f"{run.name}-{number}" for number in range(len(found)))
    for key, inspection in zip(keys, found, strict=True):
        shelf.put(key, inspection)
    yield InsideView(
        Status("done", f"Read in {duration(time.monotonic() - started_s)}", 1.0),
        viewer_value(run.name, looks),
        words_value(run.name, found),
        run=run.name,
        keys=keys,
    )


def flipped(
    context: Context, view: InsideView, pipeline: InfinityPipeline, run: FlipRun
) -> Iterator[InsideView]:
    """The views of a flip; its pictures are saved.

    Raises:
        StoppedError: the run was stopped.
    """
    done: list[Done] = []
    yield replace(view, status=Status("painting", "Flipping the bit …"))
    for each in draw_flip(pipeline, run.flips, run.cancel):
        done.append(each)
        yield replace(
            view, status=Status("painting", "Drawing what follows …", len(done) / PICTURES)
        )
    read = run.inspection
    before = pipeline.decode(read.bits, read.request.aspect_ratio).image
    finished = tuple(context.finish(each, run.model) for each in done[:2])
    html = flip_html(
        read,
        run.place,
        [before, *(each.images[0] for each in done)],
        finished,
        changed_bits(pipeline.spec, done[1], done[2]),
    )
    said = Status("done", f"Drawn in {duration(sum(each.seconds for each in done))}", 1.0)
    yield replace(view, status=said, flip=html, drawn=finished)


def read_place(data: object) -> Place:
    """What the browser says was pressed. Raises RequestError for anything else."""
    given = data if isinstance(data, dict) else {}
    numbers = [given.get(name, 0) for name in ("scale", "row", "column", "bit")]
    if not all(type(number) is int for number in numbers):
        raise RequestError("Name a place by whole numbers: its row, its column and its bit.")
    return Place(*numbers)
