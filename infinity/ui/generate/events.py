"""What happens when somebody generates."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import gradio as gr
from gradio.components import Component

from infinity.events import Done
from infinity.ui.controls import KEEP, RequestControls, request_from
from infinity.ui.generate.examples import Example
from infinity.ui.generate.view import View, after, loading, opened, stopped, waiting
from infinity.ui.generate.viewer import viewer_value
from infinity.ui.shared import status
from infinity.ui.shared.context import Context
from infinity.ui.shared.drawing import Drawing, RunEvents
from infinity.ui.shared.pages import GENERATE
from infinity.ui.shared.runs import Run
from infinity.ui.shared.status import status_html
from infinity.ui.shared.turns import Loading, load
from infinity.ui.shared.wiring import Updates


class GenerateEvents(RunEvents[View]):
    """The handlers of the Generate tab.

    Args:
        viewer: stage and timeline.
        clock: runs while the page waits, to show its place in the line.
    """

    kind = GENERATE

    def __init__(
        self,
        context: Context,
        drawing: Drawing,
        controls: RequestControls,
        viewer: gr.HTML,
        clock: gr.Timer,
    ) -> None:
        super().__init__(context, drawing, [viewer, clock])
        self.controls = controls
        self.viewer = viewer
        self.clock = clock

    def checked(self, values: dict[Component, Any], visitor: str) -> tuple[Run, Updates]:
        model, wanted = request_from(self.controls.values(values), self.context.spec)
        return Run(model, wanted, visitor), {self.controls.seed: wanted.seed}

    def start_example(
        self, request: gr.Request, values: dict[Component, Any], example: Example
    ) -> Updates:
        """Its own seed for this run, so that its picture comes; the next run rolls as before."""
        values = values | {
            self.controls.prompt: example.prompt,
            self.controls.seed: example.seed,
            self.controls.seed_mode: KEEP,
        }
        return {self.controls.prompt: example.prompt, **self.start(request, values)}

    def tick(self, request: gr.Request) -> Any:
        """The place in the line of a page that waits."""
        before = self.runs.before(self.name_of(request))
        return gr.skip() if before is None else status_html(status.waiting(before))

    def first_view(self, run: Run, before: int = 0) -> View:
        return waiting(run.request.prompts, before, run.name)

    def views(self, run: Run) -> Iterator[View]:
        """After the finished pictures, their timeline as it is completed."""
        view = self.first_view(run)
        spec = self.context.manager.spec(run.model)
        pipeline = None
        for report in load(self.context.manager, run.model, run.cancel):
            if isinstance(report, Loading):
                yield (view := loading(view, report.what, report.fraction))
            else:
                pipeline = report
        if pipeline is None:
            yield stopped(view, 0)
            return
        with self.runs.turns.place(run.cancel) as line:
            for before in line:
                yield (view := self.first_view(run, before))
            if run.cancel.is_set():
                yield stopped(view, 0)
                return
            yield (view := opened(view, spec, run.request.aspect_ratio))
            for event in pipeline.stream(run.request, cancel=run.cancel, refine=True):
                saved = self.context.finish(event, run.model) if isinstance(event, Done) else None
                yield (view := after(view, event, saved))

    def show(self, view: View, before: View | None) -> Updates:
        if (
            before is not None and before.phase == "done"
        ):  # the page may have gone on to the next run
            return {self.viewer: viewer_value(view)}
        if view.finished is not None and not all(path.exists() for path in view.finished.files):
            view = replace(view, pictures=())  # the timeline is all that is left of them
        return {
            self.viewer: viewer_value(view) if view.frames else gr.skip(),
            self.drawing.status: status_html(view.status),
        }

    def handed_on(self, view: View) -> Any:
        return view.finished

    def standing(self, name: str) -> Updates:
        is_waiting = self.runs.before(name) is not None
        return {**super().standing(name), self.clock: gr.Timer(active=is_waiting)}

    def wire_examples(self, dataset: gr.Dataset, examples: Sequence[Example]) -> None:
        """A click on an example draws it."""

        def start(request: gr.Request, values: dict[Component, Any]) -> Updates:
            return self.start_example(request, values, examples[values[dataset]])

        controls = self.controls
        inputs = [dataset, *controls.inputs()]
        self.wire_start([dataset.click], start, inputs, [controls.prompt, controls.seed])
