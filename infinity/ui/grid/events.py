"""What happens when somebody draws a grid: checked at once, drawn cell by cell in turn, stopped."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import gradio as gr
from PIL import Image

from infinity.errors import InfinityError
from infinity.events import Done, Preview
from infinity.grid.axes import STYLE, Axis
from infinity.grid.plan import GridPlan, by_model, draw_cells
from infinity.grid.sheet import sheet
from infinity.images import open_image
from infinity.manager import ModelManager
from infinity.metadata import save_png
from infinity.spec import ModelSpec
from infinity.ui.controls import RequestControls, request_from
from infinity.ui.controls.styles import NO_STYLE
from infinity.ui.generate import view as present
from infinity.ui.generate.events import buttons
from infinity.ui.generate.view import View
from infinity.ui.grid.view import GridView, plot_html, progress
from infinity.ui.shared.files import file_name, new_folder
from infinity.ui.shared.finished import finish
from infinity.ui.shared.loading import Loading, load
from infinity.ui.shared.offer import known_spec
from infinity.ui.shared.pages import GRID
from infinity.ui.shared.problems import UNEXPECTED, for_visitors
from infinity.ui.shared.runs import Run, Runs, visitor_of
from infinity.ui.shared.turns import Turns

logger = logging.getLogger(__name__)

NUM_OUTPUTS = 5
"""What :func:`show` updates: plot, status, Draw button, Stop button, finished runs."""


@dataclass(eq=False, kw_only=True)
class GridRun(Run):
    """A run that draws a plan."""

    plan: GridPlan


def make_start_grid(runs: Runs, specs: Mapping[str, ModelSpec]) -> Callable[..., tuple[Any, ...]]:
    """The handler that checks a grid and puts it in line; its outputs: the seed, then the page.

    Its inputs: the parameter and the list of both axes, then the request controls.

    Args:
        specs: every model on offer, by name.
    """

    def start(
        request: gr.Request, x: str, xs: str, y: str, ys: str, *values: Any
    ) -> tuple[Any, ...]:
        try:
            read = dict(zip(RequestControls.names(), values, strict=True))
            plan = make_plan((x, xs), (y, ys) if y else None, read, specs)
            cells = plan.shape[0] * plan.shape[1]
            counted = replace(plan.request, num_images=cells)
            run = GridRun(plan.model, counted, visitor_of(request), plan=plan)
            if not runs.begin(_runs_of(runs, request), run):
                return (gr.skip(),) * (1 + NUM_OUTPUTS)
        except InfinityError as error:
            said = _status("failed", for_visitors(error))
            return gr.skip(), gr.skip(), said, *buttons(runs, _runs_of(runs, request)), gr.skip()
        return plan.request.seed, *show(GridView(plan), runs, _runs_of(runs, request))

    return start


def make_plan(
    x: tuple[str, str],
    y: tuple[str, str] | None,
    values: Mapping[str, Any],
    specs: Mapping[str, ModelSpec],
) -> GridPlan:
    """The plan of two axes, each (parameter, list), over the request that the controls ask for.

    Raises:
        RequestError: what cannot be drawn, in one sentence.
    """
    axes = [Axis.parse(*axis) for axis in (x, y) if axis is not None]
    if any(axis.parameter == STYLE for axis in axes):
        values = {**values, "style": NO_STYLE}

    def spec_of(name: str) -> ModelSpec:
        return known_spec(name, specs)

    model, request = request_from(values, spec_of)
    plan = GridPlan(model=model, request=request, x=axes[0], y=axes[1] if y is not None else None)
    plan.check(spec_of)
    return plan


def make_paint_grid(
    manager: ModelManager,
    runs: Runs,
    keep_track: Callable[[str], None],
    *,
    is_back: bool = False,
) -> Callable[[gr.Request], Iterator[tuple[Any, ...]]]:
    """The handler that draws the page's waiting grid and shows every cell as it is finished.

    Args:
        keep_track: told the path of every file written, so that old ones are cleaned up.
        is_back: for a page that was loaded again: shows its newest grid, and goes on with it.
    """

    def draw(name: str) -> Iterator[GridView]:
        with runs.taken(name) as run:
            if not isinstance(run, GridRun):
                return
            view = GridView(run.plan)
            try:
                for view in views(manager, run, run.plan, runs.turns, keep_track):
                    run.is_drawn = not view.is_busy
                    yield view
            except InfinityError as error:
                run.is_drawn = True
                yield replace(view, phase="failed", message=for_visitors(error))
            except Exception:
                logger.exception("A grid failed")
                run.is_drawn = True
                yield replace(view, phase="failed", message=UNEXPECTED)

    def paint(request: gr.Request) -> Iterator[tuple[Any, ...]]:
        session = request.session_hash or ""
        relay = runs.relay(session, GRID, draw, is_back=is_back)
        if relay is None:
            yield (gr.skip(),) * NUM_OUTPUTS
            return
        is_new = is_back
        for view in runs.pages.follow(session, relay):
            *all_else, finished = show(view, runs, _runs_of(runs, request), is_new=is_new)
            yield *all_else, gr.skip() if relay.is_told else finished
            is_new = False
            relay.is_told = relay.is_told or not view.is_busy

    return paint


def make_stop_grid(runs: Runs) -> Callable[[gr.Request], tuple[Any, ...]]:
    """The handler that ends the page's grid within a scale, or before its turn came."""

    def stop(request: gr.Request) -> tuple[Any, ...]:
        name = _runs_of(runs, request)
        said = gr.skip() if runs.stop(name) else _status("stopped", "Stopped.")
        return gr.skip(), said, *buttons(runs, name), gr.skip()

    return stop


def views(
    manager: ModelManager,
    run: Run,
    plan: GridPlan,
    turns: Turns,
    keep_track: Callable[[str], None],
) -> Iterator[GridView]:
    """Every view of one grid, from loading the first model to the finished sheet.

    Raises:
        InfinityError: what cannot be done, in one sentence.
    """
    view = GridView(plan)
    for model, cells in by_model(plan.cells()).items():
        pipeline = None
        for report in load(manager, model, run.cancel):
            if isinstance(report, Loading):
                yield replace(view, phase="loading", message=report.what)
            else:
                pipeline = report
        if pipeline is None:
            break
        with turns.place() as turn:
            for before in turn.wait(run.cancel):
                yield replace(view, phase="loading", message=present.waiting(before=before).message)
            for cell, event in draw_cells(pipeline, cells, run.cancel):
                if isinstance(event, Preview):
                    scale = (event.index + 1) / event.num_scales
                    view = replace(view, phase="painting", scale=scale)
                    yield (view := replace(view, message=progress(view, cell)))
                elif isinstance(event, Done):
                    finished = finish(event, model, keep_track)
                    drawn = {**view.drawn, (cell.row, cell.column): finished}
                    yield (view := replace(view, drawn=drawn, scale=0.0))
        if run.cancel.is_set():
            break
    pictures = {place: open_image(run.files[0], "A picture") for place, run in view.drawn.items()}
    rows, columns = plan.shape
    total = f"{len(view.drawn)} of {rows * columns} pictures"
    stopped = len(view.drawn) < rows * columns
    seconds = present.duration(sum(finished.seconds for finished in view.drawn.values()))
    yield replace(
        view,
        phase="stopped" if stopped else "done",
        message=f"Stopped after {total}." if stopped else f"Grid finished in {seconds}",
        sheet=save_sheet(plan, pictures, keep_track) if pictures else None,
        scale=0.0,
    )


def show(view: GridView, runs: Runs, name: str, *, is_new: bool = False) -> tuple[Any, ...]:
    """The updates of the page whose runs go by ``name``.

    Args:
        is_new: for a page that has not shown this grid yet.
    """
    new_cell = is_new or view.phase != "painting" or view.scale == 0.0
    return (
        plot_html(view) if new_cell else gr.skip(),
        _status(view.phase, view.message, view.fraction),
        *buttons(runs, name),
        gr.skip() if view.is_busy else tuple(view.drawn.values()),
    )


def _runs_of(runs: Runs, request: gr.Request) -> str:
    return runs.pages.of(request.session_hash or "").runs_of(GRID)


def _status(phase: present.Phase, message: str, fraction: float = 0.0) -> str:
    return present.status_html(View(phase, message, fraction))


def save_sheet(
    plan: GridPlan,
    pictures: Mapping[tuple[int, int], Image.Image],
    keep_track: Callable[[str], None],
) -> Path:
    """The grid as one PNG with its recipe, in a new, unguessable folder the page may serve.

    Raises:
        ResourceError: it cannot be written.
    """
    prompt, seed = plan.request.prompts[0], plan.request.seed
    name = file_name(prompt, seed).replace("infinity-", "infinity-grid-", 1)
    target = save_png(sheet(plan, pictures), new_folder() / name)
    keep_track(str(target))
    return target
