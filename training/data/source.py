"""Any kind of data behind one face: so many records by number, sorted into aspect ratios."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeAlias

import numpy as np

from infinity.schedule import ScaleSchedule, heights_over_widths
from training.config.settings import DataSettings
from training.data.catalog import Catalog, Opener, open_catalog
from training.data.detection import detect, manifest_of
from training.data.errors import DataError
from training.data.folders import folder_entries
from training.data.held_out import Buckets
from training.data.huggingface import Table
from training.data.manifests import manifest_entries
from training.data.records import Entry, Record, Skip
from training.data.remote import file_tag, is_url
from training.data.report import SkipReport
from training.data.shards import PreparedSource
from training.data.walk import files_below
from training.data.webdataset import member, shard_entries, shard_names
from training.data.world import ENDLESS, StagedWorld, WorldSource

Part: TypeAlias = "Catalog | PreparedSource | WorldSource | StagedWorld"
"""The records of one source."""


@dataclass(frozen=True)
class Source:
    """All records to train from.

    Attributes:
        parts: one a source, in the order of the settings.
        buckets: the numbers of each aspect ratio's records.
        repeats: (records,) times each record comes up in a pass; None: once.
        report: what was skipped while the sources were listed.
        formats: of each part.
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

    def repeated(self) -> Source:
        """The same records, in the buckets as often as they come up."""
        if self.repeats is None:
            return self
        buckets: Buckets = {
            ratio: np.repeat(np.asarray(members), self.repeats[np.asarray(members)])
            for ratio, members in self.buckets.items()
        }
        return replace(self, buckets=buckets)

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
    picture_side: int = 256,
    seed: int = 0,
) -> Source:
    """Lists what settings name, without decoding any picture.

    Args:
        schedules: aspect ratios to sort into; None: those of the settings.
        picture_side, seed: of the emoji world, which draws what is asked for.

    Raises:
        DataError: nothing to train from, unreadable sources, or too many unusable records.
        ResourceError: shards that cannot be fetched.
    """
    schedules = settings.schedules_to_train() if schedules is None else schedules
    if not schedules:
        raise DataError("The size of the pictures is missing; set data.resolution.")
    if not settings.sources:
        raise DataError("There is no data to train from; name it with data.sources.")
    formats = tuple(
        detect(source) if settings.format == "auto" else settings.format
        for source in settings.sources
    )
    if "world" in formats:
        if len(formats) > 1:
            raise DataError("The emoji world is endless; it cannot be mixed with other sources.")
        world: WorldSource | StagedWorld = WorldSource(settings.sources[0], picture_side, seed)
        if settings.world.curriculum:
            world = StagedWorld(settings.sources[0], settings.world, picture_side, seed)
        return Source((world,), {"1:1": range(len(world))}, SkipReport(), formats)
    if len(set(formats) & {"prepared"}) and set(formats) != {"prepared"}:
        raise DataError("Prepared data cannot be mixed with pictures; prepare all of it.")
    parts = [
        PreparedSource(Path(source)) if format == "prepared" else _catalog(source, format, settings)
        for source, format in zip(settings.sources, formats, strict=True)
    ]
    report = SkipReport()
    for part in parts:
        report.merge(part.report)
    report.require(settings.skip_tolerance, complete=True)
    if not any(len(part) for part in parts):
        counts = f": {report.counted()}" if report.skipped else ""
        raise DataError(
            f"{', '.join(settings.sources)} lists {report.seen} pictures, none of which can be used"
            f"{counts}."
        )
    targets = heights_over_widths(schedules)
    names = np.concatenate([part.aspect_ratios(targets) for part in parts])
    buckets = {ratio: np.flatnonzero(names == ratio) for ratio in schedules}
    often = settings.repeats or (1,) * len(parts)
    each = np.concatenate([part.repeats * n for part, n in zip(parts, often, strict=True)])
    return Source(tuple(parts), buckets, report, formats, each if each.max() > 1 else None)


def _catalog(source: str, format: str, settings: DataSettings) -> Catalog:
    opener: Opener = _file
    split = settings.split
    manifest = format not in ("folder", "webdataset", "huggingface")
    if format == "folder":
        entries = partial(folder_entries, Path(source), settings)
        fingerprint = _folder_fingerprint(Path(source))
    elif format == "webdataset":
        shards = shard_names(source, split)
        entries = partial(_each, shards, partial(shard_entries, settings=settings))
        opener = member
        fingerprint = "\n".join(map(_file_fingerprint, shards))
    elif format == "huggingface":
        table = Table(source, settings)
        entries, opener, fingerprint = table.entries, table.picture, table.fingerprint
    else:
        root = Path(source) if Path(source).is_dir() and format != "coco" else None
        files = manifest_of(source, format, split)
        entries = partial(_each, files, partial(manifest_entries, settings=settings, root=root))
        fingerprint = "\n".join(_file_fingerprint(str(file)) for file in files)
    chosen = (
        format, source, settings.image_field, settings.caption_field,
        settings.short_caption_field, settings.captions, settings.picture_folders, str(Path.cwd()),
        split, settings.folder_repeats,
    )  # fmt: skip
    return open_catalog(
        source, entries, opener, f"{chosen}\n{fingerprint}", pictures_apart=manifest
    )


def _each(
    items: Sequence[str] | Sequence[Path], read: Callable[..., Iterator[Entry | Skip]]
) -> Iterator[Entry | Skip]:
    for item in items:
        yield from read(item)


def _file(entry: Entry) -> Path:
    return Path(entry.place)


def _folder_fingerprint(folder: Path) -> str:
    """Names, sizes and times of all files."""
    digest = hashlib.sha256(os.fsencode(folder.resolve()))
    for path in files_below(folder):
        try:
            state = path.stat()
        except OSError:
            continue  # reported when it is read
        digest.update(os.fsencode(path) + f" {state.st_size} {state.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def _file_fingerprint(name: str) -> str:
    """Of a file here or over http; empty where there is none (reported when it is read)."""
    if is_url(name):
        return f"{name} {file_tag(name)}"
    path = Path(name)
    if not path.is_file():
        return ""
    state = path.stat()
    return f"{path.resolve()} {state.st_size} {state.st_mtime_ns}"
