"""The errors a user can meet. Each message is one plain sentence that says what to do."""

import difflib
from collections.abc import Iterable, Sequence


class InfinityError(Exception):
    """Base of every error this package raises on purpose; entry points show it as one line."""


class RequestError(InfinityError):
    """What was asked for cannot be done: a bad prompt, seed, setting, aspect ratio or model name."""


class StoppedError(RequestError):
    """Whoever asked for it has stopped it, or went away."""

    def __init__(self) -> None:
        super().__init__(
            "The request was stopped before its pictures were finished; send it again."
        )


class CheckpointError(InfinityError):
    """A checkpoint cannot be used: missing, damaged, unsafe, or not fitting its configuration."""


class ResourceError(InfinityError):
    """The machine cannot do it now: out of memory, full disk, no network, no such device."""


MOST_QUOTED = 200


def quoted(value: object) -> str:
    """Input for an error message: at most ``MOST_QUOTED`` characters, all printable."""
    try:
        shown = ascii(value) if isinstance(value, str) and not is_unicode(value) else repr(value)
    except (ValueError, RecursionError):  # thousands of digits; lists in lists
        shown = f"a very large {type(value).__name__}"
    return shown if len(shown) <= MOST_QUOTED else f"{shown[: MOST_QUOTED - 2]} …"


def listed(names: Sequence[str]) -> str:
    """The first of many names, each of them cut, for a message."""
    shown = [name if len(name) <= 80 else f"{name[:78]} …" for name in names[:3]]
    return ", ".join([*shown, "..."] if len(names) > len(shown) else shown)


def is_unicode(text: str) -> bool:
    """Whether it can be written in UTF-8: not so for bytes that were no text."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def nearest(name: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """The known name that ``name`` was most likely meant to be; None where none is like it."""
    return next(iter(difflib.get_close_matches(name[:MOST_QUOTED], known, 1, cutoff)), None)


def suggestion(name: str, known: Iterable[str]) -> str:
    """The end of a sentence about an unknown name: the nearest that there is, else all of them."""
    near = nearest(name, known := tuple(known))
    return f"; did you mean {near!r}?" if near else f"; known: {', '.join(known) or 'none'}."
