"""A request goes back to the page: from the history, from a dropped PNG, from a shared link.

All three end here, in updates that set every control of the Generate tab to exactly that request.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from infinity.errors import RequestError
from infinity.grid.plan import GridPlan, read_plan
from infinity.images import image_notes
from infinity.metadata import PictureRecord, read_record, weights_note
from infinity.request import GenerationRequest
from infinity.spec import ModelSpec
from infinity.ui.controls import MAX_PICTURES, RequestControls, control_updates
from infinity.ui.grid.tab import Axes, axis_values
from infinity.ui.opening.links import read_link
from infinity.ui.shared.problems import problem_html
from infinity.ui.shared.wiring import PRIVATE

DROP_SCRIPT = Path(__file__).with_name("drop.js")
FOCUS_PROMPT = """() => setTimeout(() => {
  const prompt = document.querySelector('#prompt textarea');
  if (prompt) { prompt.focus(); prompt.select(); }
}, 300)"""


@dataclass(frozen=True)
class Replay:
    """Where requests are put back.

    Attributes:
        controls: of the Generate tab.
        tabs: all tabs of the page.
        note: the line above them that says what happened.
        specs: every model on offer, by name.
        fingerprint: of the weights a model has here, by its name; "" where it is not known.
    """

    controls: RequestControls
    tabs: gr.Tabs
    note: gr.HTML
    specs: Mapping[str, ModelSpec]
    fingerprint: Callable[[str], str]

    def outputs(self) -> list[Any]:
        """What :meth:`show` and :meth:`say` update."""
        return [self.note, self.tabs, *self.controls.inputs()]

    def show(
        self,
        model: str,
        request: GenerationRequest,
        said: str,
        tab: str = "generate",
        *,
        weights: str = "",
    ) -> tuple[Any, ...]:
        """All controls set to ``request``, and the tab that uses them opened.

        Args:
            weights: fingerprint of those that drew it, so that others are told of.

        Raises:
            RequestError: the page cannot ask for exactly this.
        """
        if model not in self.specs:
            raise RequestError(
                f"The model {model[:60]!r} is not on offer here; choose one that is, and type the "
                "prompt again."
            )
        if request.num_images > MAX_PICTURES:
            raise RequestError(
                f"The page draws at most {MAX_PICTURES} pictures at a time, not {request.num_images}."
            )
        updates = control_updates(model, request, self.specs[model])
        controls = (updates[name] for name in self.controls.names())
        other = weights_note(weights, self.fingerprint(model)) if weights else ""
        return note_html(f"{said} {other}".rstrip()), gr.update(selected=tab), *controls

    def open_file(self, path: str | None) -> tuple[Any, ...]:
        """What a dropped or chosen file brings back: :meth:`outputs`, then the Grid tab's axes."""
        try:
            if path is None:
                return (gr.skip(),) * (len(self.outputs()) + len(axis_values(None)))
            found = read_drop(path)
            if isinstance(found, GridPlan):
                said = "These are the settings of that grid; draw it again, or change a list."
                shown = self.show(found.model, found.request, said, tab="grid")
                return *shown, *axis_values(found)
            said = "These are the settings of that picture; press Enter to draw it again."
            shown = self.show(found.model, found.request, said, weights=found.weights)
            return *shown, *axis_values(None)
        except RequestError as error:
            return *self.say(str(error), is_problem=True), *axis_values(None)

    def say(self, sentence: str, *, is_problem: bool = False) -> tuple[Any, ...]:
        """A sentence, and everything else left as it is."""
        skipped = (gr.skip(),) * (len(self.outputs()) - 1)
        return (problem_html if is_problem else note_html)(sentence), *skipped

    def open_link(self, request: gr.Request) -> tuple[Any, ...] | None:
        """What the address the page was opened with says; draws nothing. None if it says nothing."""
        try:
            found = read_link(request.query_params.multi_items())
            if found is None:
                return None
            model, wanted = found
            said = "These settings came with the link; press Enter to draw them."
            return self.show(model or next(iter(self.specs)), wanted, said)
        except RequestError as error:
            return self.say(str(error), is_problem=True)


def wire_replay(app: gr.Blocks, replay: Replay, axes: Axes, opened: gr.UploadButton) -> None:
    """Files from ``opened`` and from anywhere on the page."""
    quick: dict[str, Any] = {"queue": False, **PRIVATE}
    app.load(None, None, None, js=DROP_SCRIPT.read_text(encoding="utf-8"), **quick)
    opened.upload(replay.open_file, opened, [*replay.outputs(), *axes.inputs()], **quick)


def read_drop(path: str | Path) -> PictureRecord | GridPlan:
    """What a dropped file can bring back.

    Raises:
        RequestError: not a picture, one made elsewhere, or a damaged record.
    """
    try:
        image = image_notes(path)
    except RequestError as error:  # whose words name the file's place on the server
        raise RequestError(
            "This file cannot be read as a picture; open a PNG that was drawn here."
        ) from error
    return read_plan(image) or read_record(image)


def note_html(sentence: str) -> str:
    """The line above the tabs."""
    return f'<p class="page-note" role="status">{escape(sentence)}</p>'
