"""How a picture grew, as one animated file to download."""

import io
from base64 import b64decode
from pathlib import Path

import gradio as gr

from infinity.errors import InfinityError, RequestError
from infinity.growth import KINDS, save_growth
from infinity.images import open_image
from infinity.ui.generate.view import View
from infinity.ui.shared.drawing import RunEvents
from infinity.ui.shared.files import address, new_folder
from infinity.ui.shared.status import Status, status_html
from infinity.ui.shared.wiring import PRIVATE, Updates

FETCH = """watch('value', () => {
  if (props.value) Object.assign(document.createElement('a'), props.value).click();
});"""
NOTHING = "There is no finished picture whose growth could be saved; draw one first."


def wire_growth(tab: RunEvents[View], viewer: gr.HTML) -> None:
    """Have a viewer's buttons save what it shows of the tab's newest run."""
    link = gr.HTML(None, html_template="", js_on_load=FETCH, elem_classes="fetcher")

    def grow(request: gr.Request, event: gr.EventData) -> Updates:
        relay = tab.runs.pages.of(request.session_hash or "").relays.get(tab.kind)
        kind = (event._data or {}).get("kind")
        try:
            if kind not in KINDS or relay is None or relay.newest is None:
                raise RequestError(NOTHING)
            path = growth_of(relay.newest, kind)
        except InfinityError as error:
            return {tab.drawing.status: status_html(Status("failed", str(error)))}
        tab.context.keep(path)
        return {link: {"href": address(path), "download": path.name}}

    viewer.grow(  # pyright: ignore[reportAttributeAccessIssue]
        grow, None, [link, tab.drawing.status], concurrency_limit=1, **PRIVATE
    )


def growth_of(view: View, kind: str) -> Path:
    """A run's growth as a file that the page may serve.

    Raises:
        RequestError: the run has no finished pictures, or no longer.
        ResourceError: it cannot be written.
    """
    if view.finished is None or not all(path.exists() for path in view.finished.files):
        raise RequestError(NOTHING)
    finished = [open_image(path, "The picture") for path in view.finished.files]
    scales = [
        [open_image(picture_of(uri), "A preview") for uri in frame.pictures]
        for frame in view.frames
        if frame.pictures
    ]
    name = view.finished.files[0].with_suffix(f".{kind}").name
    return save_growth(scales, finished, new_folder() / name)


def picture_of(uri: str) -> io.BytesIO:
    """The file that is inside a picture's address."""
    return io.BytesIO(b64decode(uri.partition(",")[2]))
