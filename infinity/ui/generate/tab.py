"""The Generate tab: prompt and picture first, the settings beside them, and what happens when
somebody generates."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.components import Component

from infinity.events import Done
from infinity.ui.controls.request import KEEP, request_from
from infinity.ui.generate.examples import examples_of, samples
from infinity.ui.generate.growth import wire_growth
from infinity.ui.generate.help import WORDS_SCRIPT, build_prompt_help
from infinity.ui.generate.settings import build_settings
from infinity.ui.generate.view import (
    View,
    after,
    build_viewer,
    idle,
    opened,
    stopped,
    viewer_value,
    waiting,
)
from infinity.ui.shared.context import Context
from infinity.ui.shared.drawing import Drawing, RunEvents
from infinity.ui.shared.pages import GENERATE
from infinity.ui.shared.runs import Run
from infinity.ui.shared.status import Status, status_html
from infinity.ui.shared.wiring import Components, Updates, settled, shown

PLACEHOLDER = "a red apple on a sandy beach"
RECENT_SCRIPT = Path(__file__).with_name("recent.js")
RECENT = '<div class="recent" role="group" aria-label="Recent pictures"></div>'


class GenerateTab(RunEvents[View]):
    """Laid out inside the current Blocks, its handlers wired.

    Args:
        back: of :func:`~infinity.ui.opening.wiring.build_back`.

    Attributes:
        controls: all that a request is made of.
        kept: the settings that a page may keep: the controls, and those of the prompt help.
    """

    kind = GENERATE

    def __init__(self, context: Context, back: gr.HTML) -> None:
        self.controls = Components()
        spec = context.models[context.first_model]
        view, examples = idle(spec), examples_of(spec)
        with gr.Row(elem_id="ask", equal_height=False):
            with gr.Column(scale=1, min_width=240, elem_id="ask-prompt"):
                self.controls["prompt"] = gr.Textbox(
                    label="Prompt", placeholder=PLACEHOLDER, lines=1, max_lines=6, autofocus=True
                )
            with gr.Column(scale=0, min_width=140, elem_id="ask-buttons"):
                generate = gr.Button("Generate", variant="primary", elem_id="generate")
                stop = gr.Button("Stop", variant="secondary", visible=shown(False), elem_id="stop")
        self.dataset = gr.Dataset(
            components=[gr.HTML(render=False)],
            samples=samples(examples),
            type="index",
            samples_per_page=100,
            label="Try one",
            visible=bool(examples),
            elem_id="examples",
        )
        line = gr.HTML(
            status_html(view.status),
            js_on_load=WORDS_SCRIPT.read_text(encoding="utf-8"),
            elem_id="status",
        )
        with gr.Row(elem_id="work", equal_height=False):
            with gr.Column(scale=1, min_width=320, elem_id="result"):
                self.viewer = build_viewer(view)
                gr.HTML(
                    None,
                    html_template=RECENT,
                    js_on_load=RECENT_SCRIPT.read_text(encoding="utf-8"),
                    apply_default_css=False,
                    elem_id="recent",
                )
            with gr.Column(scale=0, min_width=300, elem_id="settings"):
                build_settings(context, self.controls)
                helped = build_prompt_help(self.controls["prompt"], context.runs.allowance)
        self.kept = self.controls | helped
        drawing = Drawing(line, generate, stop, gr.State(None))
        super().__init__(context, drawing, [self.viewer])
        prompt, seed = self.controls.named("prompt", "seed")
        inputs = [*self.controls.values()]
        self.wire([prompt.submit, generate.click], inputs, [seed], back)
        self.wire_start(
            [self.dataset.click], self.start_example, [self.dataset, *inputs], [prompt, seed]
        )
        wire_growth(self, self.viewer)
        shape = self.controls.named("model", "aspect_ratio")
        gr.on(
            [control.change for control in shape],
            self.speak_of,
            shape,
            [self.dataset, self.viewer],
            **settled("shape"),
        )

    def checked(self, values: dict[Component, Any], visitor: str) -> tuple[Run, Updates]:
        model, wanted = request_from(self.controls.read(values), self.context.spec)
        return Run(model, wanted, visitor), {self.controls["seed"]: wanted.seed}

    def start_example(self, request: gr.Request, values: dict[Component, Any]) -> Updates:
        """Its own seed for this run, so that its picture comes; the next run rolls as before."""
        model = self.context.spec(values[self.controls["model"]])
        example = examples_of(model)[values[self.dataset]]
        asked = {"prompt": example.prompt, "seed": example.seed, "seed_mode": KEEP}
        started = self.start(request, values | self.controls.updates(asked))
        return {self.controls["prompt"]: example.prompt, **started}

    def speak_of(self, request: gr.Request, model: str, aspect_ratio: str) -> Updates:
        """A model's examples, and the scales to come unless a run is shown."""
        spec = self.context.models.get(model)
        if spec is None:
            return {self.viewer: gr.skip()}
        examples, page = examples_of(spec), self.runs.pages.of(request.session_hash or "")
        is_idle = GENERATE not in page.relays and not self.runs.is_busy(page.runs_of(GENERATE))
        return {
            self.dataset: gr.Dataset(samples=samples(examples), visible=bool(examples)),
            self.viewer: viewer_value(idle(spec, aspect_ratio)) if is_idle else gr.skip(),
        }

    def first_view(self, run: Run) -> View:
        return waiting(run.request.prompts, run.name)

    def views(self, run: Run) -> Iterator[View]:
        """After the finished pictures, their timeline as it is completed."""
        view = self.first_view(run)
        for step in self.runs.turns.ready(self.context.manager, run.model, run.cancel):
            if isinstance(step, Status):
                yield (view := replace(view, status=step))
                continue
            yield (view := opened(view, self.context.models[run.model], run.request.aspect_ratio))
            for event in step.stream(run.request, cancel=run.cancel, refine=True):
                saved = self.context.finish(event, run.model) if isinstance(event, Done) else None
                yield (view := after(view, event, saved))
            return
        yield stopped(view, 0)

    def show(self, view: View) -> Updates:
        if view.finished is not None and not all(path.exists() for path in view.finished.files):
            view = replace(view, finished=None)  # the timeline is all that is left of them
        return {
            self.viewer: viewer_value(view) if view.frames else gr.skip(),
            self.drawing.status: status_html(view.status),
        }

    def handed_on(self, view: View) -> Any:
        return view.finished
