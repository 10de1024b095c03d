"""The Generate tab: prompt and picture first, the settings beside them, and their events."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import gradio as gr

from infinity.manager import ModelManager
from infinity.spec import ModelSpec
from infinity.ui.controls import KEEP, RequestControls, build_controls
from infinity.ui.generate import view as present
from infinity.ui.generate.events import make_paint, make_start, make_stop, make_tick
from infinity.ui.generate.examples import Example, read_examples
from infinity.ui.generate.settings import SettingsPanel, lay_out_settings, wire_settings
from infinity.ui.generate.view import View
from infinity.ui.generate.viewer import build_viewer
from infinity.ui.shared.offer import known_spec
from infinity.ui.shared.runs import Runs
from infinity.ui.shared.wiring import DRAWING, PRIVATE, shown


@dataclass(frozen=True)
class Outputs:
    """What a run changes on the page."""

    viewer: gr.HTML
    status: gr.HTML
    generate: gr.Button
    stop: gr.Button
    finished: gr.State
    clock: gr.Timer

    def all(self) -> list[Any]:
        return [getattr(self, field.name) for field in fields(self)]


@dataclass(frozen=True)
class GenerateTab:
    """What other tabs may use: the controls, and ``finished``, whose value is the session's newest
    :class:`~infinity.ui.shared.finished.FinishedRun` (None before the first); listen to its ``change``."""

    controls: RequestControls
    finished: gr.State


def build_generate_tab(
    manager: ModelManager,
    runs: Runs,
    models: Mapping[str, ModelSpec],
    chosen: str,
    keep_track: Callable[[str], None],
    back: gr.HTML,
    below_prompt: Callable[[gr.Textbox], None] | None = None,
) -> GenerateTab:
    """Lay out the tab inside the current Blocks and wire its events.

    Args:
        models: every model on offer, by name; ``chosen`` is the one to begin with.
        keep_track: told the path of every file written, so that old ones are cleaned up.
        back: of :func:`~infinity.ui.opening.kept.build_back`.
        below_prompt: lays out more below the prompt, which it is given.
    """

    def spec_of(name: str) -> ModelSpec:
        return known_spec(name, models)

    controls = build_controls(models, chosen)
    samples = read_examples()
    outputs, examples, panel = _lay_out(
        controls, models, chosen, samples, present.idle(models[chosen]), below_prompt
    )
    _wire_runs(
        controls,
        outputs,
        (examples, samples),
        make_start(runs, spec_of),
        make_stop(runs),
        make_paint(manager, runs, keep_track),
        DRAWING,
    )
    back.back(  # pyright: ignore[reportAttributeAccessIssue]
        make_paint(manager, runs, keep_track, is_back=True),
        None,
        outputs.all(),
        **DRAWING,
        **PRIVATE,
    )
    outputs.clock.tick(make_tick(runs), None, outputs.status, queue=False, **PRIVATE)
    wire_settings(controls, panel, spec_of)
    return GenerateTab(controls, outputs.finished)


def _lay_out(
    controls: RequestControls,
    models: Mapping[str, ModelSpec],
    chosen: str,
    samples: Sequence[Example],
    view: View,
    below_prompt: Callable[[gr.Textbox], None] | None,
) -> tuple[Outputs, gr.Dataset, SettingsPanel]:
    with gr.Row(elem_id="ask", equal_height=False):
        with gr.Column(scale=1, min_width=240, elem_id="ask-prompt"):
            controls.prompt.render()
        with gr.Column(scale=0, min_width=140, elem_id="ask-buttons"):
            generate = gr.Button("Generate", variant="primary", elem_id="generate")
            stop = gr.Button("Stop", variant="secondary", visible=shown(False), elem_id="stop")
    if below_prompt is not None:
        below_prompt(controls.prompt)
    examples = gr.Dataset(
        components=[gr.HTML(render=False)],
        samples=[[sample.html] for sample in samples],
        type="index",
        samples_per_page=len(samples) or 1,
        label="Try one",
        visible=bool(samples),
        elem_id="examples",
    )
    status = gr.HTML(present.status_html(view), elem_id="status")
    with gr.Row(elem_id="work", equal_height=False):
        with gr.Column(scale=1, min_width=320, elem_id="result"):
            viewer = build_viewer(view)
        with gr.Column(scale=0, min_width=300, elem_id="settings"):
            panel = lay_out_settings(controls, models, chosen)
    clock = gr.Timer(1.0, active=False)
    return Outputs(viewer, status, generate, stop, gr.State(None), clock), examples, panel


def _wire_runs(
    controls: RequestControls,
    outputs: Outputs,
    examples: tuple[gr.Dataset, Sequence[Example]],
    start: Callable[..., Any],
    stop: Callable[..., Any],
    paint: Callable[..., Any],
    in_line: dict[str, Any],
) -> None:
    started = [controls.seed, *outputs.all()]
    paints = {"fn": paint, "outputs": outputs.all(), "trigger_mode": "multiple", **in_line}
    # Checked at once and outside the queue; the run itself waits its turn. A second Enter while
    # one is under way begins nothing, and when it is taken up finds nothing to do.
    gr.on(
        [controls.prompt.submit, outputs.generate.click],
        start,
        controls.inputs(),
        started,
        queue=False,
        **PRIVATE,
    ).then(**paints, **PRIVATE)
    dataset, samples = examples

    def start_example(request: gr.Request, index: int, *values: Any) -> tuple[Any, ...]:
        """Its own seed for this run, so that its picture comes; the next run rolls as before."""
        sample = samples[index]
        read = dict(zip(controls.names(), values, strict=True))
        read |= {"prompt": sample.prompt, "seed": sample.seed, "seed_mode": KEEP}
        return (sample.prompt, *start(request, *read.values()))

    dataset.click(
        start_example,
        [dataset, *controls.inputs()],
        [controls.prompt, *started],
        queue=False,
        **PRIVATE,
    ).then(**paints, **PRIVATE)
    outputs.stop.click(stop, None, outputs.all(), queue=False, **PRIVATE)
