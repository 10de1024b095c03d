"""What was skipped and why: counts by reason and the first examples, as a few lines."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field

from training.data.errors import DataError
from training.data.records import Skip, SkipReason

logger = logging.getLogger(__name__)

EXAMPLES = 5
_ENOUGH = 100  # records seen before a share of them says something


@dataclass
class SkipReport:
    """Counts of unusable records.

    Attributes:
        seen: records looked at, the skipped ones among them.
        counts: how many were skipped, by reason.
        examples: the first skips of each reason.
    """

    seen: int = 0
    counts: dict[SkipReason, int] = field(default_factory=dict)
    examples: dict[SkipReason, list[Skip]] = field(default_factory=dict)

    @property
    def skipped(self) -> int:
        return sum(self.counts.values())

    def add(self, seen: int, skips: Iterable[Skip]) -> None:
        """Note ``seen`` more records, of which ``skips`` could not be used."""
        self.seen += seen
        for skip in skips:
            self.counts[skip.reason] = self.counts.get(skip.reason, 0) + 1
            examples = self.examples.setdefault(skip.reason, [])
            if len(examples) < EXAMPLES:
                examples.append(skip)
                logger.warning("skipped, %s: %s", skip.reason, skip)

    def merge(self, other: SkipReport) -> None:
        """Add another report's counts and examples to this one's."""
        self.seen += other.seen
        for reason, count in other.counts.items():
            self.counts[reason] = self.counts.get(reason, 0) + count
            merged = self.examples.setdefault(reason, []) + other.examples[reason]
            self.examples[reason] = merged[:EXAMPLES]

    def lines(self) -> list[str]:
        """The report in plain words, the summary first."""
        if not self.skipped:
            return [f"{self.seen} records read, none skipped"]
        lines = [f"{self.seen} records read, {self.skipped} skipped"]
        for reason, count in sorted(self.counts.items(), key=lambda item: -item[1]):
            lines.append(f"  {reason}: {count}")
            lines += [f"    {skip}" for skip in self.examples[reason]]
            if count > len(self.examples[reason]):
                lines.append(f"    and {count - len(self.examples[reason])} more")
        return lines

    def require(self, tolerance: float, *, complete: bool) -> None:
        """Stops where more was skipped than ``tolerance`` (a share) allows.

        Args:
            complete: all records were looked at; otherwise nothing is concluded from few of them.

        Raises:
            DataError: with counts and the first example.
        """
        if self.skipped <= tolerance * self.seen or not (complete or self.seen >= _ENOUGH):
            return
        raise DataError(
            f"{self.skipped} of {self.seen} records cannot be used ({self.counted()}), more than the "
            f"{tolerance:.0%} of data.skip_tolerance; look at them with python -m training.prepare, or "
            "raise the tolerance."
        )

    def counted(self) -> str:
        """How many of each kind, and the first; there must be one."""
        first = next(iter(self.examples.values()))[0]
        counts = ", ".join(f"{count} {reason}" for reason, count in self.counts.items())
        return f"{counts}; first: {str(first).rstrip('.')}"
