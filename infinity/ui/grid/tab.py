"""The Grid tab: two lists of values, one picture for every pair of them, drawn cell by cell."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.components import Component
from PIL import Image

from infinity.events import Done, Preview
from infinity.grid.axes import MAX_CELLS, MODEL, PARAMETERS, STYLE, WORDS, Axis
from infinity.grid.plan import GridPlan, by_model, draw_cells
from infinity.grid.sheet import sheet
from infinity.images import open_image
from infinity.metadata import save_png
from infinity.request import GenerationRequest
from infinity.ui.controls.choices import NO_STYLE, style_choices
from infinity.ui.controls.request import request_from
from infinity.ui.grid.view import EMPTY, GridView, grid_html, painting
from infinity.ui.shared import status
from infinity.ui.shared.context import Context
from infinity.ui.shared.drawing import Drawing, RunEvents
from infinity.ui.shared.files import file_name, new_folder
from infinity.ui.shared.pages import GRID
from infinity.ui.shared.runs import Run
from infinity.ui.shared.status import Status, duration, status_html
from infinity.ui.shared.wiring import QUICK, Components, Updates, shown

ABOUT = (
    "Draws one picture for every pair of values. Prompt, seed and all else come from the Generate "
    f"tab; at most {MAX_CELLS} pictures."
)
NO_PROMPT = '<p class="grid-prompt">No prompt yet: type one on the Generate tab.</p>'
SHOW_PROMPT = f"""prompt => {{
  if (!prompt.trim()) return {NO_PROMPT!r};
  const line = document.createElement('p');
  line.className = 'grid-prompt';
  line.textContent = `Prompt: ${{prompt}}`;
  return line.outerHTML;
}}"""
HELP = (
    "Commas or lines between values, double quotes around one that has a comma. Numbers may be ranges: "
    "1-5, 1-9 (+2), 1-10 [4]. Prompt words: the first is looked for in the prompt, and each takes its "
    "place in turn."
)
IDLE = Status("idle", "Choose what varies, then draw.")
NOTHING = ""
CHOICES = [(parameter.title, name) for name, parameter in PARAMETERS.items()]


@dataclass(eq=False, kw_only=True)
class GridRun(Run):
    """A run that draws a plan."""

    plan: GridPlan


class GridTab(RunEvents[GridView]):
    """Laid out inside the current Blocks, its handlers wired.

    Args:
        controls: of the Generate tab; they say all that no axis does.
        back: of :func:`~infinity.ui.opening.wiring.build_back`.

    Attributes:
        axes: what varies over the columns ("x") and the rows ("y", which may vary nothing), and the
            lists of the values ("x_values", "y_values").
    """

    kind = GRID

    def __init__(self, context: Context, controls: Components, back: gr.HTML) -> None:
        self.controls = controls
        self.axes = Components()
        gr.HTML(f'<p class="about">{ABOUT}</p>')
        about_prompt = gr.HTML(NO_PROMPT, elem_id="grid-prompt")
        prompt, model, seed = controls.named("prompt", "model", "seed")
        prompt.change(None, prompt, about_prompt, js=SHOW_PROMPT, **QUICK)
        with gr.Row(elem_id="grid-axes", equal_height=False):
            self._build_axis("x", "Columns", CHOICES, "seed")
            self._build_axis("y", "Rows", [("Nothing", NOTHING), *CHOICES], "guidance")
        gr.HTML(f'<p class="about">{HELP}</p>')
        with gr.Row(elem_id="grid-buttons"):
            draw = gr.Button("Draw the grid", variant="primary", elem_id="draw-grid")
            stop = gr.Button("Stop", variant="secondary", visible=shown(False), elem_id="stop-grid")
        line = gr.HTML(status_html(IDLE), elem_id="grid-status")
        self.plot = gr.HTML(EMPTY, elem_id="grid-plot")
        super().__init__(context, Drawing(line, draw, stop, gr.State(None)), [self.plot])
        x, x_values, y, y_values = self.axes.values()
        x.input(self.suggest, [x, model], x_values, **QUICK)
        y.input(self.suggest, [y, model], y_values, **QUICK)
        begin = [draw.click, x_values.submit, y_values.submit]
        self.wire(begin, [*self.axes.values(), *controls.values()], [seed], back)

    def _build_axis(
        self, name: str, title: str, choices: list[tuple[str, str]], chosen: str
    ) -> None:
        with gr.Column(min_width=280):
            self.axes[name] = gr.Dropdown(
                choices,
                value=chosen,
                label=f"{title} vary",
                filterable=False,
                elem_id=f"grid-{name}",
            )
            self.axes[f"{name}_values"] = gr.Textbox(
                PARAMETERS[chosen].example,
                label=f"Values of the {title.lower()}",
                lines=1,
                max_lines=6,
                elem_id=f"grid-{name}-values",
            )

    def suggest(self, parameter: str, model: str) -> Any:
        """The list to begin with when a parameter is chosen: all there is, or an example."""
        if parameter == NOTHING:
            return gr.update(value="", placeholder="One row only")
        spec, example = self.context.models[model], PARAMETERS[parameter].example
        known: Mapping[str, tuple[str, ...]] = {
            "aspect_ratio": spec.aspect_ratios,
            MODEL: tuple(self.context.models),
            STYLE: tuple(phrase for _, phrase in style_choices(spec)[:4]),
        }
        if parameter in known:
            return gr.update(value=Axis(parameter=parameter, values=known[parameter]).text)
        is_typed = parameter in (WORDS, "prompt", "negative_prompt")
        return gr.update(value="" if is_typed else example, placeholder=example)

    def checked(self, values: dict[Component, Any], visitor: str) -> tuple[Run, Updates]:
        axes, asked = self.axes.read(values), self.controls.read(values)
        if STYLE in (axes["x"], axes["y"]):
            asked["style"] = NO_STYLE
        plan = make_plan(self.context, *request_from(asked, self.context.spec), **axes)
        rows, columns = plan.shape
        counted = replace(plan.request, num_images=rows * columns)
        run = GridRun(plan.model, counted, visitor, plan=plan)
        return run, {self.controls["seed"]: plan.request.seed}

    def first_view(self, run: Run) -> GridView:
        assert isinstance(run, GridRun)
        return GridView(run.plan, status.waiting())

    def views(self, run: Run) -> Iterator[GridView]:
        view = self.first_view(run)
        for model, cells in by_model(view.plan):
            for step in self.runs.turns.ready(self.context.manager, model, run.cancel):
                if isinstance(step, Status):
                    yield replace(view, status=step)
                    continue
                for cell, event in draw_cells(step, cells, run.cancel):
                    if isinstance(event, Preview):
                        yield (view := painting(view, cell, (event.index + 1) / event.num_scales))
                    elif isinstance(event, Done):
                        finished = self.context.finish(event, model)
                        view = replace(
                            view, drawn={**view.drawn, (cell.row, cell.column): finished}
                        )
                        yield view
            if run.cancel.is_set():
                break
        yield self._ended(view)

    def _ended(self, view: GridView) -> GridView:
        rows, columns = view.plan.shape
        seconds = duration(sum(finished.seconds for finished in view.drawn.values()))
        said = Status("done", f"Grid finished in {seconds}", 1.0)
        if len(view.drawn) < rows * columns:
            stopped = f"Stopped after {len(view.drawn)} of {rows * columns} pictures."
            said = Status("stopped", stopped)
        pictures = {
            place: open_image(run.files[0], "A picture") for place, run in view.drawn.items()
        }
        written = save_sheet(self.context, view.plan, pictures) if pictures else None
        return replace(view, status=said, sheet=written)

    def show(self, view: GridView) -> Updates:
        return {self.plot: grid_html(view), self.drawing.status: status_html(view.status)}

    def handed_on(self, view: GridView) -> Any:
        return tuple(view.drawn.values())


def make_plan(
    context: Context,
    model: str,
    request: GenerationRequest,
    x: str,
    x_values: str,
    y: str,
    y_values: str,
) -> GridPlan:
    """The plan of two axes over a request; ``y`` may be empty, for one row.

    Raises:
        RequestError: what cannot be drawn, in one sentence.
    """
    plan = GridPlan(
        model=model,
        request=request,
        x=Axis.parse(x, x_values),
        y=Axis.parse(y, y_values) if y else None,
    )
    plan.check(context.spec)
    return plan


def axis_settings(plan: GridPlan) -> dict[str, str]:
    """A plan's axes as they are typed, by the names of :func:`make_plan`."""
    y = (NOTHING, "") if plan.y is None else (plan.y.parameter, plan.y.text)
    return {"x": plan.x.parameter, "x_values": plan.x.text, "y": y[0], "y_values": y[1]}


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
