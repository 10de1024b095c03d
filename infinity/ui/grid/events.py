"""What happens when somebody draws a grid: the run of a plan, cell by cell."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.components import Component
from PIL import Image

from infinity.events import Done, Preview
from infinity.grid.axes import STYLE, Axis
from infinity.grid.plan import GridPlan, by_model, draw_cells
from infinity.grid.sheet import sheet
from infinity.images import open_image
from infinity.metadata import save_png
from infinity.ui.controls import RequestControls, request_from
from infinity.ui.controls.styles import NO_STYLE
from infinity.ui.grid.axes import Axes
from infinity.ui.grid.view import GridView, grid_html, progress
from infinity.ui.shared import status
from infinity.ui.shared.context import Context
from infinity.ui.shared.drawing import Drawing, RunEvents
from infinity.ui.shared.files import file_name, new_folder
from infinity.ui.shared.pages import GRID
from infinity.ui.shared.runs import Run
from infinity.ui.shared.status import duration, status_html
from infinity.ui.shared.turns import Loading, load
from infinity.ui.shared.wiring import Updates


@dataclass(eq=False, kw_only=True)
class GridRun(Run):
    """A run that draws a plan."""

    plan: GridPlan


class GridEvents(RunEvents[GridView]):
    """The handlers of the Grid tab.

    Args:
        controls: of the Generate tab; they say all that no axis does.
    """

    kind = GRID

    def __init__(
        self,
        context: Context,
        drawing: Drawing,
        controls: RequestControls,
        axes: Axes,
        plot: gr.HTML,
    ) -> None:
        super().__init__(context, drawing, [plot])
        self.controls = controls
        self.axes = axes
        self.plot = plot

    def checked(self, values: dict[Component, Any], visitor: str) -> tuple[Run, Updates]:
        plan = make_plan(self.context, self.axes.values(values), self.controls.values(values))
        rows, columns = plan.shape
        counted = replace(plan.request, num_images=rows * columns)
        run = GridRun(plan.model, counted, visitor, plan=plan)
        return run, {self.controls.seed: plan.request.seed}

    def first_view(self, run: Run, before: int = 0) -> GridView:
        assert isinstance(run, GridRun)
        return GridView(run.plan, message=status.waiting(before).message)

    def views(self, run: Run) -> Iterator[GridView]:
        assert isinstance(run, GridRun)
        view = GridView(run.plan)
        for model, cells in by_model(run.plan):
            pipeline = None
            for report in load(self.context.manager, model, run.cancel):
                if isinstance(report, Loading):
                    yield replace(view, phase="loading", message=report.what)
                else:
                    pipeline = report
            if pipeline is None:
                break
            with self.runs.turns.place(run.cancel) as line:
                for before in line:
                    yield replace(view, phase="loading", message=status.waiting(before).message)
                for cell, event in draw_cells(pipeline, cells, run.cancel):
                    if isinstance(event, Preview):
                        scale = (event.index + 1) / event.num_scales
                        view = replace(view, phase="painting", scale=scale)
                        yield (view := replace(view, message=progress(view, cell)))
                    elif isinstance(event, Done):
                        finished = self.context.finish(event, model)
                        drawn = {**view.drawn, (cell.row, cell.column): finished}
                        yield (view := replace(view, drawn=drawn, scale=0.0))
            if run.cancel.is_set():
                break
        yield self._ended(view)

    def _ended(self, view: GridView) -> GridView:
        rows, columns = view.plan.shape
        is_whole = len(view.drawn) == rows * columns
        seconds = duration(sum(finished.seconds for finished in view.drawn.values()))
        stopped = f"Stopped after {len(view.drawn)} of {rows * columns} pictures."
        pictures = {
            place: open_image(run.files[0], "A picture") for place, run in view.drawn.items()
        }
        return replace(
            view,
            phase="done" if is_whole else "stopped",
            message=f"Grid finished in {seconds}" if is_whole else stopped,
            sheet=save_sheet(self.context, view.plan, pictures) if pictures else None,
            scale=0.0,
        )

    def show(self, view: GridView, before: GridView | None) -> Updates:
        is_changed = before is None or view.phase != "painting" or view.scale == 0.0
        return {
            self.plot: grid_html(view) if is_changed else gr.skip(),
            self.drawing.status: status_html(view.status),
        }

    def handed_on(self, view: GridView) -> Any:
        return tuple(view.drawn.values())


def make_plan(context: Context, axes: Mapping[str, str], values: Mapping[str, Any]) -> GridPlan:
    """The plan of the axes over the request that the controls ask for.

    Args:
        axes: what varies and the list of its values, by the names of :class:`Axes`; rows may vary
            nothing.
        values: of the request controls, by name.

    Raises:
        RequestError: what cannot be drawn, in one sentence.
    """
    x = Axis.parse(axes["x"], axes["x_values"])
    y = Axis.parse(axes["y"], axes["y_values"]) if axes["y"] else None
    if STYLE in (axes["x"], axes["y"]):
        values = {**values, "style": NO_STYLE}
    model, request = request_from(values, context.spec)
    plan = GridPlan(model=model, request=request, x=x, y=y)
    plan.check(context.spec)
    return plan


def save_sheet(
    context: Context, plan: GridPlan, pictures: Mapping[tuple[int, int], Image.Image]
) -> Path:
    """The grid as one PNG with its recipe, in a new, unguessable folder the page may serve.

    Raises:
        ResourceError: it cannot be written.
    """
    prompt, seed = plan.request.prompts[0], plan.request.seed
    name = file_name(prompt, seed).replace("infinity-", "infinity-grid-", 1)
    target = save_png(sheet(plan, pictures), new_folder() / name)
    context.keep(target)
    return target
