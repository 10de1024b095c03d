"""The Generate tab: prompt and picture first, the settings beside them, and their events."""

from collections.abc import Callable

import gradio as gr

from infinity.ui.controls import RequestControls, build_controls
from infinity.ui.generate.events import GenerateEvents
from infinity.ui.generate.examples import read_examples
from infinity.ui.generate.settings import build_settings
from infinity.ui.generate.view import idle
from infinity.ui.generate.viewer import build_viewer
from infinity.ui.shared.context import Context
from infinity.ui.shared.drawing import Drawing
from infinity.ui.shared.status import status_html
from infinity.ui.shared.wiring import QUICK, shown


def build_generate_tab(
    context: Context, back: gr.HTML, below_prompt: Callable[[gr.Textbox], None]
) -> tuple[RequestControls, gr.State]:
    """Lay out the tab inside the current Blocks and wire its events.

    Args:
        back: of :func:`~infinity.ui.opening.kept.build_back`.
        below_prompt: lays out more below the prompt, which it is given.

    Returns:
        The controls, and a state whose value is the session's newest
        :class:`~infinity.ui.shared.files.FinishedRun` (None before the first).
    """
    controls = build_controls(context.models, context.first_model)
    view = idle(context.models[context.first_model])
    with gr.Row(elem_id="ask", equal_height=False):
        with gr.Column(scale=1, min_width=240, elem_id="ask-prompt"):
            controls.prompt.render()
        with gr.Column(scale=0, min_width=140, elem_id="ask-buttons"):
            generate = gr.Button("Generate", variant="primary", elem_id="generate")
            stop = gr.Button("Stop", variant="secondary", visible=shown(False), elem_id="stop")
    below_prompt(controls.prompt)
    examples = read_examples()
    dataset = gr.Dataset(
        components=[gr.HTML(render=False)],
        samples=[[example.html] for example in examples],
        type="index",
        samples_per_page=len(examples) or 1,
        label="Try one",
        visible=bool(examples),
        elem_id="examples",
    )
    status = gr.HTML(status_html(view.status), elem_id="status")
    with gr.Row(elem_id="work", equal_height=False):
        with gr.Column(scale=1, min_width=320, elem_id="result"):
            viewer = build_viewer(view)
        with gr.Column(scale=0, min_width=300, elem_id="settings"):
            build_settings(context, controls)
    clock = gr.Timer(1.0, active=False)
    drawing = Drawing(status, generate, stop, gr.State(None))
    events = GenerateEvents(context, drawing, controls, viewer, clock)
    begin = [controls.prompt.submit, generate.click]
    events.wire(begin, controls.inputs(), [controls.seed], back)
    events.wire_examples(dataset, examples)
    clock.tick(events.tick, None, status, **QUICK)
    return controls, drawing.finished
