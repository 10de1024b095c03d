"""A run whose pictures are done, as the other tabs get it from the tab that drew it."""

from dataclasses import dataclass
from pathlib import Path

from infinity.request import GenerationRequest


@dataclass(frozen=True)
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
