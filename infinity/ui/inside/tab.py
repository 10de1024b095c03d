"""The Inside tab: a finished picture, scale by scale and bit by bit, and what happens on a click."""

import secrets
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.components import Component

from infinity.edit.files import named_model
from infinity.errors import InfinityError, RequestError, StoppedError
from infinity.generation.inspection import save
from infinity.inside.flip import PICTURES, flip_requests
from infinity.inside.reading import Inspection
from infinity.inside.shelf import Shelf
from infinity.request import GenerationRequest
from infinity.ui.inside.panels import token_html
from infinity.ui.inside.runs import FlipRun, InsideRun, LookRun, flipped, looked, read_place
from infinity.ui.inside.view import InsideView, words_value
from infinity.ui.shared import status
from infinity.ui.shared.context import Context
from infinity.ui.shared.drawing import Drawing, RunEvents
from infinity.ui.shared.files import NOT_OURS, FinishedRun, address, new_folder, own_file
from infinity.ui.shared.pages import INSIDE
from infinity.ui.shared.runs import Run
from infinity.ui.shared.status import Status, for_visitors, status_html
from infinity.ui.shared.wiring import PRIVATE, QUICK, Updates, shown

ABOUT = (
    "What the model thought of every bit of a picture. Open one, go through its scales, click a place to "
    "see its bits, flip one, or click a word of the prompt."
)
IDLE = Status("idle", "Open a picture, or take the latest one.")
EMPTY = InsideView(IDLE)
VIEWER = Path(__file__).with_name("viewer.html")
ARCHIVE = "inside.npz"
NOTHING_DRAWN = "Nothing was drawn on this page yet; draw a picture, or open one."
NO_PICTURE = "Open a picture first, or take the latest one."
OPENER = """let begun = null;
const begin = () => {
  if (props.value && props.value !== begun) { begun = props.value; trigger('select'); }
};
watch('value', begin);
begin();"""
FETCH = """href => {
  if (!href) return;
  const link = document.createElement('a');
  link.href = href; link.download = 'inside.npz'; link.click();
}"""


class InsideTab(RunEvents[InsideView]):
    """Laid out inside the current Blocks, its handlers wired.

    Args:
        model: what reads a picture that names no model of this page.
        back: of :func:`~infinity.ui.opening.wiring.build_back`.

    Attributes:
        source, other: paths of the picture and of the one beside it.
    """

    kind = INSIDE

    def __init__(self, context: Context, model: Component, back: gr.HTML) -> None:
        self.model, self.shelf = model, Shelf()
        self.source, self.other = gr.State(""), gr.State("")
        self.shown = gr.State(EMPTY)
        self.opener = gr.HTML(None, html_template="", js_on_load=OPENER, elem_id="inside-opener")
        types = context.file_types
        gr.HTML(f'<p class="about">{ABOUT}</p>')
        with gr.Row(elem_id="inside-ask", equal_height=True):
            opened = gr.UploadButton(
                "Open a picture", file_types=types, size="md", elem_id="inside-open"
            )
            take = gr.Button("The latest picture", size="md", elem_id="inside-latest")
            beside = gr.UploadButton(
                "Lay one beside it", file_types=types, size="md", elem_id="inside-beside"
            )
            take_beside = gr.Button(
                "The latest beside it", size="md", elem_id="inside-latest-beside"
            )
            alone = gr.Button("One only", size="md", elem_id="inside-alone")
        with gr.Row(elem_id="inside-read", equal_height=False):
            self.prompt = gr.Textbox(
                label="Read it with other words",
                placeholder="Empty: the picture’s own prompt",
                lines=1,
                max_lines=3,
                scale=1,
                elem_id="inside-prompt",
            )
            begin = gr.Button(
                "Look inside", variant="primary", scale=0, min_width=140, elem_id="look-inside"
            )
            stop = gr.Button(
                "Stop", scale=0, min_width=140, visible=shown(False), elem_id="stop-inside"
            )
        line = gr.HTML(status_html(IDLE), elem_id="inside-status")
        self.words = _panel("words.js", "inside-words")
        self.viewer = _panel("viewer.js", "inside-viewer", VIEWER.read_text(encoding="utf-8"))
        self.token = _panel("panel.js", "inside-token", "${value}")
        self.flip = _panel("panel.js", "inside-flip", "${value}")
        self.numbers = gr.Button(
            "Download the numbers (.npz)", size="md", visible=shown(False), elem_id="inside-numbers"
        )
        self.archive = archive = gr.Textbox(visible=False)
        panels = [self.viewer, self.words, self.token, self.flip, self.numbers, self.shown]
        super().__init__(context, Drawing(line, begin, stop, gr.State(None)), panels)
        told = [line, self.source, self.other, self.opener]
        opened.upload(self.open_picture, opened, told, **QUICK)
        take.click(self.open_latest, None, told, **QUICK)
        beside.upload(self.open_beside, [beside, self.source], told, **QUICK)
        take_beside.click(self.open_latest_beside, self.source, told, **QUICK)
        alone.click(lambda: self._begun({self.other: ""}), None, told, **QUICK)
        self.flip.select(self.open_answer, self.shown, told, **QUICK)
        triggers = [self.opener.select, begin.click, self.prompt.submit]
        inputs = [self.source, self.other, self.prompt, self.shown, model]
        self.wire(triggers, inputs, [], back)
        self.wire_start([self.token.select], self.start_flip, inputs, [])
        answered = [self.token, self.words, line]
        self.viewer.select(self.show_token, self.shown, answered, **QUICK)
        self.words.select(self.show_word, self.shown, answered, **QUICK)
        self.numbers.click(self.save_numbers, self.shown, [archive, line], **QUICK).success(
            None, archive, None, js=FETCH, **PRIVATE
        )

    # What is opened

    def open_picture(self, request: gr.Request, path: str) -> Updates:
        """Look into a picture that was drawn or uploaded here."""
        return self._opened(path, {self.source: path, self.other: ""})

    def open_beside(self, request: gr.Request, path: str, source: str) -> Updates:
        """Lay a picture beside the one that is looked into."""
        if not source:
            return self._problem(NO_PICTURE)
        return self._opened(path, {self.other: path})

    def open_latest(self, request: gr.Request) -> Updates:
        """Look into the newest picture of this page."""
        path = self._latest(request)
        return self.open_picture(request, path) if path else self._problem(NOTHING_DRAWN)

    def open_latest_beside(self, request: gr.Request, source: str) -> Updates:
        """Lay the newest picture beside."""
        path = self._latest(request)
        return self.open_beside(request, path, source) if path else self._problem(NOTHING_DRAWN)

    def open_answer(self, view: InsideView) -> Updates:
        """Lay beside the picture what the later scales made of the flipped bit."""
        return self._opened(view.answer, {self.other: view.answer})

    def _opened(self, path: str, updates: Updates) -> Updates:
        if own_file(path) is None:
            return self._problem(NOT_OURS)
        return self._begun(updates)

    def _begun(self, updates: Updates) -> Updates:
        """The same, and the browser begins to read once it has the tab."""
        return {**updates, self.opener: secrets.token_hex(8)}

    def _latest(self, request: gr.Request) -> str:
        """Of whatever runs the page has; "" before the first is finished."""
        relays = self.runs.pages.of(request.session_hash or "").relays.values()
        runs = [getattr(relay.newest, "finished", None) for relay in relays]
        finished = [run for run in runs if isinstance(run, FinishedRun)]
        return str(max(finished, key=lambda run: run.when).files[0]) if finished else ""

    def _problem(self, error: Exception | str) -> Updates:
        return {self.drawing.status: status_html(Status("failed", for_visitors(error)))}

    # Runs

    def start_flip(
        self, request: gr.Request, values: dict[Component, Any], event: gr.EventData
    ) -> Updates:
        """Flip the bit that was pressed, and see what follows."""
        return self.start(request, values | {self.token: event._data})

    def checked(self, values: dict[Component, Any], visitor: str) -> tuple[Run, Updates]:
        before: InsideView = values[self.shown]
        if self.token in values:
            kept, place = self._kept(before), read_place(values[self.token])
            asked = flip_requests(self.context.spec(kept[0].model), kept[0].request, [place])
            return FlipRun(
                kept[0].model,
                asked.answered,
                visitor,
                before=replace(before, token=token_html(place, *kept)),
                place=place,
                inspection=kept[0],
                flips=asked,
                requests=PICTURES,
            ), {}
        if not values[self.source]:
            raise RequestError(NO_PICTURE)
        given = [path for path in (values[self.source], values[self.other]) if path]
        paths = tuple(path for name in given if (path := own_file(name)) is not None)
        if len(paths) < len(given):
            raise RequestError("The picture is no longer on the server; open it again.")
        model = self._model_of(paths[0], values[self.model])
        prompt = (values[self.prompt] or "").strip()
        asked = GenerationRequest(prompt=prompt or "a picture")
        return LookRun(model, asked, visitor, before=before, paths=paths, prompt=prompt), {}

    def first_view(self, run: Run) -> InsideView:
        assert isinstance(run, InsideRun)
        return replace(run.before, status=status.waiting())

    def views(self, run: Run) -> Iterator[InsideView]:
        view = self.first_view(run)
        try:
            for step in self.runs.turns.ready(self.context.manager, run.model, run.cancel):
                if isinstance(step, Status):
                    yield (view := replace(view, status=step))
                elif isinstance(run, FlipRun):
                    yield from flipped(self.context, view, step, run)
                else:
                    assert isinstance(run, LookRun)
                    yield from looked(self.context, self.shelf, view, step, run)
        except StoppedError:
            pass
        if run.cancel.is_set():
            yield replace(view, status=Status("stopped", "Stopped."))

    def show(self, view: InsideView) -> Updates:
        return {
            self.viewer: view.viewer,
            self.words: view.words,
            self.token: view.token,
            self.flip: view.flip,
            self.numbers: gr.update(visible=shown(bool(view.keys))),
            self.shown: view,
            self.drawing.status: status_html(view.status),
        }

    def handed_on(self, view: InsideView) -> Any:
        return view.drawn

    # Clicks

    def show_token(self, view: InsideView, event: gr.EventData) -> Updates:
        """The bits of a token."""
        try:
            html = token_html(read_place(event._data), *self._kept(view))
        except InfinityError as error:
            return self._problem(error)
        return {self.token: html}

    def show_word(self, view: InsideView, event: gr.EventData) -> Updates:
        """The maps of a word."""
        number = (event._data or {}).get("number")
        try:
            kept = self._kept(view)
            if type(number) is not int or not 0 <= number < len(kept[0].words):
                raise RequestError("The prompt has no such word; press one of those shown.")
            return {self.words: words_value(view.run, kept, number)}
        except InfinityError as error:
            return self._problem(error)

    def save_numbers(self, view: InsideView) -> Updates:
        """All arrays as one file."""
        try:
            inspection, path = self._first(view), new_folder() / ARCHIVE
            whose = inspection.model, inspection.weights
            save(path, inspection.scales, inspection.request, *whose)
        except InfinityError as error:
            return {**self._problem(error), self.archive: ""}
        self.context.keep(path)
        return {self.archive: address(path)}

    def _kept(self, view: InsideView) -> list[Inspection]:
        """Raises RequestError where nothing is shown, or its numbers are gone."""
        if not view.keys:
            raise RequestError(NO_PICTURE)
        return [self.shelf.get(key) for key in view.keys]

    def _first(self, view: InsideView) -> Inspection:
        return self._kept(view)[0]

    def _model_of(self, path: Path, chosen: str) -> str:
        """The model that a picture says it is of, where it is on offer here."""
        self.context.spec(chosen)
        named = named_model(path, "The picture")
        offered = self.context.models.items()
        return next((name for name, spec in offered if spec.name == named), chosen)


def _panel(script: str, name: str, template: str = "") -> gr.HTML:
    """A part that the browser draws from plain data."""
    path = Path(__file__).with_name(script)
    return gr.HTML(
        "" if template == "${value}" else None,
        html_template=template,
        js_on_load=path.read_text(encoding="utf-8"),
        apply_default_css=False,
        elem_id=name,
    )
