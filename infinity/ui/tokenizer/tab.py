"""The Tokenizer tab: any picture to bits and back, what every scale adds, and what it costs."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.components import Component

from infinity.edit.files import PictureBits, open_picture
from infinity.edit.sources import bits_of, rebuild, source_of, with_record
from infinity.errors import RequestError
from infinity.metadata import save_png
from infinity.pipeline import InfinityPipeline
from infinity.request import GenerationRequest
from infinity.spec import ModelSpec
from infinity.ui.controls.choices import aspect_choices
from infinity.ui.shared import status
from infinity.ui.shared.context import Context
from infinity.ui.shared.drawing import Drawing, RunEvents
from infinity.ui.shared.files import BITS_FILE, NOT_OURS, FinishedRun, new_folder, own_file
from infinity.ui.shared.pages import TOKENIZER
from infinity.ui.shared.runs import Run
from infinity.ui.shared.status import Status, status_html
from infinity.ui.shared.wiring import QUICK, Updates, shown
from infinity.ui.tokenizer.view import (
    EMPTY,
    PICTURE,
    ShownScale,
    TokenizerView,
    caption,
    strip_html,
    table_html,
    thumb_of,
    vocabulary_html,
)

IDLE = Status("idle", "Choose a picture, or a file of bits that was saved here.")
PICTURE_FILE = "infinity-picture.png"
SCRIPT = Path(__file__).with_name("strip.js")


@dataclass(eq=False, kw_only=True)
class TokenizerRun(Run):
    """A run that rebuilds a picture; its request draws nothing."""

    picture: Path
    aspect_ratio: str | None


class TokenizerTab(RunEvents[TokenizerView]):
    """Laid out inside the current Blocks, its handlers wired.

    Args:
        tab: the tab itself, whose opening begins with a picture that another tab has handed over.
        latest: state whose value is the newest :class:`FinishedRun`, or None.
        back: of :func:`~infinity.ui.opening.wiring.build_back`.
    """

    kind = TOKENIZER

    def __init__(self, context: Context, tab: gr.Tab, latest: gr.State, back: gr.HTML) -> None:
        spec, script = context.models[context.first_model], SCRIPT.read_text(encoding="utf-8")
        with gr.Row(elem_id="tokenizer-work", equal_height=False):
            with gr.Column(scale=3, min_width=320):
                line = gr.HTML(status_html(IDLE), elem_id="tokenizer-status")
                self.slider = gr.ImageSlider(
                    label="Original, and rebuilt",
                    type="filepath",
                    format="png",
                    interactive=False,
                    visible=shown(False),
                    max_height=480,
                    elem_id="tokenizer-slider",
                )
                self.strip = gr.HTML(EMPTY, js_on_load=script, elem_id="tokenizer-strip")
            with gr.Column(scale=3, min_width=320):
                self.picture = gr.File(
                    label="Picture, or file of bits",
                    file_types=context.file_types,
                    height=130,
                    elem_id="tokenizer-picture",
                )
                use = gr.Button("Take the latest picture", size="md", elem_id="tokenizer-latest")
                self.model = gr.Dropdown(
                    [(each.title, name) for name, each in context.models.items()],
                    value=context.first_model,
                    label="Tokenizer of",
                    filterable=False,
                    visible=len(context.models) > 1,
                    elem_id="tokenizer-model",
                )
                self.aspect_ratio = gr.Dropdown(
                    **_aspect_ratios(spec),
                    label="Aspect ratio",
                    filterable=False,
                    elem_id="tokenizer-aspect-ratio",
                )
                begin = gr.Button("Rebuild", variant="primary", elem_id="tokenizer-begin")
                stop = gr.Button("Stop", visible=shown(False), elem_id="tokenizer-stop")
                self.table = gr.HTML("", js_on_load=script, elem_id="tokenizer-table")
                self.facts = gr.HTML(vocabulary_html(spec), elem_id="tokenizer-facts")
        shown_of_a_run = [self.slider, self.strip, self.table]
        super().__init__(context, Drawing(line, begin, stop, gr.State(None)), shown_of_a_run)
        inputs = [self.picture, self.model, self.aspect_ratio]
        self.wire([self.picture.change, begin.click], inputs, [], back)
        # Gradio makes the parts of a tab as it is first opened, and tells of no change before.
        self.wire_start([tab.select], self.start_handed_over, inputs, [])
        told = [self.facts, self.aspect_ratio]
        self.model.input(self.tell_model, self.model, told, **QUICK)
        gr.on([self.strip.select, self.table.select], self.choose, None, self.slider, **QUICK)
        use.click(self.take_latest, latest, [self.picture, line], **QUICK)

    def open_picture(self, request: gr.Request, path: str) -> Updates:
        """Show a picture that was drawn or uploaded here; its run begins by itself."""
        if (own := own_file(path)) is None:
            return {self.drawing.status: status_html(Status("failed", NOT_OURS))}
        return {self.picture: str(own)}

    def take_latest(self, request: gr.Request, latest: FinishedRun | None) -> Updates:
        """The picture that was drawn last."""
        if latest is None:
            said = Status("failed", "There is no picture yet: draw one on the Generate tab.")
            return {self.drawing.status: status_html(said)}
        return self.open_picture(request, str(latest.files[0]))

    def tell_model(self, name: str) -> Updates:
        """What another tokenizer's tokens can be, and its aspect ratios."""
        spec = self.context.spec(name)
        return {
            self.facts: vocabulary_html(spec),
            self.aspect_ratio: gr.update(**_aspect_ratios(spec)),
        }

    def start(self, request: gr.Request, values: dict[Component, Any]) -> Updates:
        if values[self.picture] is None and not self.runs.is_busy(self.name_of(request)):
            return {self.drawing.status: status_html(IDLE)}
        return super().start(request, values)

    def start_handed_over(self, request: gr.Request, values: dict[Component, Any]) -> Updates:
        """As :meth:`start`, of a picture that is not shown yet."""
        view = self._newest(request)
        shown = None if view is None else view.picture
        if values[self.picture] is None or own_file(values[self.picture]) == shown:
            return {self.drawing.status: gr.skip()}
        return self.start(request, values)

    def checked(self, values: dict[Component, Any], visitor: str) -> tuple[Run, Updates]:
        model, path = values[self.model], own_file(values[self.picture])
        spec, aspect_ratio = self.context.spec(model), values[self.aspect_ratio] or None
        if aspect_ratio is not None:
            spec.schedule(aspect_ratio)
        if path is None:
            raise RequestError(NOT_OURS)
        nothing = GenerationRequest(prompt="a picture")
        run = TokenizerRun(model, nothing, visitor, picture=path, aspect_ratio=aspect_ratio)
        return run, {}

    def first_view(self, run: Run) -> TokenizerView:
        assert isinstance(run, TokenizerRun)
        return TokenizerView(status.waiting(), run.picture)

    def views(self, run: Run) -> Iterator[TokenizerView]:
        assert isinstance(run, TokenizerRun)
        view = self.first_view(run)
        for step in self.runs.turns.ready(self.context.manager, run.model, run.cancel):
            if isinstance(step, Status):
                yield (view := replace(view, status=step))
                continue
            for view in self._rebuilt(step, run):
                yield view
        if run.cancel.is_set():
            yield replace(view, status=Status("stopped", "Stopped."))

    def _rebuilt(self, pipeline: InfinityPipeline, run: TokenizerRun) -> Iterator[TokenizerView]:
        picture, folder = open_picture(run.picture, "The picture"), new_folder()
        rebuilt = rebuild(pipeline, picture, run.aspect_ratio)
        original = save_png(rebuilt.original, folder / "original.png")
        self.context.keep(original)
        count = len(rebuilt.bits)
        view = replace(self.first_view(run), count=count, original=original)
        for number, measured in enumerate(pipeline.measure(rebuilt), 1):
            files = measured.save(folder, number)
            self.context.keep(*files.values())
            one = ShownScale(measured, files, thumb_of(measured.image))
            said = Status("painting", f"Scale {number} of {count}", number / count)
            yield (view := replace(view, status=said, scales=(*view.scales, one)))
            if run.cancel.is_set():
                return
        source = source_of(pipeline, picture, run.aspect_ratio, run.cancel)
        bits = bits_of(pipeline, source)
        bits.save(path := folder / BITS_FILE)
        self.context.keep(path)
        if isinstance(picture, PictureBits):
            png = save_png(with_record(pipeline, rebuilt.image, source), folder / PICTURE_FILE)
            self.context.keep(png)
            view = replace(view, png=png)
        whose = "the bits it was drawn with" if bits.request else "its bits"
        done = Status("done", f"Rebuilt from {view.scales[-1].measured.bits:,} bits", 1.0)
        yield replace(view, status=done, bits=path, said=whose)

    def show(self, view: TokenizerView) -> Updates:
        slider = self._slider(view, len(view.scales), PICTURE) if view.scales else gr.skip()
        return {
            self.drawing.status: status_html(view.status),
            self.slider: slider,
            self.strip: strip_html(view),
            self.table: table_html(view),
        }

    def choose(self, request: gr.Request, event: gr.EventData) -> Any:
        """Another scale, or another format, beside the original."""
        asked = event._data if isinstance(event._data, dict) else {}
        view = self._newest(request)
        number, format = asked.get("scale"), asked.get("format")
        if view is None or type(number) is not int or not 0 < number <= len(view.scales):
            return gr.skip()
        return self._slider(view, number, format)

    def _newest(self, request: gr.Request) -> TokenizerView | None:
        relay = self.runs.pages.of(request.session_hash or "").relays.get(self.kind)
        return None if relay is None else relay.newest

    def _slider(self, view: TokenizerView, number: int, format: object) -> Any:
        one = view.scales[number - 1]
        path = one.files.get(format) if isinstance(format, str) else None
        if (
            path is None
            or view.original is None
            or not (path.is_file() and view.original.is_file())
        ):
            return gr.skip()
        both = str(view.original), str(path)
        return gr.update(value=both, label=caption(one, str(format)), visible=True)

    def handed_on(self, view: TokenizerView) -> Any:
        return None


def _aspect_ratios(spec: ModelSpec) -> dict[str, Any]:
    """Properties of the control; where there is one alone nothing is to be chosen."""
    ratios = [(label.replace("\n", " · "), ratio) for label, ratio in aspect_choices(spec)]
    choices = [("The nearest", ""), *ratios]
    return {"choices": choices, "value": "", "visible": shown(len(choices) > 2)}
