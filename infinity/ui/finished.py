"""A run whose pictures are done, as the other tabs get it from the Generate tab."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from infinity.events import Done
from infinity.request import GenerationRequest
from infinity.ui.files import save_pictures


@dataclass(frozen=True, kw_only=True)
class FinishedRun:
    """What was drawn, with what, and where it lies.

    Attributes:
        model: the name the manager knows it by.
        request: every setting spelled out; ``request.seeds[i]`` is the seed of ``files[i]``.
        files: PNGs the page may serve, each carrying its own record; deleted after a day.
        seconds: the whole run took.
        when: the end of the run, in seconds since 1970.
    """

    model: str
    request: GenerationRequest
    files: tuple[Path, ...]
    seconds: float
    when: float

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready, for the browser's own storage."""
        return {
            "model": self.model,
            "request": self.request.to_dict(),
            "files": [str(path) for path in self.files],
            "seconds": self.seconds,
            "when": self.when,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of :meth:`to_dict`. The browser's word is not trusted: nothing says that
        ``files`` exist or were made here.

        Raises:
            RequestError: a request that is none.
            KeyError: a part is missing.
        """
        return cls(
            model=str(data["model"]),
            request=GenerationRequest.from_dict(data["request"]),
            files=tuple(Path(path) for path in data["files"]),
            seconds=float(data["seconds"]),
            when=float(data["when"]),
        )


def finish(event: Done, model: str, keep_track: Callable[[str], None]) -> FinishedRun:
    """Save a run's pictures where the page may serve them.

    Args:
        keep_track: told the path of every file written, so that old ones are cleaned up.

    Raises:
        ResourceError: they cannot be written.
    """
    paths = save_pictures(event.images, event.request.prompt, event.request.seeds)
    for path in paths:
        keep_track(str(path))
    return FinishedRun(
        model=model,
        request=event.request,
        files=tuple(paths),
        seconds=event.seconds,
        when=time.time(),
    )
