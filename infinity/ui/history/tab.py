"""The History tab: this browser's finished pictures, and what happens when one of them is chosen,
shared, put back or removed."""

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from infinity.errors import InfinityError, RequestError
from infinity.ui.history import entries
from infinity.ui.history.entries import Entry
from infinity.ui.opening.replay import FOCUS_PROMPT, Replay, link_query
from infinity.ui.shared.files import FinishedRun, address, own_file
from infinity.ui.shared.wiring import PRIVATE, QUICK, Updates, quick_on

KEEPER_SCRIPT = Path(__file__).with_name("keeper.js")
LIST_SCRIPT = Path(__file__).with_name("list.js")
CHOSEN_SCRIPT = Path(__file__).with_name("chosen.js")
ABOUT = (
    "Pictures and settings are listed in this browser only, in its own storage; nobody else can see "
    "the list. The full pictures stay on the server for a day."
)
LIST = """
<section class="history-list" aria-label="History">
  <header>
    <p class="count" role="status"></p>
    <label class="keep"><input type="checkbox"> Keep a history in this browser</label>
    <button type="button" class="plain-button" data-do="starred">★ Starred</button>
    <button type="button" class="plain-button" data-do="pack">Download all</button>
    <button type="button" class="plain-button" data-do="clear">Clear</button>
  </header>
  <ul class="cards"></ul>
</section>
"""
COPY_LINK = """query => {
  if (!query) return '';
  const link = `${location.origin}${location.pathname}?${query}`;
  navigator.clipboard?.writeText(link).catch(() => {});
  return link;
}"""
NOTHING_CHOSEN = '<p class="nothing-chosen">Choose a picture to see its settings.</p>'
USED = "All settings are as they were; press Enter to draw again."
REWORDED = "Same seed and settings: type another prompt and press Enter."
HIDDEN = gr.update(visible=False)


def build_keeper(*finished: gr.State, is_kept: bool) -> None:
    """What puts finished pictures into the browser's list. It stands outside all tabs, because
    Gradio makes the parts of a tab only when that is first opened.

    Args:
        finished: states whose value is the newest :class:`FinishedRun`, or several, or None.
        is_kept: in the browser's storage; else the list lasts as long as the page.
    """
    script = KEEPER_SCRIPT.read_text(encoding="utf-8")
    keeper = gr.HTML(
        None,
        html_template="",
        js_on_load=script.replace("IS_KEPT", str(is_kept).lower()),
        elem_id="history-keeper",
    )

    def add(newest: FinishedRun | Sequence[FinishedRun] | None) -> Any:
        runs = [newest] if isinstance(newest, FinishedRun) else newest or []
        added = [entry.to_dict() for run in reversed(runs) for entry in entries.entries_of(run)]
        return added or gr.skip()

    for state in finished:
        state.change(add, state, keeper, trigger_mode="multiple", **QUICK)


class HistoryTab:
    """Laid out inside the current Blocks, its handlers wired. They are given the :class:`Entry` that
    is chosen, or None."""

    def __init__(self, replay: Replay) -> None:
        self.replay = replay
        self.chosen = chosen = gr.State(None)
        gr.HTML(f"<p class='about'>{ABOUT}</p>")
        self.message = gr.HTML("", elem_id="history-message")
        with gr.Row(elem_id="history-panel", equal_height=False):
            with gr.Column(scale=3, min_width=300):
                self.listing = gr.HTML(
                    None,
                    html_template=LIST,
                    js_on_load=LIST_SCRIPT.read_text(encoding="utf-8"),
                    elem_id="history-list",
                )
            with gr.Column(scale=2, min_width=300, elem_id="chosen"):
                self.details = gr.HTML(
                    NOTHING_CHOSEN,
                    js_on_load=CHOSEN_SCRIPT.read_text(encoding="utf-8"),
                    elem_id="chosen-picture",
                )
                with gr.Column(visible=False, elem_id="chosen-actions") as self.actions:
                    use = gr.Button(
                        "Use these settings", variant="primary", size="md", elem_id="use-settings"
                    )
                    reword = gr.Button("Same seed, other prompt", size="md", elem_id="other-prompt")
                    share = gr.Button("Share as a link", size="md", elem_id="share")
                    remove = gr.Button("Remove from the history", size="md", elem_id="remove")
                self.link = gr.Textbox(
                    label="Link",
                    info="Copied. Opening it fills in these settings and draws nothing.",
                    interactive=False,
                    visible=False,
                    buttons=["copy"],
                    max_lines=3,
                    elem_id="share-link",
                )
        listing, message, link = self.listing, self.message, self.link
        shown = [chosen, self.details, self.actions, link, message]
        listing.select(self.choose, None, shown, **QUICK)
        listing.pack(self.pack, None, [listing, message], **QUICK)
        listing.clear(self.nothing_chosen, None, shown, **QUICK)
        quick = quick_on(replay.note)
        use.click(lambda entry: self.put_back(entry, USED), chosen, replay.outputs(), **quick)
        reword.click(
            lambda entry: self.put_back(entry, REWORDED), chosen, replay.outputs(), **quick
        ).then(None, None, None, js=FOCUS_PROMPT, **PRIVATE)
        share.click(self.make_link, chosen, [link, message], **QUICK).success(
            None, link, link, js=COPY_LINK, **PRIVATE
        )
        remove.click(self.forget, chosen, [listing, *shown], **QUICK)

    def choose(self, event: gr.EventData) -> Updates:
        """Show a picture of the list."""
        try:
            entry = Entry.from_dict((event._data or {}).get("entry"))
        except RequestError as error:
            return {self.message: _said(str(error))}
        context = self.replay.context
        title = context.models[entry.model].title if entry.model in context.models else entry.model
        here = context.manager.fingerprint(entry.model) if entry.weights else ""
        return {
            self.chosen: entry,
            self.details: entries.details_html(entry, own_file(entry.file), title, here),
            self.actions: gr.update(visible=True),
            self.link: HIDDEN,
            self.message: "",
        }

    def put_back(self, entry: Entry | None, said: str) -> Updates:
        """All settings as a picture has them."""
        if entry is None:
            return self.replay.problem("Choose a picture first.")
        try:
            return self.replay.show(entry.model, entry.request, said, weights=entry.weights)
        except RequestError as error:
            return self.replay.problem(error)

    def make_link(self, entry: Entry | None) -> Updates:
        """The chosen picture's request as a link."""
        try:
            query = link_query(entry.model, entry.request) if entry is not None else ""
        except RequestError as error:
            return {self.link: HIDDEN, self.message: _said(str(error))}
        return {self.link: gr.update(value=query, visible=bool(query)), self.message: ""}

    def forget(self, entry: Entry | None) -> Updates:
        """Remove the chosen picture from the list."""
        command = gr.skip() if entry is None else {"remove": entry.file}
        return {self.listing: command, **self.nothing_chosen()}

    def nothing_chosen(self) -> Updates:
        """The tab as it opens."""
        return {
            self.chosen: None,
            self.details: NOTHING_CHOSEN,
            self.actions: HIDDEN,
            self.link: HIDDEN,
            self.message: "",
        }

    def pack(self, event: gr.EventData) -> Updates:
        """The listed pictures in one file."""
        try:
            path, said = pack_files((event._data or {}).get("files"))
        except InfinityError as error:
            return {self.message: _said(str(error))}
        self.replay.context.keep(path)
        fetched = {"fetch": address(path), "name": entries.ZIP_NAME}
        return {self.listing: fetched, self.message: _said(said)}


def pack_files(files: object) -> tuple[Path, str]:
    """(archive, what to say). Raises RequestError when nothing is left to pack."""
    names = files[: entries.MOST_IN_A_ZIP] if isinstance(files, list) else []
    paths = [path for name in names if (path := own_file(name)) is not None]
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
