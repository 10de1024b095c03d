"""A request goes back to the page: from the history, from a dropped PNG, from a shared link.

All three end here, in updates that set every control of the Generate tab to exactly that request. None
draws anything. A link says all in plain words (``?prompt=a+red+apple&seed=7&guidance=3``), so that it
can be read before it is opened, works on any server with the same model, and needs nothing kept anywhere.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import gradio as gr

from infinity.arrays import holds_arrays
from infinity.edit.files import open_bits
from infinity.errors import RequestError, nearest
from infinity.grid.axes import PARAMETERS
from infinity.grid.plan import GridPlan, read_plan
from infinity.images import image_notes
from infinity.metadata import PictureRecord, read_record, weights_note
from infinity.request import GenerationRequest
from infinity.ui.controls.choices import control_updates
from infinity.ui.controls.request import MAX_PICTURES
from infinity.ui.grid.tab import axis_settings
from infinity.ui.shared.context import Context
from infinity.ui.shared.status import problem_html
from infinity.ui.shared.wiring import Components, Updates

MOST_CHARACTERS = 8000
"""Of a link's settings: longer addresses are cut off by some servers and programs on the way."""
NAMES = ("model", *(field.name for field in fields(GenerationRequest) if field.name != "start"))
WENT_ON = "It went on from another picture: to go on from it, open its PNG on the Edit tab."
OF_ANOTHER_KIND: Mapping[str, Callable[[str], Any]] = {
    "num_images": int,
    "candidates": int,
    "prune_at_scale": int,
    "scorer": str,
    "complete_prompt": lambda text: {"True": True, "False": False}[text],
}
"""How a link's settings are read that no axis of a grid has."""
FOCUS_PROMPT = """() => setTimeout(() => {
  const prompt = document.querySelector('#prompt textarea');
  if (prompt) { prompt.focus(); prompt.select(); }
}, 300)"""


@dataclass(frozen=True)
class Replay:
    """Where requests are put back. Its methods return updates by component.

    Attributes:
        controls: of the Generate tab.
        axes: of the Grid tab.
        tabs: all tabs of the page.
        note: the line above them that says what happened.
    """

    context: Context
    controls: Components
    axes: Components
    tabs: gr.Tabs
    note: gr.HTML

    def outputs(self) -> list[Any]:
        """What a request that is put back may change."""
        return [self.note, self.tabs, *self.controls.values()]

    def show(
        self,
        model: str,
        request: GenerationRequest,
        said: str,
        tab: str = "generate",
        *,
        weights: str = "",
    ) -> Updates:
        """All controls set to ``request``, and the tab that uses them opened.

        Args:
            weights: fingerprint of those that drew it, so that a note names other ones.

        Raises:
            RequestError: the page cannot ask for exactly this.
        """
        if model not in self.context.models:
            raise RequestError(
                f"The model {model[:60]!r} is not on offer here; choose one that is, and type the "
                "prompt again."
            )
        if request.num_images > MAX_PICTURES:
            raise RequestError(
                f"The page draws at most {MAX_PICTURES} pictures at a time, not {request.num_images}."
            )
        here = self.context.manager.fingerprint(model) if weights else ""
        other = weights_note(weights, here)
        went_on = "" if request.start is None else WENT_ON
        return {
            self.note: note_html(" ".join(filter(None, (said, went_on, other)))),
            self.tabs: gr.update(selected=tab),
            **self.controls.updates(control_updates(model, request, self.context.models[model])),
        }

    def problem(self, error: Exception | str) -> Updates:
        """A sentence about what cannot be done, and everything else left as it is."""
        return {self.note: problem_html(str(error))}

    def open_file(self, path: str | None) -> Updates:
        """What a dropped or chosen file brings back."""
        try:
            if path is None:
                return {self.note: gr.skip()}
            found = read_drop(Path(path))
            if isinstance(found, GridPlan):
                said = "These are the settings of that grid; draw it again, or change a list."
                shown = self.show(found.model, found.request, said, tab="grid")
                return {**shown, **self.axes.updates(axis_settings(found))}
            said = "These are the settings of that picture; press Enter to draw it again."
            wanted = found.request
            if found.batch is not None and found.batch.num_images <= MAX_PICTURES:
                wanted = found.batch
                said = (
                    f"That picture is number {found.place + 1} of {wanted.num_images} drawn in one pass; "
                    "press Enter to draw all of them again."
                )
            return self.show(found.model, wanted, said, weights=found.weights)
        except RequestError as error:
            return self.problem(error)

    def open_link(self, request: gr.Request) -> Updates:
        """What the address the page was opened with says; draws nothing. Empty if it says nothing."""
        try:
            found = read_link(request.query_params.multi_items())
            if found is None:
                return {}
            model, wanted = found
            said = "These settings came with the link; press Enter to draw them."
            return self.show(model or self.context.first_model, wanted, said)
        except RequestError as error:
            return self.problem(error)


def link_query(model: str, request: GenerationRequest) -> str:
    """The part of a link behind its ``?``.

    Raises:
        RequestError: the prompts are too long for a link, or the picture went on from another.
    """
    if request.start is not None:
        raise RequestError(
            "This picture went on from the bits of another, which no link can hold; share the PNG itself."
        )
    settings = {"model": model}
    for name, value in request.to_dict().items():
        if value != "" or name == "prompt":
            settings[name] = ",".join(map(repr, value)) if isinstance(value, list) else str(value)
    query = urlencode(settings)
    if len(query) > MOST_CHARACTERS:
        raise RequestError(
            "The prompts are too long for a link; share the PNG itself, which carries its settings."
        )
    return query


def read_link(pairs: Iterable[tuple[str, str]]) -> tuple[str | None, GenerationRequest] | None:
    """(model if named, request) of an address's settings; None where there are none of ours.

    Raises:
        RequestError: a value that is none, or settings that are misspelt, repeated or too long.
    """
    found: dict[str, str] = {}
    for name, text in pairs:
        if name not in NAMES:
            if near := nearest(name, NAMES, cutoff=0.8):
                raise RequestError(f"The link has a setting {name[:40]!r}; did it mean {near!r}?")
            continue  # an address may carry words for others: the theme, where a visitor came from
        if name in found:
            raise RequestError(f"The link says {name!r} twice; keep one.")
        found[name] = text
    if not found:
        return None
    if sum(map(len, found.values())) > MOST_CHARACTERS:
        raise RequestError(
            f"The link holds more than {MOST_CHARACTERS:,} characters; shorten its prompt."
        )
    if "prompt" not in found:
        raise RequestError("The link has settings but no prompt; add one, or ask for a whole link.")
    model, settings = found.pop("model", None), {}
    for name, text in found.items():
        try:
            read = OF_ANOTHER_KIND.get(name) or PARAMETERS[name].read
            settings[name] = read(text)
        except (KeyError, ValueError, RequestError) as error:
            raise RequestError(
                f"The link's {name} is {text[:40]!r}, which is no number."
            ) from error
    return model, GenerationRequest.from_dict(settings)


def read_drop(path: Path) -> PictureRecord | GridPlan:
    """What a dropped file can bring back.

    Raises:
        RequestError: not a picture or a file of bits, one made elsewhere, or a damaged record.
    """
    if holds_arrays(path):
        bits = open_bits(path, "This file")
        if bits.request is None:
            raise RequestError("Nothing drew this picture; open its bits on the Tokenizer tab.")
        return PictureRecord(request=bits.request, model=bits.model, weights=bits.weights)
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
