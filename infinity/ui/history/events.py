"""What happens on the History tab: a picture is chosen, compared, shared, put back, removed."""

from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.utils import get_upload_folder

from infinity.errors import InfinityError, RequestError
from infinity.ui.history import entries
from infinity.ui.history.entries import Entry
from infinity.ui.opening.links import link_query
from infinity.ui.opening.replay import Replay
from infinity.ui.shared.files import address
from infinity.ui.shared.wiring import Updates

NOTHING_CHOSEN = '<p class="nothing-chosen">Choose a picture to see its settings.</p>'


@dataclass(frozen=True)
class HistoryEvents:
    """The handlers of the tab, and the components they update.

    Attributes:
        chosen, compared: the :class:`Entry` shown, and the one on the left of the slider; or None.
    """

    replay: Replay
    chosen: gr.State
    compared: gr.State
    message: gr.HTML
    slider: gr.ImageSlider
    listing: gr.HTML
    details: gr.HTML
    actions: gr.Column
    compare: gr.Button
    link: gr.Textbox

    def choose(self, event: gr.EventData, left: Entry | None) -> Updates:
        """Show a picture of the list, beside the one it is compared with, if any."""
        try:
            entry = Entry.from_dict((event._data or {}).get("entry"))
            updates = {
                self.chosen: entry,
                self.details: _details(self.replay, entry),
                self.actions: gr.update(visible=True),
                self.link: gr.update(visible=False),
                self.message: "",
            }
            if left is not None:
                updates |= {self.slider: _pair(left, entry), self.message: _sides(left, entry)}
        except RequestError as error:
            return {self.message: _said(str(error))}
        return updates

    def use_settings(self, entry: Entry | None) -> Updates:
        """Put a picture's request back."""
        return _put_back(
            self.replay, entry, "All settings are as they were; press Enter to draw again."
        )

    def other_prompt(self, entry: Entry | None) -> Updates:
        """The same, for another prompt."""
        said = "Same seed and settings: type another prompt and press Enter."
        return _put_back(self.replay, entry, said)

    def start_comparing(self, entry: Entry | None, left: Entry | None) -> Updates:
        """Keep the chosen picture for the left side, or end comparing."""
        if left is not None or entry is None:
            return self.not_comparing()
        said = _said("Now choose the picture to compare it with.")
        return {self.compared: entry, self.compare: "Stop comparing", self.message: said}

    def not_comparing(self) -> Updates:
        """No comparison."""
        hidden = gr.update(visible=False)
        return {
            self.compared: None,
            self.compare: "Compare with another",
            self.slider: hidden,
            self.message: "",
        }

    def make_link(self, entry: Entry | None) -> Updates:
        """The chosen picture's request as a link."""
        try:
            query = link_query(entry.model, entry.request) if entry is not None else ""
            return {self.link: gr.update(value=query, visible=bool(query)), self.message: ""}
        except RequestError as error:
            return {self.link: gr.update(visible=False), self.message: _said(str(error))}

    def forget(self, entry: Entry | None) -> Updates:
        """Remove the chosen picture from the list."""
        command = gr.skip() if entry is None else {"remove": entry.file}
        return {self.listing: command, **self.nothing_chosen()}

    def nothing_chosen(self) -> Updates:
        """The tab as it opens."""
        hidden = gr.update(visible=False)
        cleared = {
            self.chosen: None,
            self.details: NOTHING_CHOSEN,
            self.actions: hidden,
            self.link: hidden,
        }
        return {**cleared, **self.not_comparing()}

    def pack(self, event: gr.EventData) -> Updates:
        """The listed pictures in one file."""
        try:
            path, said = _pack((event._data or {}).get("files"))
        except InfinityError as error:
            return {self.message: _said(str(error))}
        self.replay.context.keep(path)
        fetched = {"fetch": address(path), "name": entries.ZIP_NAME}
        return {self.listing: fetched, self.message: _said(said)}


def _folder() -> Path:
    return Path(get_upload_folder())


def _details(replay: Replay, entry: Entry) -> str:
    spec = replay.context.models.get(entry.model)
    title = spec.title if spec is not None else entry.model
    here = replay.fingerprint(entry.model) if entry.weights and spec is not None else ""
    return entries.details_html(entry, entries.find(entry.file, _folder()), title, here)


def _put_back(replay: Replay, entry: Entry | None, said: str) -> Updates:
    if entry is None:
        return replay.problem("Choose a picture first.")
    try:
        return replay.show(entry.model, entry.request, said, weights=entry.weights)
    except RequestError as error:
        return replay.problem(error)


def _pair(left: Entry, right: Entry) -> Any:
    """Both pictures behind one slider.

    Raises:
        RequestError: one of the files is gone.
    """
    paths = [entries.find(entry.file, _folder()) for entry in (left, right)]
    if None in paths:
        raise RequestError(
            "One of the two pictures is no longer on the server; draw it again to compare."
        )
    return gr.update(value=tuple(str(path) for path in paths), visible=True)


def _sides(left: Entry, right: Entry) -> str:
    names = (f"“{entry.words[:80]}”, seed {entry.request.seed}" for entry in (left, right))
    return _said("Left: {}. Right: {}.".format(*names))


def _pack(files: object) -> tuple[Path, str]:
    """(archive, what to say). Raises RequestError when nothing is left to pack."""
    names = [name for name in files if isinstance(name, str)] if isinstance(files, list) else []
    names = names[: entries.MOST_IN_A_ZIP]
    paths = [path for name in names if (path := entries.find(name, _folder())) is not None]
    if not paths:
        raise RequestError(
            "None of these pictures is on the server any more; choose one and draw it again."
        )
    gone = len(names) - len(paths)
    missing = f"; no longer on the server: {gone}" if gone else ""
    count = f"{len(paths)} pictures are" if len(paths) > 1 else "1 picture is"
    return entries.zip_pictures(paths), f"{count} in the zip{missing}."


def _said(sentence: str) -> str:
    return f'<p role="status">{escape(sentence)}</p>'
