"""The Models tab: what is in memory and where, what another model would need, load, unload, switch."""

from collections.abc import Callable
from typing import Any

import gradio as gr

from infinity.memory_modes import MEMORY_MODES
from infinity.ui.controls.request import SAMPLING
from infinity.ui.models.events import ModelEvents
from infinity.ui.models.view import GB, loaded_html
from infinity.ui.shared.context import Context
from infinity.ui.shared.wiring import PRIVATE, QUICK, Components


def build_models_tab(context: Context, tab: gr.Tab, controls: Components) -> None:
    """Lay out the tab inside the current Blocks and wire its events. On a public page visitors only
    look: nothing can be loaded, unloaded or budgeted.

    Args:
        tab: the tab itself, whose opening refreshes what is shown.
        controls: of the Generate tab, switched to a model that was loaded here.
    """
    is_public = context.hosting.public
    budget_bytes = getattr(context.manager, "memory_budget", None) or 0
    with gr.Row(elem_id="models-panel", equal_height=False):
        with gr.Column(scale=3, min_width=300):
            table = gr.HTML(loaded_html((), context.models), elem_id="models-table")
            budget = gr.Number(
                value=round(budget_bytes / GB, 1),
                label="Memory for all models together, GB",
                info="Models used longest ago are let go to keep to it; 0 is no limit.",
                minimum=0,
                step=1,
                visible=not is_public,
                elem_id="models-budget",
            )
        with gr.Column(scale=2, min_width=300):
            choice = gr.Dropdown(
                [(spec.title, name) for name, spec in context.models.items()],
                value=context.first_model,
                label="Model to look at",
                filterable=False,
                elem_id="models-choice",
            )
            memory_mode = gr.Radio(
                [(kind.title, name) for name, kind in MEMORY_MODES.items()],
                value="none",
                label="Memory",
                info=MEMORY_MODES["none"].info,
                elem_id="models-memory-mode",
            )
            plan = gr.HTML("", elem_id="models-plan")
            status = gr.HTML("", elem_id="models-status")
            with gr.Row(visible=not is_public, elem_id="models-buttons"):
                load = gr.Button("Load and use", variant="primary", elem_id="models-load")
                stop = gr.Button("Stop", elem_id="models-stop")
                unload = gr.Button("Unload", elem_id="models-unload")
    events = ModelEvents(context, controls, table, memory_mode, plan, status, load)
    shown = [table, memory_mode, plan, load]
    opening: list[Callable[..., Any]] = [tab.select, choice.input]
    gr.on(opening, events.look, choice, shown, **QUICK)
    memory_mode.input(events.look, [choice, memory_mode], shown, **QUICK)
    if is_public:
        return
    # A loaded model is the one to draw with: the Generate tab takes its settings.
    chosen = controls.named("model", "aspect_ratio", "style", *SAMPLING)
    acts = [
        load.click(
            events.load_model,
            [choice, memory_mode, *controls.named("aspect_ratio", "style")],
            [status, load, *chosen],
            concurrency_limit=None,
            **PRIVATE,
        ),
        unload.click(events.unload, choice, status, **QUICK),
        budget.change(events.set_budget, budget, None, **QUICK),
    ]
    for act in acts:
        act.then(events.look, [choice, memory_mode], shown, **QUICK)
    stop.click(events.stop_load, None, status, **QUICK)
