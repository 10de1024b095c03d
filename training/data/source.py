"""Any kind of data behind one face: so many records by number, sorted into aspect ratios."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self, TypeAlias

import numpy as np

from infinity.schedule import ScaleSchedule, heights_over_widths
from training.config.sections import WorldSettings
from training.config.settings import DataSettings, TrainingConfig
from training.data.catalog import Catalog
from training.data.errors import DataError, SkipReport
from training.data.formats import detect, open_catalog
from training.data.plan import BatchPlan
from training.data.records import Record
from training.data.shards import PreparedSource
from training.data.world import ENDLESS, StagedWorld, WorldSource

Part: TypeAlias = "Catalog | PreparedSource | WorldSource | StagedWorld"
"""The records of one source."""
Members: TypeAlias = "np.ndarray | range"
"""Numbers of the records of a bucket."""
Buckets: TypeAlias = "Mapping[str, Members]"
"""Aspect ratio -> its records."""

_SPLIT, _CHOICE = 1, 2  # keep the draws of one purpose apart from the other's


@dataclass(frozen=True)
class Source:
    """All records to train from.

    Attributes:
        parts: one a source, in the order of the settings.
        buckets: the numbers of each aspect ratio's records.
        report: what was skipped while the sources were listed.
        formats: of each part.
        repeats: (records,) times each record comes up in a pass; None: once.
    """

    parts: tuple[Part, ...]
    buckets: Buckets
    report: SkipReport
    formats: tuple[str, ...]
    repeats: np.ndarray | None = None

    def __len__(self) -> int:
        return sum(len(part) for part in self.parts)

    @property
    def sizes(self) -> dict[str, int]:
        """Records a bucket."""
        return {ratio: len(members) for ratio, members in self.buckets.items()}

    @property
    def endless(self) -> bool:
        return len(self) >= ENDLESS

    @property
    def fingerprint(self) -> str:
        """Changes when a record is added, removed or captioned anew."""
        return hashlib.sha256("".join(part.fingerprint for part in self.parts).encode()).hexdigest()

    def split(self, share: float) -> tuple[Self, Self]:
        """(trained on, held out): a random ``share`` of each aspect ratio is held out.

        It depends on the records alone, not on a run's seed, so that what one run is tested on the
        next one, which goes on from it, is not trained on either.

        Raises:
            DataError: the share is less than one picture.
        """
        counts = {r: min(round(n * share), max(0, n - 1)) for r, n in self.sizes.items()}
        if not any(counts.values()):
            raise DataError(
                f"data.held_out {share:g} of {len(self)} pictures is none; raise it, or name pictures "
                "in data.held_out_sources."
            )
        held_out, trained = self._drawn(counts, _SPLIT)
        return trained, held_out

    def few(self, samples: int) -> Self:
        """About ``samples`` records, of each aspect ratio in proportion, at least one where there is any."""
        total = sum(self.sizes.values())
        if total <= samples:
            return self
        counts = {r: min(n, max(1, n * samples // total)) for r, n in self.sizes.items()}
        return self._drawn(counts, _CHOICE)[0]

    def _drawn(self, counts: Mapping[str, int], purpose: int) -> tuple[Self, Self]:
        """So many records of each aspect ratio, drawn at random, and the others; both in their order."""
        drawn: dict[str, Members] = {}
        others: dict[str, Members] = {}
        for number, (ratio, members) in enumerate(self.buckets.items()):
            size, records = len(members), np.asarray(members)
            order = np.random.default_rng((purpose, number, size)).permutation(size)
            drawn[ratio] = records[np.sort(order[: counts[ratio]])]
            others[ratio] = records[np.sort(order[counts[ratio] :])]
        return replace(self, buckets=drawn), replace(self, buckets=others)

    def record(self, index: int) -> Record:
        """The record with this number, 0 to ``len``."""
        for part in self.parts:
            if index < len(part):
                return part.record(index)
            index -= len(part)
        raise IndexError(index)


def open_source(
    settings: DataSettings,
    schedules: Mapping[str, ScaleSchedule] | None = None,
    *,
    token_pixels: int = 16,
    seed: int = 0,
) -> Source:
    """Lists what settings name, without decoding any picture.

    Args:
        schedules: aspect ratios to sort into; None: those of the settings.
        token_pixels: side of a token, for the emoji world, which draws what is asked for.
        seed: of its new pictures.

    Raises:
        DataError: nothing to train from, unreadable sources, or too many unusable records.
        ResourceError: shards that cannot be fetched.
    """
    schedules = settings.schedules_to_train() if schedules is None else schedules
    if not schedules:
        raise DataError("The size of the pictures is missing; set data.resolution.")
    if not settings.sources:
        raise DataError("There is no data to train from; name it with data.sources.")
    formats = tuple(detect(source, settings.format) for source in settings.sources)
    if "world" in formats:
        if len(formats) > 1:
            raise DataError("The emoji world is endless; it cannot be mixed with other sources.")
        return _open_world(settings, schedules, token_pixels, seed)
    if "prepared" in formats and set(formats) != {"prepared"}:
        raise DataError("Prepared data cannot be mixed with pictures; prepare all of it.")
    parts = [
        PreparedSource(Path(source))
        if format == "prepared"
        else open_catalog(source, format, settings)
        for source, format in zip(settings.sources, formats, strict=True)
    ]
    report = SkipReport()
    for part in parts:
        report.merge(part.report)
    report.require(settings.skip_tolerance, complete=True)
    if not any(map(len, parts)):
        told = "; ".join(map(str.strip, report.lines()))
        raise DataError(f"{', '.join(settings.sources)} has nothing that can be used: {told}.")
    targets = heights_over_widths(schedules)
    names = np.concatenate([part.aspect_ratios(targets) for part in parts])
    buckets = {ratio: np.flatnonzero(names == ratio) for ratio in schedules}
    often = settings.repeats or (1,) * len(parts)
    each = np.concatenate([part.repeats * n for part, n in zip(parts, often, strict=True)])
    return Source(tuple(parts), buckets, report, formats, each if each.max() > 1 else None)


def _open_world(
    settings: DataSettings, schedules: Mapping[str, ScaleSchedule], token_pixels: int, seed: int
) -> Source:
    """The emoji world, drawn in every aspect ratio: the squarest first."""
    sizes = {ratio: schedule.image_size(token_pixels) for ratio, schedule in schedules.items()}
    parts: list[Part] = []
    buckets: dict[str, Members] = {}
    for ratio in sorted(sizes, key=lambda ratio: max(sizes[ratio]) / min(sizes[ratio])):
        height, width = sizes[ratio]
        world: WorldSource | StagedWorld = WorldSource(settings.sources[0], (width, height), seed)
        if settings.world.curriculum:
            world = StagedWorld(settings.sources[0], settings.world, (width, height), seed, ratio)
        first = sum(map(len, parts))
        parts.append(world)
        buckets[ratio] = range(first, first + len(world))
    return Source(tuple(parts), buckets, SkipReport(), ("world",) * len(parts))


def open_data(config: TrainingConfig) -> tuple[Source, BatchPlan]:
    """The configured sources, without what is held out, and the plan of their batches. Raises as
    :func:`open_source`."""
    source = _opened(config, config.data)
    if config.data.held_out and not source.endless:
        source = source.split(config.data.held_out)[0]
    if (times := source.repeats) is not None:
        buckets = {r: np.repeat(each, times[each]) for r, each in source.buckets.items()}
        source = replace(source, buckets=buckets)
    shuffle = config.data.shuffle and not source.endless
    plan = BatchPlan(
        source.sizes,
        config.optimization.batch_size,
        config.seed,
        shuffle=shuffle,
        endless=source.endless,
    )
    return source, plan


def open_held_out(config: TrainingConfig) -> Source:
    """The pictures a run is tested on, at most about ``logging.validation_samples`` of them.

    Of a world, which is endless, they are its last ones; no run gets that far.

    Raises:
        DataError: see :func:`open_source`; nothing is held out.
    """
    data, samples = config.data, config.logging.validation_samples
    if data.held_out_sources:
        data = data.model_copy(update={"sources": data.held_out_sources, "repeats": ()})
    source = _opened(config, data.model_copy(update={"world": WorldSettings()}))
    if source.endless:
        each = max(1, samples // len(source.buckets))
        last = {ratio: members[-each:] for ratio, members in source.buckets.items()}
        return replace(source, buckets=last)
    if config.data.held_out:
        source = source.split(config.data.held_out)[1]
    return source.few(samples)


def _opened(config: TrainingConfig, settings: DataSettings) -> Source:
    """The sources of some settings, all checked against the run."""
    if config.task == "tokenizer":
        settings = settings.model_copy(update={"captions": False})
    pixels = config.tokenizer.model.token_pixels
    source = open_source(settings, config.schedules, token_pixels=pixels, seed=config.seed)
    for part in source.parts:
        if not isinstance(part, Catalog):
            part.check(config)
    missing = len(source) - sum(source.sizes.values())
    if missing:
        raise DataError(
            f"{missing} prepared samples have aspect ratios that are not trained; prepare the data "
            "for this resolution, or train all of its aspect ratios."
        )
    return source
