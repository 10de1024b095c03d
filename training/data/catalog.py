"""The list of everything in a source: read once, kept in Arrow, looked up by number.

Millions of records stay small in memory, and the list of a large source is written to disk, where
later runs and other processes of the same machine find it.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from filelock import FileLock
from tqdm import tqdm

from training.data.captions import Captions
from training.data.records import Entry, Skip
from training.data.remote import cache_folder
from training.data.report import SkipReport
from training.data.text import printable

logger = logging.getLogger(__name__)

KEPT_FROM = 10_000
"""Records from which on a list is written to disk; shorter ones are read again in seconds."""

_VERSION = 2
_CHUNK, _PART, _THREADS = 4096, 64, 8
_SCHEMA = pa.schema(
    [
        ("key", pa.large_string()),
        ("place", pa.large_binary()),
        ("offset", pa.int64()),
        ("length", pa.int64()),
        ("height", pa.int32()),
        ("width", pa.int32()),
        ("ratio", pa.float64()),
        ("repeats", pa.int32()),
        ("long", pa.large_list(pa.large_string())),
        ("short", pa.large_list(pa.large_string())),
        ("by_sentences", pa.bool_()),
    ]
)


class Catalog:
    """The usable records of a source and a report of the others."""

    def __init__(self, table: pa.Table, report: SkipReport) -> None:
        self._table = table
        self.report = report
        self.ratios: np.ndarray = table["ratio"].to_numpy()
        """(records,) float64: height over width."""
        self.repeats: np.ndarray = table["repeats"].to_numpy()
        """(records,) int32: times each comes up in a pass."""

    def __len__(self) -> int:
        return self._table.num_rows

    @property
    def fingerprint(self) -> str:
        """Of all records but for where they lie."""
        digest = hashlib.sha256()
        for batch in self._table.drop_columns(["place"]).to_batches(_CHUNK):
            digest.update(json.dumps(batch.to_pylist()).encode())
        return digest.hexdigest()

    def entry(self, index: int) -> Entry:
        row: dict[str, Any] = self._table.slice(index, 1).to_pylist()[0]
        captions = Captions(
            long=tuple(row.pop("long")),
            short=tuple(row.pop("short")),
            by_sentences=row.pop("by_sentences"),
        )
        return Entry(captions=captions, place=os.fsdecode(row.pop("place")), **row)


def open_catalog(
    name: str,
    entries: Callable[[], Iterable[Entry | Skip]],
    measure: Callable[[Entry], Entry | Skip],
    fingerprint: str,
    *,
    pictures_apart: bool = False,
) -> Catalog:
    """The list of a source, from disk where it was written before and is still true.

    Args:
        name: of the source, for the progress bar.
        entries: reads the source.
        measure: fills in the size of a picture whose size the source does not tell.
        fingerprint: changes whenever the source does.
        pictures_apart: but not when its pictures do, so that a list is only kept where none is
            missing or broken.
    """
    tag = hashlib.sha256(f"{_VERSION}\n{printable(fingerprint)}".encode()).hexdigest()
    path = cache_folder() / "catalogues" / f"{tag}.arrow"
    with _alone(path):
        try:
            if path.is_file():
                return _read(path)
        except (OSError, pa.ArrowException) as error:
            logger.warning("the list of %s is made anew: %s (%s)", printable(name), path, error)
        catalog = _build(name, entries(), measure)
        faulty = {"missing file", "broken picture"} & set(catalog.report.counts)
        if catalog.report.seen >= KEPT_FROM and not (pictures_apart and faulty):
            try:
                _write(catalog, path)
            except (OSError, pa.ArrowException) as error:
                logger.warning("the list of %s is not kept: %s (%s)", printable(name), path, error)
        return catalog


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """One process at a time, where the disk lets them know of each other."""
    lock = FileLock(path.with_suffix(".lock"))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except (OSError, NotImplementedError) as error:
        logger.warning("lists are not kept in %s (%s)", path.parent, error)
    try:
        yield
    finally:
        lock.release()


def _build(
    name: str, entries: Iterable[Entry | Skip], measure: Callable[[Entry], Entry | Skip]
) -> Catalog:
    report = SkipReport()
    tables = [_SCHEMA.empty_table()]
    with (
        ThreadPoolExecutor(_THREADS) as pool,
        tqdm(desc=f"listing {printable(name)}", unit=" records", delay=2) as bar,
    ):
        for chunk in _chunks(entries):
            parts = (chunk[start : start + _PART] for start in range(0, len(chunk), _PART))
            measured = [
                item
                for part in pool.map(
                    lambda part: [_measured(item, measure) for item in part], parts
                )
                for item in part
            ]
            usable = [item for item in measured if isinstance(item, Entry)]
            report.add(len(chunk), (item for item in measured if isinstance(item, Skip)))
            tables.append(pa.Table.from_pylist([_row(entry) for entry in usable], _SCHEMA))
            bar.update(len(chunk))
    return Catalog(pa.concat_tables(tables).combine_chunks(), report)


def _chunks(entries: Iterable[Entry | Skip]) -> Iterator[list[Entry | Skip]]:
    iterator = iter(entries)
    while chunk := list(islice(iterator, _CHUNK)):
        yield chunk


def _measured(item: Entry | Skip, measure: Callable[[Entry], Entry | Skip]) -> Entry | Skip:
    return measure(item) if isinstance(item, Entry) and not item.ratio else item


def _row(entry: Entry) -> dict[str, Any]:
    row = {field.name: getattr(entry, field.name) for field in dataclasses.fields(entry)}
    captions: Captions = row.pop("captions")
    return {**row, **dataclasses.asdict(captions), "place": os.fsencode(entry.place)}


def _write(catalog: Catalog, path: Path) -> None:
    report = json.dumps(dataclasses.asdict(catalog.report))
    table = catalog._table.replace_schema_metadata({"report": report})
    draft = path.with_suffix(f".{os.getpid()}.writing")
    try:
        with pa.OSFile(str(draft), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
            writer.write_table(table)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def _read(path: Path) -> Catalog:
    with pa.memory_map(str(path)) as file:
        table = pa.ipc.open_file(file).read_all()
    saved = json.loads((table.schema.metadata or {})[b"report"])
    examples = {
        reason: [Skip(**skip) for skip in skips] for reason, skips in saved["examples"].items()
    }
    return Catalog(table, SkipReport(saved["seen"], saved["counts"], examples))
