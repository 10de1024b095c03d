"""The Grid tab: two lists of values, and one picture for every pair of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import gradio as gr
from gradio.components import Component

from infinity.grid.axes import MAX_CELLS, MODEL, PARAMETERS, STYLE, WORDS, Axis
from infinity.grid.plan import GridPlan
from infinity.manager import ModelManager
from infinity.spec import ModelSpec
from infinity.ui.controls import RequestControls
from infinity.ui.controls.styles import style_choices
from infinity.ui.generate import view as present
from infinity.ui.generate.view import View
from infinity.ui.grid.events import make_paint_grid, make_start_grid, make_stop_grid
from infinity.ui.grid.view import EMPTY
from infinity.ui.shared.runs import Runs
from infinity.ui.shared.wiring import DRAWING, PRIVATE, shown

NOTHING = ""
CHOICES = [(parameter.title, name) for name, parameter in PARAMETERS.items()]
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
IDLE = View(message="Choose what varies, then draw.")


@dataclass(frozen=True)
class Axes:
    """The components of both axes: what varies, and the list of its values."""

    x: gr.Dropdown
    x_values: gr.Textbox
    y: gr.Dropdown
    y_values: gr.Textbox

    def inputs(self) -> list[Any]:
        return list(self.by_name().values())

    def by_name(self) -> dict[str, Component]:
        return {
            "x": self.x, "x_values": self.x_values, "y": self.y, "y_values": self.y_values
        }  # fmt: skip


@dataclass(frozen=True)
class GridTab:
    """What other parts of the page use. ``finished``: the runs of the newest grid's pictures."""

    axes: Axes
    finished: gr.State


def axis_values(plan: GridPlan | None) -> tuple[Any, ...]:
    """Updates of :meth:`Axes.inputs` that show a plan; None leaves them be."""
    if plan is None:
        return (gr.skip(),) * 4
    y = (NOTHING, "") if plan.y is None else (plan.y.parameter, plan.y.text)
    return plan.x.parameter, plan.x.text, *y


def suggestion(parameter: str, spec: ModelSpec, models: Mapping[str, ModelSpec]) -> Any:
    """The list to begin with when a parameter is chosen: all there is, or an example."""
    if parameter == NOTHING:
        return gr.update(value="", placeholder="One row only")
    example = PARAMETERS[parameter].example
    known: Mapping[str, tuple[str, ...]] = {
        "aspect_ratio": spec.aspect_ratios,
        MODEL: tuple(models),
        STYLE: tuple(phrase for _, phrase in style_choices(spec)[:4]),
    }
    if parameter in known:
        return gr.update(value=Axis(parameter=parameter, values=known[parameter]).text)
    typed = parameter in (WORDS, "prompt", "negative_prompt")
    return gr.update(value="" if typed else example, placeholder=example)


def build_grid_tab(
    manager: ModelManager,
    runs: Runs,
    models: Mapping[str, ModelSpec],
    controls: RequestControls,
    keep_track: Callable[[str], None],
    back: gr.HTML,
) -> GridTab:
    """Lay out the tab inside the current Blocks and wire its events.

    Args:
        models: every model on offer, by name.
        controls: of the Generate tab; they say all that no axis does.
        keep_track: told the path of every file written, so that old ones are cleaned up.
        back: of :func:`~infinity.ui.opening.kept.build_back`.
    """
    gr.HTML(f'<p class="about">{ABOUT}</p>')
    prompt = gr.HTML(NO_PROMPT, elem_id="grid-prompt")
    controls.prompt.change(None, controls.prompt, prompt, js=SHOW_PROMPT, queue=False, **PRIVATE)
    with gr.Row(elem_id="grid-axes", equal_height=False):
        with gr.Column(min_width=280):
            x, x_values = _axis("Columns", "x", CHOICES, "seed")
        with gr.Column(min_width=280):
            y, y_values = _axis("Rows", "y", [("Nothing", NOTHING), *CHOICES], "guidance")
    gr.HTML(f'<p class="about">{HELP}</p>')
    with gr.Row(elem_id="grid-buttons"):
        draw = gr.Button("Draw the grid", variant="primary", elem_id="draw-grid")
        stop = gr.Button("Stop", variant="secondary", visible=shown(False), elem_id="stop-grid")
    status = gr.HTML(present.status_html(IDLE), elem_id="grid-status")
    plot = gr.HTML(EMPTY, elem_id="grid-plot")
    finished = gr.State(None)
    axes = Axes(x, x_values, y, y_values)

    def suggest(parameter: str, model: str) -> Any:
        return suggestion(parameter, models[model], models)

    for parameter, values in ((x, x_values), (y, y_values)):
        parameter.input(suggest, [parameter, controls.model], values, queue=False, **PRIVATE)
    outputs = [plot, status, draw, stop, finished]
    gr.on(
        [draw.click, x_values.submit, y_values.submit],
        make_start_grid(runs, models),
        [*axes.inputs(), *controls.inputs()],
        [controls.seed, *outputs],
        queue=False,
        **PRIVATE,
    ).then(
        make_paint_grid(manager, runs, keep_track),
        None,
        outputs,
        trigger_mode="multiple",
        **DRAWING,
        **PRIVATE,
    )
    back.back(  # pyright: ignore[reportAttributeAccessIssue]
        make_paint_grid(manager, runs, keep_track, is_back=True),
        None,
        outputs,
        **DRAWING,
        **PRIVATE,
    )
    stop.click(make_stop_grid(runs), None, outputs, queue=False, **PRIVATE)
    return GridTab(axes, finished)


def _axis(
    title: str, name: str, choices: list[tuple[str, str]], chosen: str
) -> tuple[gr.Dropdown, gr.Textbox]:
    return (
        gr.Dropdown(
            choices, value=chosen, label=f"{title} vary", filterable=False, elem_id=f"grid-{name}"
        ),
        gr.Textbox(
            PARAMETERS[chosen].example,
            label=f"Values of the {title.lower()}",
            lines=1,
            max_lines=6,
            elem_id=f"grid-{name}-values",
        ),
    )
