"""How a picture grew, as one animated file to download."""

import io
from base64 import b64decode
from pathlib import Path
from typing import Any

import gradio as gr
from PIL import Image

from infinity.errors import InfinityError, RequestError
from infinity.files import disk_errors
from infinity.images import open_image
from infinity.ui.generate.view import View
from infinity.ui.shared.drawing import RunEvents
from infinity.ui.shared.files import address, new_folder
from infinity.ui.shared.status import Status, status_html
from infinity.ui.shared.wiring import PRIVATE, Updates

KINDS = ("webp", "gif")
SCALE_MS, LAST_MS = 450, 2500
MOST_PIXELS = 1024
"""The longer side of the file."""
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
            path = save_growth(relay.newest, kind)
        except InfinityError as error:
            return {tab.drawing.status: status_html(Status("failed", str(error)))}
        tab.context.keep(path)
        return {link: {"href": address(path), "download": path.name}}

    viewer.grow(  # pyright: ignore[reportAttributeAccessIssue]
        grow, None, [link, tab.drawing.status], concurrency_limit=1, **PRIVATE
    )


def save_growth(view: View, kind: str) -> Path:
    """Every scale's pictures and then the finished ones, which stay longer, side by side where there
    are several: a WebP or GIF that begins anew at its end, in a folder that the page may serve.

    Raises:
        RequestError: the run has no finished pictures, or no longer.
        ResourceError: it cannot be written.
    """
    if view.finished is None or not all(path.exists() for path in view.finished.files):
        raise RequestError(NOTHING)
    last = _side_by_side([open_image(path, "The picture") for path in view.finished.files])
    scales = [_side_by_side(_read(frame.pictures)) for frame in view.frames if frame.pictures]
    *frames, last = [
        picture.resize(last.size, Image.Resampling.BICUBIC) for picture in (*scales, last)
    ]
    target = new_folder() / view.finished.files[0].with_suffix(f".{kind}").name
    with disk_errors(target):
        target.parent.mkdir(parents=True)
        first, *rest = [*frames, last]
        durations = [SCALE_MS] * len(frames) + [LAST_MS]
        first.save(
            target, save_all=True, append_images=rest, duration=durations, loop=0, quality=90
        )
    return target


def _read(pictures: tuple[str, ...]) -> list[Image.Image]:
    return [Image.open(io.BytesIO(b64decode(uri.partition(",")[2]))) for uri in pictures]


def _side_by_side(pictures: list[Any]) -> Image.Image:
    """At most ``MOST_PIXELS`` a side."""
    columns = next(n for n in range(1, len(pictures) + 1) if n * n >= len(pictures))
    rows = -(-len(pictures) // columns)
    width, height = pictures[0].size
    sheet = Image.new("RGB", (columns * width, rows * height))
    for number, picture in enumerate(pictures):
        row, column = divmod(number, columns)
        sheet.paste(picture.convert("RGB"), (column * width, row * height))
    sheet.thumbnail((MOST_PIXELS, MOST_PIXELS), Image.Resampling.LANCZOS)
    return sheet
