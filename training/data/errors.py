"""What is wrong with data: errors that end with one sentence, and records that are skipped and counted."""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, TypeVar

from infinity.errors import InfinityError, RequestError

logger = logging.getLogger(__name__)

SkipReason = Literal[
    "missing file", "broken picture", "empty caption", "unreadable text", "broken record"
]
EXAMPLES = 5
_ENOUGH = 100  # records seen before a share of them says something
_CONTROLS = re.compile("[\0-\x1f\x7f\u2028\u2029]")
_Made = TypeVar("_Made")


class DataError(InfinityError):
    """A source cannot be read, names what it must not, or has too little that can be used."""


class RecordError(DataError):
    """One record cannot be used; it is skipped and counted under ``reason``."""

    def __init__(self, reason: SkipReason, detail: str) -> None:
        super().__init__(detail)
        self.reason: SkipReason = reason


UNREADABLE = (RequestError, DataError)
"""What reading a record's picture raises where it is missing or broken."""


class Skip(NamedTuple):
    """A record that cannot be used, and what is wrong with which one, on one line."""

    reason: SkipReason
    text: str


def skip_of(key: str, error: InfinityError) -> Skip:
    """The skip of a record; an error that is no RecordError is about its picture."""
    reason: SkipReason = "broken picture"
    if isinstance(error, RecordError):
        reason = error.reason
    elif isinstance(error.__cause__, FileNotFoundError):
        reason = "missing file"
    key, detail = printable(key), printable(str(error))
    return Skip(reason, detail if detail.startswith(key) else f"{key}: {detail}")


def made_or_skip(
    key: str,
    make: Callable[[], _Made],
    errors: tuple[type[InfinityError], ...] = (RecordError, RequestError),
) -> _Made | Skip:
    """What ``make`` gives, or the skip of the record whose ``errors`` it raises."""
    try:
        return make()
    except errors as error:
        return skip_of(key, error)


def printable(text: str) -> str:
    """A name as it can be written anywhere, on one line: bytes that are no UTF-8 as ``\\x..``, whatever
    the locale."""
    try:
        data = text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # surrogates that stand for no byte
        data = text.encode("utf-8", "backslashreplace")
    shown = data.decode("utf-8", "backslashreplace")
    return _CONTROLS.sub(lambda match: match[0].encode("unicode_escape").decode(), shown)


@dataclass
class SkipReport:
    """Counts of unusable records.

    Attributes:
        seen: records looked at, the skipped ones among them.
        counts: how many were skipped, by reason.
        examples: the first skips of each reason.
    """

    seen: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)

    def add(self, seen: int, skips: Iterable[Skip]) -> None:
        """Note ``seen`` more records, of which ``skips`` could not be used."""
        self.seen += seen
        for reason, text in skips:
            self.counts[reason] += 1
            if self.counts[reason] <= EXAMPLES:
                self.examples.setdefault(reason, []).append(text)
                logger.warning("skipped, %s: %s", reason, text)

    def merge(self, other: SkipReport) -> None:
        """Add another report's counts and examples to this one's."""
        self.seen += other.seen
        self.counts.update(other.counts)
        for reason, examples in other.examples.items():
            self.examples[reason] = (self.examples.get(reason, []) + examples)[:EXAMPLES]

    def lines(self) -> list[str]:
        """The report in plain words, the summary first."""
        if not self.counts:
            return [f"{self.seen} records read, none skipped"]
        lines = [f"{self.seen} records read, {self.counts.total()} skipped"]
        for reason, count in self.counts.most_common():
            lines += [f"  {reason}: {count}", *(f"    {text}" for text in self.examples[reason])]
            if count > EXAMPLES:
                lines.append(f"    and {count - EXAMPLES} more")
        return lines

    def require(self, tolerance: float, *, complete: bool) -> None:
        """Stops where more was skipped than ``tolerance`` (a share) allows.

        Args:
            complete: all records were looked at; otherwise nothing is concluded from few of them.

        Raises:
            DataError: with counts and the first example.
        """
        skipped = self.counts.total()
        if skipped > tolerance * self.seen and (complete or self.seen >= _ENOUGH):
            counts = ", ".join(f"{count} {reason}" for reason, count in self.counts.items())
            first = next(iter(self.examples.values()))[0].rstrip(".")
            raise DataError(
                f"{skipped} of {self.seen} records cannot be used ({counts}; first: {first}), more "
                f"than the {tolerance:.0%} of data.skip_tolerance; look at them with python -m "
                "training.prepare, or raise the tolerance."
            )
