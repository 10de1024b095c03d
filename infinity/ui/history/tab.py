"""The History tab: this browser's finished pictures, and what can be done with each."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.utils import get_upload_folder

from infinity.errors import InfinityError, RequestError
from infinity.ui.history import entries
from infinity.ui.history.entries import Entry
from infinity.ui.opening.links import link_query
from infinity.ui.opening.replay import FOCUS_PROMPT, Replay
from infinity.ui.shared.files import address
from infinity.ui.shared.finished import FinishedRun
from infinity.ui.shared.wiring import PRIVATE, QUICK, Updates

KEEPER_SCRIPT = Path(__file__).with_name("keeper.js")
LIST_SCRIPT = Path(__file__).with_name("list.js")
ABOUT = (
    "Pictures and settings are listed in this browser only, in its own storage; nobody else can see "
    "the list. The full pictures stay on the server for a day."
)
LIST = """
<section class="history-list" aria-label="History">
  <header>
    <p class="count" role="status"></p>
    <label class="keep"><input type="checkbox"> Keep a history in this browser</label>
    <button type="button" class="plain-button" data-do="pack">Download all</button>
    <button type="button" class="plain-button" data-do="clear">Clear</button>
  </header>
  <ul class="cards"></ul>
</section>
"""
NOTHING_CHOSEN = '<p class="nothing-chosen">Choose a picture to see its settings.</p>'
COPY_LINK = """query => {
  if (!query) return '';
  const link = `${location.origin}${location.pathname}?${query}`;
  navigator.clipboard?.writeText(link).catch(() => {});
  return link;
}"""


def build_keeper(*finished: gr.State) -> None:
    """What puts finished pictures into the browser's list. It stands outside all tabs, because
    Gradio makes the parts of a tab only when that is first opened.

    Args:
        finished: states whose value is the newest :class:`FinishedRun`, or several, or None.
    """
    keeper = gr.HTML(
        None,
        html_template="",
        js_on_load=KEEPER_SCRIPT.read_text(encoding="utf-8"),
        elem_id="history-keeper",
    )

    def add(newest: FinishedRun | Sequence[FinishedRun] | None) -> Any:
        runs = [newest] if isinstance(newest, FinishedRun) else newest or []
        added = [entry.to_dict() for run in reversed(runs) for entry in entries.entries_of(run)]
        return added or gr.skip()

    for state in finished:
        state.change(add, state, keeper, trigger_mode="multiple", **QUICK)


def build_history_tab(replay: Replay) -> None:
    """Lay out the tab inside the current Blocks and wire its events."""
    chosen, compared = gr.State(None), gr.State(None)
    gr.HTML(f"<p class='about'>{ABOUT}</p>")
    message = gr.HTML("", elem_id="history-message")
    slider = gr.ImageSlider(
        label="Left and right",
        format="png",
        type="filepath",
        interactive=False,
        visible=False,
        elem_id="compare-slider",
    )
    with gr.Row(elem_id="history-panel", equal_height=False):
        with gr.Column(scale=3, min_width=300):
            listing = gr.HTML(
                None,
                html_template=LIST,
                js_on_load=LIST_SCRIPT.read_text(encoding="utf-8"),
                elem_id="history-list",
            )
        with gr.Column(scale=2, min_width=300, elem_id="chosen"):
            details = gr.HTML(NOTHING_CHOSEN, elem_id="chosen-picture")
            with gr.Column(visible=False, elem_id="chosen-actions") as actions:
                use = gr.Button(
                    "Use these settings", variant="primary", size="md", elem_id="use-settings"
                )
                reword = gr.Button("Same seed, other prompt", size="md", elem_id="other-prompt")
                compare = gr.Button("Compare with another", size="md", elem_id="compare")
                share = gr.Button("Share as a link", size="md", elem_id="share")
                remove = gr.Button("Remove from the history", size="md", elem_id="remove")
            link = gr.Textbox(
                label="Link",
                info="Copied. Opening it fills in these settings and draws nothing.",
                interactive=False,
                visible=False,
                buttons=["copy"],
                max_lines=3,
                elem_id="share-link",
            )

    def choose(event: gr.EventData, left: Entry | None) -> Updates:
        try:
            entry = Entry.from_dict((event._data or {}).get("entry"))
            updates = {
                chosen: entry,
                details: _details(replay, entry),
                actions: gr.update(visible=True),
                link: gr.update(visible=False),
                message: "",
            }
            if left is not None:
                updates |= {slider: _pair(left, entry), message: _sides(left, entry)}
        except RequestError as error:
            return {message: _said(str(error))}
        return updates

    def use_settings(entry: Entry | None) -> Updates:
        return _put_back(replay, entry, "All settings are as they were; press Enter to draw again.")

    def other_prompt(entry: Entry | None) -> Updates:
        said = "Same seed and settings: type another prompt and press Enter."
        return _put_back(replay, entry, said)

    def start_comparing(entry: Entry | None, left: Entry | None) -> Updates:
        if left is not None or entry is None:
            return not_comparing()
        said = _said("Now choose the picture to compare it with.")
        return {compared: entry, compare: "Stop comparing", message: said}

    def not_comparing() -> Updates:
        hidden = gr.update(visible=False)
        return {compared: None, compare: "Compare with another", slider: hidden, message: ""}

    def make_link(entry: Entry | None) -> Updates:
        try:
            query = link_query(entry.model, entry.request) if entry is not None else ""
            return {link: gr.update(value=query, visible=bool(query)), message: ""}
        except RequestError as error:
            return {link: gr.update(visible=False), message: _said(str(error))}

    def forget(entry: Entry | None) -> Updates:
        command = gr.skip() if entry is None else {"remove": entry.file}
        return {listing: command, **nothing_chosen()}

    def nothing_chosen() -> Updates:
        hidden = gr.update(visible=False)
        cleared = {chosen: None, details: NOTHING_CHOSEN, actions: hidden, link: hidden}
        return {**cleared, **not_comparing()}

    def pack(event: gr.EventData) -> Updates:
        try:
            path, said = _pack((event._data or {}).get("files"))
        except InfinityError as error:
            return {message: _said(str(error))}
        replay.context.keep(path)
        fetched = {"fetch": address(path), "name": entries.ZIP_NAME}
        return {listing: fetched, message: _said(said)}

    comparing = [compared, compare, slider, message]
    emptied = [chosen, details, actions, link, *comparing]
    listing.select(choose, compared, [chosen, details, actions, link, slider, message], **QUICK)
    listing.pack(pack, None, [listing, message], **QUICK)
    listing.clear(nothing_chosen, None, emptied, **QUICK)
    use.click(use_settings, chosen, replay.outputs(), **QUICK)
    reword.click(other_prompt, chosen, replay.outputs(), **QUICK).then(
        None, None, None, js=FOCUS_PROMPT, **PRIVATE
    )
    compare.click(start_comparing, [chosen, compared], comparing, **QUICK)
    share.click(make_link, chosen, [link, message], **QUICK).success(
        None, link, link, js=COPY_LINK, **PRIVATE
    )
    remove.click(forget, chosen, [listing, *emptied], **QUICK)


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
