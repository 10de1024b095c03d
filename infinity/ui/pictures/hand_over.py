"""From a finished picture to the tab that goes on from it, wherever on the page its buttons are."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import gradio as gr

from infinity.ui.controls.request import KEEP
from infinity.ui.opening.replay import note_html
from infinity.ui.shared.files import own_file
from infinity.ui.shared.status import problem_html
from infinity.ui.shared.wiring import QUICK, Components, Updates, quick_on

GONE = (
    "This picture is no longer on the server, where pictures stay for a day; draw it again from its "
    "settings in the history."
)
USE = "use", "Use seed", "The next run draws with this picture’s seed"


class Receiver(Protocol):
    """A tab that goes on from a picture."""

    def open_picture(self, request: gr.Request, path: str) -> Updates: ...


@dataclass(frozen=True)
class Button:
    """What a button beside a picture does.

    Attributes:
        event: "vary", "edit", "inside", "tokens": its icon too.
        title, about: its words, and what it does.
        tab: opened, with what it holds.
        receiver: is given the picture.
        chosen: values of the tab's controls besides.
    """

    event: str
    title: str
    about: str
    tab: gr.Tab
    receiver: Receiver
    chosen: Updates = field(default_factory=dict)


def build_hand_over(
    buttons: list[Button], tabs: gr.Tabs, note: gr.HTML, controls: Components
) -> None:
    """The component behind every picture's buttons. It stands outside all tabs, as Gradio makes the
    parts of a tab only when that is first opened.

    Args:
        note: the line above the tabs.
        controls: of the Generate tab, which "use seed" sets.
    """
    words = {button.event: (button.title, button.about) for button in buttons}
    script = Path(__file__).with_name("pictures.js").read_text(encoding="utf-8")
    hand = gr.HTML(
        None,
        html_template="",
        js_on_load=script.replace("BUTTONS", json.dumps(words | {USE[0]: USE[1:]})),
        elem_id="hand-over",
    )

    def opener(button: Button) -> Any:
        def open_picture(request: gr.Request, event: gr.EventData) -> Updates:
            path = own_file(_told(event).get("file"))
            if path is None:
                return {note: problem_html(GONE)}
            opened = button.receiver.open_picture(request, str(path))
            return {note: "", tabs: gr.update(selected=button.tab.id), **opened, **button.chosen}

        return open_picture

    for button in buttons:
        outputs = [note, tabs, *_inside(button.tab)]
        getattr(hand, button.event)(opener(button), None, outputs, **quick_on(note))

    def use(event: gr.EventData) -> Updates:
        seed = _told(event).get("seed")
        if type(seed) is not int:
            return {note: problem_html("This picture’s seed is not known.")}
        chosen = controls.updates({"seed": seed, "seed_mode": KEEP})
        return {note: note_html(f"The next run draws with seed {seed}."), **chosen}

    hand.use(  # pyright: ignore[reportAttributeAccessIssue]
        use, None, [note, *controls.named("seed", "seed_mode")], **QUICK
    )


def _told(event: gr.EventData) -> Mapping[str, Any]:
    """What the browser sent, which is not trusted."""
    return event._data if isinstance(event._data, dict) else {}


def _inside(block: Any) -> list[Any]:
    """Every component inside a tab, however deep."""
    return [
        part
        for child in block.children
        for part in ((child, *_inside(child)) if hasattr(child, "children") else (child,))
    ]
