"""What a page says of a run or a load: how it is going, how long it took, what went wrong.

An error is one sentence, and never what is inside the program.
"""

import logging
import re
from dataclasses import dataclass
from html import escape
from typing import Literal

logger = logging.getLogger(__name__)

UNEXPECTED = "Something unexpected went wrong; the log of the program has the details."
MOST_SAID = 1000
PLACE = re.compile(r"""(?<![\w:/.])(?:/|~/|[A-Za-z]:[\\/])[^\s'",;:)\\/]+[\\/][^\s'",;:)]*""")
"""An absolute path of two parts or more, of any system; no address of the web."""

MEANT = re.compile(r"“([^”]+)” for “([^”]+)”")
"""In a note: a known word, and the one it is nearest to."""

Phase = Literal["idle", "waiting", "loading", "painting", "done", "stopped", "failed"]


@dataclass(frozen=True)
class Status:
    """What the line says; ``fraction``, in [0, 1], is how much is done."""

    phase: Phase
    message: str
    fraction: float = 0.0
    notes: tuple[str, ...] = ()

    @property
    def is_busy(self) -> bool:
        return self.phase in ("waiting", "loading", "painting")


def waiting(before: int = 0) -> Status:
    """In line behind ``before`` others."""
    place = f" · {before} before you" if before else ""
    return Status("waiting", f"Waiting for a turn{place} …")


def loading(what: str, fraction: float | None = None) -> Status:
    """A model is being fetched or read; ``fraction`` in [0, 1] where it is known."""
    share = f" · {fraction:.0%}" if fraction is not None else ""
    return Status("loading", f"{what}{share}", fraction or 0.0)


def status_html(status: Status) -> str:
    """What is happening, how far it is, what to know."""
    live = "off" if status.phase == "painting" else "polite"
    role = "alert" if status.phase == "failed" else "status"
    notes = "".join(f'<span class="note">{_note_html(note)}</span>' for note in status.notes)
    percent = round(100 * status.fraction)
    meter = (
        f'<div class="meter" role="progressbar" aria-label="Progress" aria-valuemin="0" '
        f'aria-valuemax="100" aria-valuenow="{percent}"><i style="width:{percent}%"></i></div>'
    )
    return (
        f'<div class="run-status is-{status.phase}"><p role="{role}" aria-live="{live}">'
        f'<span class="dot"></span><span class="message">{escape(status.message)}</span>{notes}</p>'
        f"{meter}</div>"
    )


def _note_html(note: str) -> str:
    """Words that may be meant are buttons, which put them into the prompt (``words.js``)."""
    button = r'“<button type="button" data-word="\2"><span>\1</span></button>” for “\2”'
    return MEANT.sub(button, escape(note))


def duration(seconds: float) -> str:
    """``0.0351`` -> "35 ms", ``2.31`` -> "2.3 s", ``71`` -> "1 min 11 s"."""
    if seconds < 0.9995:
        return f"{1000 * seconds:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    return f"{int(round(seconds) // 60)} min {round(seconds) % 60} s"


def problem_html(sentence: str) -> str:
    """A sentence about what cannot be done, set apart on the page."""
    return f'<p class="page-note is-problem" role="alert">{escape(for_visitors(sentence))}</p>'


def for_visitors(error: Exception | str) -> str:
    """An error's sentence without places of the server, nor more than ``MOST_SAID`` characters."""
    said = PLACE.sub("a file of the server", str(error))
    if said != str(error):
        logger.warning("%s", error)
    return said if len(said) <= MOST_SAID else f"{said[:MOST_SAID]} …"
