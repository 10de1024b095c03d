"""The History tab: this browser's finished pictures, and what can be done with each."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from infinity.ui.history import entries
from infinity.ui.history.events import NOTHING_CHOSEN, HistoryEvents
from infinity.ui.opening.replay import FOCUS_PROMPT, Replay
from infinity.ui.shared.files import FinishedRun
from infinity.ui.shared.wiring import PRIVATE, QUICK

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

    events = HistoryEvents(
        replay, chosen, compared, message, slider, listing, details, actions, compare, link
    )
    comparing = [compared, compare, slider, message]
    emptied = [chosen, details, actions, link, *comparing]
    listing.select(
        events.choose, compared, [chosen, details, actions, link, slider, message], **QUICK
    )
    listing.pack(events.pack, None, [listing, message], **QUICK)
    listing.clear(events.nothing_chosen, None, emptied, **QUICK)
    use.click(events.use_settings, chosen, replay.outputs(), **QUICK)
    reword.click(events.other_prompt, chosen, replay.outputs(), **QUICK).then(
        None, None, None, js=FOCUS_PROMPT, **PRIVATE
    )
    compare.click(events.start_comparing, [chosen, compared], comparing, **QUICK)
    share.click(events.make_link, chosen, [link, message], **QUICK).success(
        None, link, link, js=COPY_LINK, **PRIVATE
    )
    remove.click(events.forget, chosen, [listing, *emptied], **QUICK)
