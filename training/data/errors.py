"""What unusable data ends with: one sentence that names the file and what to do."""

from typing import Literal

from infinity.errors import InfinityError

SkipReason = Literal[
    "missing file", "broken picture", "empty caption", "unreadable text", "broken record"
]


class DataError(InfinityError):
    """A source cannot be read, names what it must not, or has too little that can be used."""


class RecordError(DataError):
    """One record cannot be used; it is skipped and counted under ``reason``."""

    def __init__(self, reason: SkipReason, detail: str) -> None:
        super().__init__(detail)
        self.reason: SkipReason = reason
