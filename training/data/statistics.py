"""What a data set is like: how many pictures of which shapes, how long their captions are."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np
from tqdm import tqdm

from infinity.errors import RequestError
from infinity.images import rgb
from training.data.errors import DataError
from training.data.records import Record, Skip
from training.data.report import SkipReport
from training.data.source import Source, skip_of

WORLD_SAMPLES = 1000
"""Pictures looked at of the endless emoji world."""

_CHUNK = 512


@dataclass(frozen=True, kw_only=True)
class Statistics:
    """Of the usable records.

    Attributes:
        formats: of the sources.
        report: what was skipped, while listing and while decoding.
        buckets: records an aspect ratio.
        heights, widths: pixels of each picture, upright; 0 where the source does not know.
        enlarged: pictures smaller than the size they are trained at.
        lengths: of each caption, in ``unit``.
        unit: "words" or "tokens".
        limit: most tokens that are read of a caption, or None.
        short: records with a short caption beside the long one.
        distinct: different captions.
    """

    formats: tuple[str, ...]
    report: SkipReport
    buckets: Mapping[str, int]
    heights: np.ndarray
    widths: np.ndarray
    enlarged: int
    lengths: np.ndarray
    unit: str
    limit: int | None
    short: int
    distinct: int

    @property
    def records(self) -> int:
        return len(self.heights)

    def lines(self) -> list[str]:
        """In plain words."""
        lines = [
            f"{self.records} usable records ({', '.join(dict.fromkeys(self.formats))})",
            *self.report.lines(),
        ]
        known = self.heights > 0
        if known.any():
            lines.append(f"height {_spread(self.heights[known])} pixels")
            lines.append(f"width {_spread(self.widths[known])} pixels")
        if self.enlarged:
            lines.append(f"{self.enlarged} pictures are smaller than the size they are trained at")
        filled = {ratio: size for ratio, size in self.buckets.items() if size}
        lines.append("aspect ratios: " + ", ".join(f"{r}: {n}" for r, n in filled.items()))
        if len(self.lengths):
            lines.append(
                f"captions: {len(self.lengths)}, {self.distinct} different, "
                f"{_spread(self.lengths)} {self.unit}"
            )
        if self.short:
            lines.append(f"{self.short} records have a short caption beside the long one")
        cut = int((self.lengths > self.limit).sum()) if self.limit is not None else 0
        if cut:
            lines.append(f"{cut} captions are longer than the {self.limit} tokens that are read")
        return lines

    def to_dict(self) -> dict[str, Any]:
        """The figures, for a JSON file."""
        known = self.heights > 0
        return {
            "formats": list(self.formats),
            "records": self.records,
            "skipped": dict(self.report.counts),
            "aspect_ratios": dict(self.buckets),
            "height": _figures(self.heights[known]),
            "width": _figures(self.widths[known]),
            "enlarged": self.enlarged,
            "captions": len(self.lengths),
            "different_captions": self.distinct,
            f"caption_{self.unit}": _figures(self.lengths),
            "with_short_caption": self.short,
        }


@dataclass
class _Tally:
    heights: list[int] = field(default_factory=list)
    widths: list[int] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)
    captions: set[bytes] = field(default_factory=set)
    buckets: Counter[str] = field(default_factory=Counter)
    short: int = 0
    enlarged: int = 0


def examine(
    source: Source,
    sizes: Mapping[str, tuple[int, int]] | None = None,
    *,
    decode: bool = True,
    count_tokens: Callable[[list[str]], list[int]] | None = None,
    limit: int | None = None,
) -> Statistics:
    """Reads every record, and decodes its picture in full.

    Args:
        sizes: (height, width) in pixels that each aspect ratio is trained at.
        decode: False believes the heads of the picture files.
        count_tokens: captions -> their tokens; None counts words.
        limit: most tokens that are read of a caption.
    """
    report = SkipReport(source.report.seen)
    report.merge(SkipReport(0, source.report.counts, source.report.examples))
    tally = _Tally()
    total = min(len(source), WORLD_SAMPLES) if source.endless else len(source)
    with (
        ThreadPoolExecutor(os.cpu_count()) as pool,
        tqdm(total=total, desc="checking", unit=" records", delay=2) as bar,
    ):
        for chunk in _chunks(source, total):
            records = [(ratio, source.record(number)) for ratio, number in chunk]
            skips = list(pool.map(lambda item: _skip(item[1], decode), records))
            report.add(0, (skip for skip in skips if skip is not None))
            usable = [item for item, skip in zip(records, skips, strict=True) if skip is None]
            _count(tally, usable, sizes, count_tokens)
            bar.update(len(chunk))
    if source.endless:
        report.seen = total
    return Statistics(
        formats=source.formats,
        report=report,
        buckets={ratio: tally.buckets[ratio] for ratio in source.buckets},
        heights=np.array(tally.heights, np.int64),
        widths=np.array(tally.widths, np.int64),
        enlarged=tally.enlarged,
        lengths=np.array(tally.lengths, np.int64),
        unit="words" if count_tokens is None else "tokens",
        limit=limit,
        short=tally.short,
        distinct=len(tally.captions),
    )


def _chunks(source: Source, total: int) -> Iterator[list[tuple[str, int]]]:
    """(aspect ratio, number) of ``total`` records, bucket after bucket."""
    numbers = (
        (ratio, int(number)) for ratio, members in source.buckets.items() for number in members
    )
    counted = islice(numbers, total)
    while chunk := list(islice(counted, _CHUNK)):
        yield chunk


def _skip(record: Record, decode: bool) -> Skip | None:
    if record.load is None or not decode:
        return None
    try:
        rgb(record.load())
    except (RequestError, DataError) as error:
        return skip_of(record.key, error)
    return None


def _count(
    tally: _Tally,
    records: list[tuple[str, Record]],
    sizes: Mapping[str, tuple[int, int]] | None,
    count_tokens: Callable[[list[str]], list[int]] | None,
) -> None:
    captions = [text for _, record in records for text in record.captions.all]
    tally.lengths += (
        [len(text.split()) for text in captions]
        if count_tokens is None or not captions
        else count_tokens(captions)
    )
    tally.captions.update(hashlib.md5(text.encode()).digest() for text in captions)
    for ratio, record in records:
        height, width = record.height or 0, record.width or 0
        tally.heights.append(height)
        tally.widths.append(width)
        tally.buckets[ratio] += 1
        tally.short += bool(record.captions.short and record.captions.long)
        if sizes is not None and height and (height < sizes[ratio][0] or width < sizes[ratio][1]):
            tally.enlarged += 1


def _figures(values: np.ndarray) -> dict[str, float]:
    if not len(values):
        return {}
    low, middle, high = np.percentile(values, (5, 50, 95)).tolist()
    return {
        "least": int(values.min()),
        "p5": low,
        "median": middle,
        "p95": high,
        "most": int(values.max()),
    }


def _spread(values: np.ndarray) -> str:
    figures = _figures(values)
    return (
        f"{figures['least']} to {figures['most']} (median {figures['median']:g}, "
        f"90% within {figures['p5']:g} to {figures['p95']:g})"
    )
