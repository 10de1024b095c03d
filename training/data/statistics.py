"""What a data set is like: how many pictures of which shapes, how long their captions are; told and drawn."""

import copy
import hashlib
import os
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from tqdm import tqdm

from infinity.images import rgb
from infinity.text import TextTokenizer
from training.config import TrainingConfig
from training.data.errors import UNREADABLE, Skip, SkipReport, made_or_skip
from training.data.records import Record
from training.data.source import Source

WORLD_SAMPLES = 1000
"""Pictures looked at of the endless emoji world."""

_CHUNK, _BINS = 512, 40


@dataclass(kw_only=True)
class Statistics:
    """Of the usable records.

    Attributes:
        formats: of the sources.
        report: what was skipped, while listing and while decoding.
        buckets: records an aspect ratio.
        unit, count: of the captions' lengths, "words" or "tokens", and how they are counted.
        limit: most tokens that are read of a caption, or None.
        heights, widths: pixels of each picture whose size is known, upright.
        lengths: of each caption, in ``unit``.
        captions: the different ones, as digests.
        enlarged: pictures smaller than the size they are trained at.
    """

    formats: tuple[str, ...]
    report: SkipReport
    buckets: Counter[str]
    unit: str = "words"
    limit: int | None = None
    count: Callable[[str], int] = lambda text: len(text.split())
    heights: list[int] = field(default_factory=list)
    widths: list[int] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)
    captions: set[bytes] = field(default_factory=set)
    enlarged: int = 0

    @property
    def records(self) -> int:
        return self.buckets.total()

    def add(self, ratio: str, record: Record, size: tuple[int, int]) -> None:
        """Count one usable record, to be trained at ``size`` (height, width), zeros where it is not known."""
        self.buckets[ratio] += 1
        if record.height:
            self.heights.append(record.height)
            self.widths.append(record.width)
            self.enlarged += record.height < size[0] or record.width < size[1]
        texts = record.captions.all
        self.lengths += map(self.count, texts)
        self.captions.update(hashlib.md5(text.encode()).digest() for text in texts)

    def lines(self) -> list[str]:
        """In plain words."""
        kinds = ", ".join(dict.fromkeys(self.formats))
        filled = ", ".join(f"{ratio}: {size}" for ratio, size in self.buckets.items() if size)
        cut = sum(length > self.limit for length in self.lengths) if self.limit is not None else 0
        different = f"{len(self.lengths)}, {len(self.captions)} different"
        lines = {
            f"height {_spread(self.heights)} pixels": self.heights,
            f"width {_spread(self.widths)} pixels": self.widths,
            f"{self.enlarged} pictures are smaller than the size they are trained at": self.enlarged,
            f"aspect ratios: {filled}": True,
            f"captions: {different}, {_spread(self.lengths)} {self.unit}": self.lengths,
            f"{cut} captions are longer than the {self.limit} tokens that are read": cut,
        }
        told = [line for line, worth_telling in lines.items() if worth_telling]
        return [f"{self.records} usable records ({kinds})", *self.report.lines(), *told]

    def to_dict(self) -> dict[str, Any]:
        """The figures, for a JSON file."""
        return {
            "formats": list(self.formats),
            "records": self.records,
            "skipped": dict(self.report.counts),
            "aspect_ratios": dict(self.buckets),
            "height": _figures(self.heights),
            "width": _figures(self.widths),
            "enlarged": self.enlarged,
            "captions": len(self.lengths),
            "different_captions": len(self.captions),
            f"caption_{self.unit}": _figures(self.lengths),
        }

    def plot(self, path: Path) -> None:
        """Aspect ratios, picture sizes, caption lengths and skipped records; a PNG file."""
        figure = Figure(figsize=(10, 7), layout="tight")
        (ratios, sizes), (captions, records) = figure.subplots(2, 2)
        filled = {ratio: size for ratio, size in self.buckets.items() if size}
        ratios.bar(range(len(filled)), list(filled.values()), tick_label=list(filled))
        ratios.set(title="aspect ratios (width:height)", ylabel="pictures")
        sizes.scatter(self.widths, self.heights, s=6, alpha=0.4, linewidths=0)
        sizes.set(title="picture sizes", xlabel="width in pixels", ylabel="height in pixels")
        if self.lengths:
            longest = max(self.lengths)
            width = -(-(longest + 1) // _BINS)
            captions.hist(self.lengths, bins=range(0, longest + width + 1, width))
        if self.limit is not None:
            captions.axvline(self.limit, color="tab:red", label="most that are read")
            captions.legend()
        captions.set(title="caption lengths", xlabel=self.unit, ylabel="captions")
        counts = {"usable": self.records, **self.report.counts}
        records.bar_label(records.barh(list(counts), list(counts.values())), padding=3)
        records.margins(x=0.15)
        records.set(title="records")
        for panel in (ratios, sizes, captions, records):
            panel.grid(alpha=0.3)
        FigureCanvasAgg(figure).print_png(path)


def examine(
    source: Source, config: TrainingConfig | None = None, *, decode: bool = True
) -> Statistics:
    """Reads every record, and decodes its picture in full.

    Args:
        config: of the run that the data is for. Captions are counted in tokens where its text
            tokenizer is at hand, else in words.
        decode: False believes the heads of the picture files.
    """
    found = Statistics(
        formats=source.formats,
        report=copy.deepcopy(source.report),
        buckets=Counter(dict.fromkeys(source.buckets, 0)),
    )
    total = len(source)
    if source.endless:
        total = found.report.seen = WORLD_SAMPLES
    sizes: dict[str, tuple[int, int]] = {}
    if config is not None:
        sizes = {ratio: config.image_size(ratio) for ratio in config.schedules}
        found.limit = config.text_encoder.max_length
        folder = config.text_encoder.source
        if folder is not None and Path(folder).is_dir():
            tokenizer = TextTokenizer(Path(folder))
            found.unit, found.count = "tokens", lambda text: len(tokenizer(text)[0])
    numbers = ((ratio, int(each)) for ratio, members in source.buckets.items() for each in members)
    numbers = islice(numbers, total)
    with (
        ThreadPoolExecutor(os.cpu_count()) as pool,
        tqdm(total=total, desc="checking", unit=" records", delay=2) as bar,
    ):
        while chunk := [(ratio, source.record(i)) for ratio, i in islice(numbers, _CHUNK)]:
            skips = pool.map(lambda item: _skip(item[1]) if decode else None, chunk)
            for (ratio, record), skip in zip(chunk, skips, strict=True):
                if skip is None:
                    found.add(ratio, record, sizes.get(ratio, (0, 0)))
                else:
                    found.report.add(0, [skip])
            bar.update(len(chunk))
    return found


def _skip(record: Record) -> Skip | None:
    """Of a picture that cannot be decoded."""
    load = record.load
    decoded = None if load is None else made_or_skip(record.key, lambda: rgb(load()), UNREADABLE)
    return decoded if isinstance(decoded, Skip) else None


def _figures(values: Sequence[int]) -> dict[str, float]:
    if not values:
        return {}
    names, shares = ("least", "p5", "median", "p95", "most"), (0, 5, 50, 95, 100)
    return dict(zip(names, np.percentile(values, shares).tolist(), strict=True))


def _spread(values: Sequence[int]) -> str:
    least, p5, median, p95, most = _figures(values or [0]).values()
    return f"{least:.10g} to {most:.10g} (median {median:g}, 90% within {p5:g} to {p95:g})"
