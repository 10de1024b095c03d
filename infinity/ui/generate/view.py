"""What the Generate tab shows of a run: pure functions from pipeline events to a view, and from a
view to the stage and the timeline under it, one component that the browser draws from plain data.

Scrubbing needs no answer from the server: every scale's pictures are in the component's value, and
what a scale added is their difference, taken in the browser.
"""

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

import gradio as gr
from PIL import Image

from infinity.events import Cancelled, Done, Event, Preview, Refined
from infinity.spec import ModelSpec
from infinity.ui.shared import status
from infinity.ui.shared.files import FinishedRun, address, data_uri
from infinity.ui.shared.status import Status, duration

LOSSLESS_PIXELS = 64
"""Previews up to this side are sent as PNG; larger ones as JPEG, which is quicker to write and send."""
PREVIEW_PIXELS = 768
"""The longer side of a preview alone on the stage; several share it."""
WORTH_SAYING_SECONDS = 2.0
"""Less time left than this is not shown: it would be over before it is read."""
MOST_ALT_CHARACTERS = 300
UNFINISHED = "What is shown is a preview, not a finished picture."
NOTHING = "Your picture appears here and sharpens scale by scale."
_SCRIPT = Path(__file__).with_name("viewer.js")


@dataclass(frozen=True)
class Frame:
    """One scale in the timeline: its bits, and once it is drawn its time and the pictures so far,
    one each, as addresses; ``is_exact`` unless they are rough previews."""

    height: int
    width: int
    bits: int
    seconds: float | None = None
    pictures: tuple[str, ...] = ()
    is_exact: bool = False

    @property
    def tokens(self) -> int:
        return self.height * self.width


@dataclass(frozen=True)
class View:
    """All that the page shows of one run; ``run`` tells one from the next, ``prompts`` has one a
    picture."""

    status: Status
    prompts: tuple[str, ...] = ()
    run: str = ""
    frames: tuple[Frame, ...] = ()
    finished: FinishedRun | None = None


def idle(spec: ModelSpec, aspect_ratio: str = "") -> View:
    """Before the first run: the scales to come, of the model's default aspect ratio where it has none
    of the given name."""
    said = Status("idle", "Describe a picture and press Enter.")
    if aspect_ratio not in spec.schedules:
        aspect_ratio = spec.aspect_ratios[0]
    return View(said, frames=_frames(spec, aspect_ratio))


def waiting(prompts: tuple[str, ...] = (), run: str = "") -> View:
    """Checked and in line, nothing computed yet."""
    return View(status.waiting(), prompts, run)


def opened(view: View, spec: ModelSpec, aspect_ratio: str) -> View:
    """The model is there: the strip shows every scale to come.

    Raises:
        RequestError: an aspect ratio the model does not have.
    """
    frames = _frames(spec, aspect_ratio)
    said = Status("painting", f"Scale 1 of {len(frames)} · reading the prompt")
    return replace(view, status=said, frames=frames)


def stopped(view: View, completed_scales: int) -> View:
    """Ended on request; what was drawn so far stays."""
    after = f" after scale {completed_scales} of {len(view.frames)}" if completed_scales else ""
    notes = (UNFINISHED,) if completed_scales else ()
    return replace(view, status=Status("stopped", f"Stopped{after}.", notes=notes))


def after(view: View, event: Event, run: FinishedRun | None = None) -> View:
    """The view after one pipeline event.

    Args:
        run: what a ``Done`` was saved as, its pictures now files that carry the request.
    """
    match event:
        case Preview():
            frame = Frame(
                event.height,
                event.width,
                event.bits,
                event.seconds,
                _addresses(event.images or ()),
                event.is_exact,
            )
            view = _with_frame(view, event.index, frame)
            return replace(view, status=_painting(view.frames, event))
        case Refined():
            exact = replace(
                view.frames[event.index], pictures=_addresses(event.images), is_exact=True
            )
            return _with_frame(view, event.index, exact)
        case Done():
            assert run is not None, "finished pictures are saved before they are shown"
            count = f"{len(run.files)} pictures" if len(run.files) > 1 else "Picture"
            said = f"{count} finished in {duration(event.seconds)}"
            return replace(view, status=Status("done", said, 1.0, event.notes), finished=run)
        case Cancelled():
            return stopped(view, event.completed_scales)


def build_viewer(view: View, prefix: str = "", nothing: str = NOTHING) -> gr.HTML:
    """The component, in the current column.

    Args:
        prefix: of the ids inside; each viewer of a page has its own.
        nothing: what the stage says before there is a picture.
    """
    return gr.HTML(
        viewer_value(view),
        html_template=_TEMPLATE.replace("PREFIX", prefix).replace("NOTHING", nothing),
        js_on_load=_SCRIPT.read_text(encoding="utf-8"),
        apply_default_css=False,
        elem_id=f"{prefix}viewer",
    )


def viewer_value(view: View) -> dict[str, Any]:
    """All that the browser needs to draw a view: numbers as text, pictures as addresses."""
    frames, run = view.frames, view.finished
    bits = sum(frame.bits for frame in frames)
    facts = [f"{len(frames)} scales", f"{sum(f.tokens for f in frames):,} tokens", f"{bits:,} bits"]
    if run is not None:
        facts.append(duration(run.seconds))
    ahead = [i for i, frame in enumerate(frames) if frame.seconds is None]
    return {
        "run": view.run,
        "prompts": [prompt[:MOST_ALT_CHARACTERS] for prompt in view.prompts],
        "aspect": frames[-1].width / frames[-1].height if frames else 1.0,
        "unfinished": run is None and view.status.phase in ("stopped", "failed"),
        "current": ahead[0] if view.status.phase == "painting" and ahead else -1,
        "facts": " · ".join(facts) if frames else "",
        "wide": per_row(len(frames), 9),
        "narrow": per_row(len(frames), 5),
        "frames": [
            {
                "height": frame.height,
                "width": frame.width,
                "tokens": f"{frame.tokens:,}",
                "bits": f"{frame.bits:,}",
                "time": "" if frame.seconds is None else duration(frame.seconds),
                "exact": frame.is_exact,
                "pictures": list(frame.pictures),
            }
            for frame in frames
        ],
        "pictures": [
            {"source": address(path), "download": path.name, "seed": seed, "caption": caption or ""}
            for path, seed, caption in zip_longest(run.files, run.request.seeds, run.captions)
        ]
        if run is not None
        else [],
    }


def per_row(count: int, most: int) -> int:
    """How many go in a row, at most ``most``, so that the rows come out nearly even."""
    rows = -(-count // most)
    return -(-count // rows)


def preview_uri(image: Image.Image, pixels: int = PREVIEW_PIXELS) -> str:
    """The picture, at most ``pixels`` a side, as an address: previews never become files."""
    shown = image.convert("RGB")
    shown.thumbnail((pixels, pixels), Image.Resampling.BOX)
    buffer = io.BytesIO()
    kind = "png" if max(shown.size) <= LOSSLESS_PIXELS else "jpeg"
    shown.save(buffer, kind, compress_level=1, quality=88)
    return data_uri(buffer.getvalue(), kind)


def _painting(frames: tuple[Frame, ...], event: Preview) -> Status:
    """A scale is finished; the progress is counted in tokens."""
    done, ahead = frames[: event.index + 1], frames[event.index + 1 :]
    fraction = sum(f.tokens for f in done) / sum(f.tokens for f in frames)
    left = _seconds_left(done, ahead)
    rough = f"{left:.0f} s" if left < 59.5 else duration(left)
    more = f" · about {rough} left" if left >= WORTH_SAYING_SECONDS else ""
    size = f"{event.width} × {event.height}"
    said = f"Scale {event.index + 1} of {event.num_scales} · {size} tokens{more}"
    return Status("painting", said, fraction)


def _seconds_left(done: Sequence[Frame], ahead: Sequence[Frame]) -> float:
    """What the scales to come will take, between two guesses: that all time goes by tokens, which is far
    too much at first, as a scale takes some however small it is; and that every scale takes what the
    quickest did and the rest goes by tokens, which is too little, as later tokens look at more."""
    spent, quickest = sum(f.seconds or 0.0 for f in done), min(f.seconds or 0.0 for f in done)
    growth = sum(f.tokens for f in ahead) / sum(f.tokens for f in done)
    too_little = quickest * len(ahead) + (spent - quickest * len(done)) * growth
    return math.sqrt(spent * growth * too_little)


def _frames(spec: ModelSpec, aspect_ratio: str) -> tuple[Frame, ...]:
    bits = spec.tokenizer.bits_per_token
    return tuple(Frame(s.height, s.width, s.tokens * bits) for s in spec.schedule(aspect_ratio))


def _with_frame(view: View, index: int, frame: Frame) -> View:
    return replace(view, frames=(*view.frames[:index], frame, *view.frames[index + 1 :]))


def _addresses(images: tuple[Image.Image, ...]) -> tuple[str, ...]:
    """Several pictures share the stage, so each is sent smaller."""
    columns = math.ceil(math.sqrt(len(images)))
    return tuple(preview_uri(image, PREVIEW_PIXELS // columns) for image in images)


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


_HEAT = """
<svg class="heat" width="0" height="0" aria-hidden="true"><filter id="PREFIXheat"
color-interpolation-filters="sRGB"><feColorMatrix values="1.6 1.6 1.6 0 0 1.6 1.6 1.6 0 0 1.6 1.6 1.6 0 0 0 0 0 1 0"/>
<feComponentTransfer><feFuncR type="table" tableValues="0 .34 .73 .97 .99"/>
<feFuncG type="table" tableValues="0 .06 .21 .55 1"/>
<feFuncB type="table" tableValues=".02 .43 .33 .04 .64"/></feComponentTransfer></filter></svg>
"""
_TEMPLATE = f"""
<div id="PREFIXstage" class="stage is-empty" role="group" aria-label="Pictures"><div class="nothing">{_pyramid()}
<p>NOTHING</p></div></div>
<section id="PREFIXstrip" class="strip" aria-label="Timeline of the scales">
<header><h2>Scale by scale</h2><p></p></header>
<div class="scrub">
<button type="button" class="play" aria-label="Play the scales"></button>
<input type="range" min="1" max="1" step="1" aria-label="Scale shown">
<div class="looks" role="group" aria-label="What is shown"><button type="button">Picture so far</button>
<button type="button">What it added</button></div>
</div>
<p class="fact"></p>
<ol></ol>
<p class="growth">Growth <button type="button" data-kind="webp" aria-label="Download the growth as WebP">WebP</button>
<button type="button" data-kind="gif" aria-label="Download the growth as GIF">GIF</button>
<button type="button" data-kind="mp4" aria-label="Download the growth as MP4">MP4</button></p>
</section>{_HEAT}
"""
