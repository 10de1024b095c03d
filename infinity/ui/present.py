"""What the page shows: pure functions from pipeline events to a view, and from a view to HTML.

Everything a person typed is escaped here; nothing here touches a disk, a model or a component.
"""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass, replace
from html import escape
from typing import Literal

from PIL import Image

from infinity.events import Done, Event, Preview
from infinity.spec import ModelSpec
from infinity.ui.files import address
from infinity.ui.finished import FinishedRun

Phase = Literal["idle", "waiting", "loading", "painting", "done", "stopped", "failed"]

THUMBNAIL_PIXELS = 96
LOSSLESS_PIXELS = 192
"""Previews up to this side are sent as PNG; larger ones as JPEG, which is quicker to write and send."""
MOST_GRID_LINES = 16
MOST_ALT_CHARACTERS = 300


@dataclass(frozen=True)
class Frame:
    """One scale in the strip: its size in tokens, its bits, and once it is drawn its time and look."""

    height: int
    width: int
    bits: int
    seconds: float | None = None
    thumbnail: str = ""


@dataclass(frozen=True)
class Picture:
    """One picture on the stage, ``aspect`` = width / height. A finished one has a file and a seed."""

    source: str
    aspect: float = 1.0
    download: str = ""
    seed: int | None = None


@dataclass(frozen=True)
class View:
    """All that the page shows of one run."""

    phase: Phase = "idle"
    message: str = "Describe a picture and press Enter."
    fraction: float = 0.0
    prompt: str = ""
    frames: tuple[Frame, ...] = ()
    pictures: tuple[Picture, ...] = ()
    seconds: float | None = None
    notes: tuple[str, ...] = ()
    finished: FinishedRun | None = None

    @property
    def is_busy(self) -> bool:
        return self.phase in ("waiting", "loading", "painting")


def idle(spec: ModelSpec) -> View:
    """Before the first run: the scales to come of the model's default aspect ratio."""
    return View(frames=_frames(spec, spec.aspect_ratios[0]))


def waiting(prompt: str) -> View:
    """Checked and in line, nothing computed yet."""
    return View("waiting", "Waiting for a turn …", prompt=prompt)


def loading(view: View, what: str, fraction: float | None = None) -> View:
    """A model is being fetched or read; ``fraction`` in [0, 1] where it is known."""
    share = f" · {fraction:.0%}" if fraction is not None else ""
    return replace(view, phase="loading", message=f"{what}{share}", fraction=fraction or 0.0)


def opened(view: View, spec: ModelSpec, aspect_ratio: str) -> View:
    """The model is there: the strip shows every scale to come.

    Raises:
        RequestError: an aspect ratio the model does not have.
    """
    frames = _frames(spec, aspect_ratio)
    first = f"Scale 1 of {len(frames)} · reading the prompt"
    return replace(view, phase="painting", message=first, fraction=0.0, frames=frames)


def previewed(view: View, event: Preview) -> View:
    """A scale is finished; the progress is counted in tokens, which is what takes the time."""
    images = event.images or ()
    frame = Frame(
        event.height,
        event.width,
        event.bits,
        event.seconds,
        data_uri(thumbnail(images[0])) if images else "",
    )
    frames = (*view.frames[: event.index], frame, *view.frames[event.index + 1 :])
    done = sum(f.height * f.width for f in frames[: event.index + 1])
    return replace(
        view,
        phase="painting",
        message=f"Scale {event.index + 1} of {event.num_scales} · {grid(event.height, event.width)} tokens",
        fraction=done / sum(f.height * f.width for f in frames),
        frames=frames,
        pictures=tuple(Picture(data_uri(i), i.width / i.height) for i in images) or view.pictures,
    )


def finished(view: View, event: Done, run: FinishedRun) -> View:
    """All scales are drawn; the pictures are now the files that carry the request."""
    count = f"{len(run.files)} pictures" if len(run.files) > 1 else "Picture"
    return replace(
        view,
        phase="done",
        message=f"{count} finished in {duration(event.seconds)}",
        fraction=1.0,
        pictures=tuple(
            Picture(address(path), image.width / image.height, path.name, seed)
            for path, image, seed in zip(run.files, event.images, run.request.seeds, strict=True)
        ),
        seconds=event.seconds,
        notes=event.notes,
        finished=run,
    )


def stopped(view: View, completed_scales: int) -> View:
    """Ended on request; what was drawn so far stays."""
    after = f" after scale {completed_scales} of {len(view.frames)}" if completed_scales else ""
    return replace(view, phase="stopped", message=f"Stopped{after}.", fraction=0.0)


def failed(view: View, message: str) -> View:
    """Ended by an error: one sentence, with everything else left as it was."""
    return replace(view, phase="failed", message=message, fraction=0.0)


def after(view: View, event: Event, run: FinishedRun | None = None) -> View:
    """The view after one pipeline event; ``run`` is what a ``Done`` was saved as."""
    if isinstance(event, Preview):
        return previewed(view, event)
    if isinstance(event, Done):
        assert run is not None, "finished pictures are saved before they are shown"
        return finished(view, event, run)
    return stopped(view, event.completed_scales)


def status_html(view: View) -> str:
    """The line under the prompt: what is happening, how far it is, what to know."""
    live = "off" if view.phase == "painting" else "polite"
    role = "alert" if view.phase == "failed" else "status"
    notes = "".join(f'<span class="note">{escape(note)}</span>' for note in view.notes)
    percent = round(100 * view.fraction)
    meter = (
        f'<div class="meter" role="progressbar" aria-label="Progress" aria-valuemin="0" '
        f'aria-valuemax="100" aria-valuenow="{percent}"><i style="width:{percent}%"></i></div>'
    )
    return (
        f'<div class="run-status is-{view.phase}"><p role="{role}" aria-live="{live}">'
        f'<span class="dot"></span><span class="message">{escape(view.message)}</span>{notes}</p>'
        f"{meter}</div>"
    )


def stage_html(view: View) -> str:
    """The pictures, in a box whose size never depends on them."""
    if not view.pictures:
        return _EMPTY_STAGE
    columns = next(n for n in range(1, 9) if n * n >= len(view.pictures))
    rows = -(-len(view.pictures) // columns)
    cells = "".join(_picture_html(picture, view.prompt) for picture in view.pictures)
    many = " is-many" if len(view.pictures) > 1 else ""
    return f'<div class="stage{many}" style="--columns:{columns};--rows:{rows}">{cells}</div>'


def strip_html(view: View) -> str:
    """All scales, coarse to fine: what each looked like, its tokens, bits and time."""
    if not view.frames:
        return _EMPTY_STRIP
    tokens = sum(frame.height * frame.width for frame in view.frames)
    bits = sum(frame.bits for frame in view.frames)
    facts = [f"{len(view.frames)} scales", f"{tokens:,} tokens", f"{bits:,} bits"]
    if view.seconds is not None:
        facts.append(duration(view.seconds))
    current = next((i for i, frame in enumerate(view.frames) if frame.seconds is None), -1)
    frames = "".join(
        _frame_html(frame, index, view.phase == "painting" and index == current)
        for index, frame in enumerate(view.frames)
    )
    columns = f"--wide:{per_row(len(view.frames), 9)};--narrow:{per_row(len(view.frames), 5)}"
    return (
        f'<section class="strip" aria-label="Scales"><header><h2>Scale by scale</h2>'
        f'<p>{" · ".join(facts)}</p></header><ol style="{columns}">{frames}</ol></section>'
    )


def per_row(count: int, most: int) -> int:
    """How many go in a row, at most ``most``, so that the rows come out nearly even."""
    rows = -(-count // most)
    return -(-count // rows)


def grid(height: int, width: int) -> str:
    return f"{width} × {height}"


def duration(seconds: float) -> str:
    """``0.0351`` -> "35 ms", ``2.31`` -> "2.3 s", ``71`` -> "1 min 11 s"."""
    if seconds < 0.9995:
        return f"{1000 * seconds:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    return f"{int(round(seconds) // 60)} min {round(seconds) % 60} s"


def thumbnail(image: Image.Image) -> Image.Image:
    """A copy that fits the strip; smaller pictures stay as they are, so their pixels can be counted."""
    copy = image.convert("RGB")
    copy.thumbnail((THUMBNAIL_PIXELS, THUMBNAIL_PIXELS), Image.Resampling.BOX)
    return copy


def data_uri(image: Image.Image) -> str:
    """The picture inside its own address: previews never become files."""
    lossless = max(image.size) <= LOSSLESS_PIXELS
    buffer = io.BytesIO()
    if lossless:
        image.convert("RGB").save(buffer, "PNG", compress_level=1)
    else:
        image.convert("RGB").save(buffer, "JPEG", quality=88)
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    return f"data:image/{'png' if lossless else 'jpeg'};base64,{data}"


def _frames(spec: ModelSpec, aspect_ratio: str) -> tuple[Frame, ...]:
    bits = spec.tokenizer.bits_per_token
    return tuple(Frame(s.height, s.width, s.tokens * bits) for s in spec.schedule(aspect_ratio))


def _picture_html(picture: Picture, prompt: str) -> str:
    source, alt = (
        escape(picture.source, quote=True),
        escape(prompt[:MOST_ALT_CHARACTERS], quote=True),
    )
    caption = ""
    if picture.download:
        name = escape(picture.download, quote=True)
        seed = "" if picture.seed is None else f"<span><b>Seed </b>{picture.seed}</span>"
        caption = (
            f'<figcaption>{seed}<a href="{source}" download="{name}" '
            f'title="The PNG carries the prompt, the seed and all settings">'
            f"<b>Download </b>PNG</a></figcaption>"
        )
    return (
        f'<div class="cell"><figure style="--aspect:{picture.aspect:.4f}">'
        f'<img src="{source}" alt="{alt}">{caption}</figure></div>'
    )


def _frame_html(frame: Frame, index: int, is_current: bool) -> str:
    size = grid(frame.height, frame.width)
    image = f'<img src="{frame.thumbnail}" alt="Scale {index + 1}">'
    if not frame.thumbnail:
        image = _token_grid(frame.height, frame.width)
    state = "current" if is_current else "drawn" if frame.seconds is not None else "ahead"
    time = duration(frame.seconds) if frame.seconds is not None else "–"
    return (
        f'<li class="{state}"><div class="thumb">{image}</div>'
        f"<b>{size}</b><span>{frame.bits:,} bits</span><span>{time}</span></li>"
    )


def _token_grid(height: int, width: int) -> str:
    """A scale that has no picture yet: its tokens as lines, or a plain box where they are too many."""
    longest = max(height, width)
    if longest > MOST_GRID_LINES:
        return ""
    return (
        f'<i style="width:{100 * width / longest:g}%;height:{100 * height / longest:g}%;'
        f'background-size:{100 / width:g}% {100 / height:g}%"></i>'
    )


def _pyramid() -> str:
    """Four grids from one square to 8 x 8, drawn with lines: the empty stage."""
    shapes = []
    for position, cells in enumerate((1, 2, 4, 8)):
        left, step = 10 + 74 * position, 64 / cells
        lines = "".join(
            f"M{left + step * i:g} 8v64M{left} {8 + step * i:g}h64" for i in range(1, cells)
        )
        shapes.append(f'<rect x="{left}" y="8" width="64" height="64" rx="4"/><path d="{lines}"/>')
    return f'<svg viewBox="0 0 306 80" aria-hidden="true">{"".join(shapes)}</svg>'


_EMPTY_STAGE = f'<div class="stage is-empty">{_pyramid()}<p>Your picture appears here and sharpens scale by scale.</p></div>'
_EMPTY_STRIP = '<section class="strip is-empty" aria-label="Scales"></section>'
