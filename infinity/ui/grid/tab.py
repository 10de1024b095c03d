"""The Grid tab: two lists of values, and one picture for every pair of them."""

from typing import Any

import gradio as gr

from infinity.grid.axes import MAX_CELLS
from infinity.ui.controls import RequestControls
from infinity.ui.grid.axes import Axes, build_axis, suggestion
from infinity.ui.grid.events import GridEvents
from infinity.ui.grid.view import EMPTY
from infinity.ui.shared.context import Context
from infinity.ui.shared.drawing import Drawing
from infinity.ui.shared.status import Status, status_html
from infinity.ui.shared.wiring import QUICK, shown

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


def build_grid_tab(
    context: Context, controls: RequestControls, back: gr.HTML
) -> tuple[Axes, gr.State]:
    """Lay out the tab inside the current Blocks and wire its events.

    Args:
        controls: of the Generate tab; they say all that no axis does.
        back: of :func:`~infinity.ui.opening.kept.build_back`.

    Returns:
        The axes, and a state whose value is the runs of the newest grid's pictures.
    """
    gr.HTML(f'<p class="about">{ABOUT}</p>')
    prompt = gr.HTML(NO_PROMPT, elem_id="grid-prompt")
    controls.prompt.change(None, controls.prompt, prompt, js=SHOW_PROMPT, **QUICK)
    with gr.Row(elem_id="grid-axes", equal_height=False):
        with gr.Column(min_width=280):
            x, x_values = build_axis("Columns", "x", "seed")
        with gr.Column(min_width=280):
            y, y_values = build_axis("Rows", "y", "guidance")
    gr.HTML(f'<p class="about">{HELP}</p>')
    with gr.Row(elem_id="grid-buttons"):
        draw = gr.Button("Draw the grid", variant="primary", elem_id="draw-grid")
        stop = gr.Button("Stop", variant="secondary", visible=shown(False), elem_id="stop-grid")
    status = gr.HTML(status_html(IDLE), elem_id="grid-status")
    plot = gr.HTML(EMPTY, elem_id="grid-plot")
    axes = Axes(x, x_values, y, y_values)

    def suggest(parameter: str, model: str) -> Any:
        return suggestion(parameter, context.models[model], context.models)

    for parameter, values in ((x, x_values), (y, y_values)):
        parameter.input(suggest, [parameter, controls.model], values, **QUICK)
    drawing = Drawing(status, draw, stop, gr.State(None))
    events = GridEvents(context, drawing, controls, axes, plot)
    begin = [draw.click, x_values.submit, y_values.submit]
    events.wire(begin, [*axes.inputs(), *controls.inputs()], [controls.seed], back)
    return axes, drawing.finished
