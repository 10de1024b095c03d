"""What the Generate tab shows of a run: pure functions from pipeline events to a view.

Nothing here touches a disk, a model or a component.
"""

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from PIL import Image

from infinity.events import Done, Event, Preview, Refined
from infinity.spec import ModelSpec
from infinity.ui.shared import status
from infinity.ui.shared.files import FinishedRun, address, data_uri
from infinity.ui.shared.status import Phase, Status, duration

LOSSLESS_PIXELS = 64
"""Previews up to this side are sent as PNG; larger ones as JPEG, which is quicker to write and send."""
PREVIEW_PIXELS = 768
"""The longer side of a preview alone on the stage; several share it."""
WORTH_SAYING_SECONDS = 2.0
"""Less time left than this is not shown: it would be over before it is read."""


@dataclass(frozen=True)
class Frame:
    """One scale in the timeline: its size in tokens, its bits, and once it is drawn its time and the
    pictures so far, one each, as addresses; ``is_exact`` unless they are rough previews."""

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
class PictureFile:
    """A finished picture: the address of its file, the file's name, and its seed."""

    source: str
    download: str
    seed: int


@dataclass(frozen=True)
class View:
    """All that the page shows of one run; ``run`` tells one from the next, ``prompts`` has one a
    picture."""

    phase: Phase = "idle"
    message: str = "Describe a picture and press Enter."
    fraction: float = 0.0
    prompts: tuple[str, ...] = ()
    frames: tuple[Frame, ...] = ()
    pictures: tuple[PictureFile, ...] = ()
    seconds: float | None = None
    notes: tuple[str, ...] = ()
    finished: FinishedRun | None = None
    run: str = ""

    @property
    def status(self) -> Status:
        return Status(self.phase, self.message, self.fraction, self.notes)


def idle(spec: ModelSpec) -> View:
    """Before the first run: the scales to come of the model's default aspect ratio."""
    return View(frames=_frames(spec, spec.aspect_ratios[0]))


def waiting(prompts: tuple[str, ...] = (), before: int = 0, run: str = "") -> View:
    """Checked and in line behind ``before`` others, nothing computed yet."""
    return View("waiting", status.waiting(before).message, prompts=prompts, run=run)


def loading(view: View, what: str, fraction: float | None = None) -> View:
    """A model is being fetched or read; ``fraction`` in [0, 1] where it is known."""
    said = status.loading(what, fraction)
    return replace(view, phase="loading", message=said.message, fraction=said.fraction)


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
    frame = Frame(
        event.height,
        event.width,
        event.bits,
        event.seconds,
        _addresses(event.images or ()),
        event.is_exact,
    )
    frames = (*view.frames[: event.index], frame, *view.frames[event.index + 1 :])
    fraction = sum(f.tokens for f in frames[: event.index + 1]) / sum(f.tokens for f in frames)
    spent = sum(f.seconds or 0.0 for f in frames)
    left = spent * (1 - fraction) / fraction
    rough = f"{left:.0f} s" if left < 59.5 else duration(left)
    more = f" · about {rough} left" if left >= WORTH_SAYING_SECONDS else ""
    size = grid(event.height, event.width)
    return replace(
        view,
        phase="painting",
        message=f"Scale {event.index + 1} of {event.num_scales} · {size} tokens{more}",
        fraction=fraction,
        frames=frames,
    )


def refined(view: View, event: Refined) -> View:
    """A scale that had rough previews has its exact pictures."""
    before = view.frames[event.index]
    frame = replace(before, pictures=_addresses(event.images), is_exact=True)
    return replace(
        view, frames=(*view.frames[: event.index], frame, *view.frames[event.index + 1 :])
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
            PictureFile(address(path), path.name, seed)
            for path, seed in zip(run.files, run.request.seeds, strict=True)
        ),
        seconds=event.seconds,
        notes=event.notes,
        finished=run,
    )


def stopped(view: View, completed_scales: int) -> View:
    """Ended on request; what was drawn so far stays."""
    after = f" after scale {completed_scales} of {len(view.frames)}" if completed_scales else ""
    return replace(view, phase="stopped", message=f"Stopped{after}.", fraction=0.0)


def after(view: View, event: Event, run: FinishedRun | None = None) -> View:
    """The view after one pipeline event; ``run`` is what a ``Done`` was saved as."""
    if isinstance(event, Preview):
        return previewed(view, event)
    if isinstance(event, Done):
        assert run is not None, "finished pictures are saved before they are shown"
        return finished(view, event, run)
    if isinstance(event, Refined):
        return refined(view, event)
    return stopped(view, event.completed_scales)


def per_row(count: int, most: int) -> int:
    """How many go in a row, at most ``most``, so that the rows come out nearly even."""
    rows = -(-count // most)
    return -(-count // rows)


def grid(height: int, width: int) -> str:
    return f"{width} × {height}"


def preview_uri(image: Image.Image) -> str:
    """The picture inside its own address: previews never become files."""
    buffer = io.BytesIO()
    kind = "png" if max(image.size) <= LOSSLESS_PIXELS else "jpeg"
    image.convert("RGB").save(buffer, kind, compress_level=1, quality=88)
    return data_uri(buffer.getvalue(), kind)


def _frames(spec: ModelSpec, aspect_ratio: str) -> tuple[Frame, ...]:
    bits = spec.tokenizer.bits_per_token
    return tuple(Frame(s.height, s.width, s.tokens * bits) for s in spec.schedule(aspect_ratio))


def _addresses(images: Sequence[Image.Image]) -> tuple[str, ...]:
    """Several pictures share the stage, so each is sent smaller."""
    columns = math.ceil(math.sqrt(len(images)))
    return tuple(preview_uri(_fitting(image, PREVIEW_PIXELS // columns)) for image in images)


def _fitting(image: Image.Image, pixels: int) -> Image.Image:
    if max(image.size) <= pixels:
        return image
    copy = image.copy()
    copy.thumbnail((pixels, pixels), Image.Resampling.BOX)
    return copy
