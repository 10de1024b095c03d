"""The list of everything in a source: read once, kept in Arrow, looked up by number.

Millions of records stay small in memory, and the list of a large source is written to disk, where
later runs and other processes of the same machine find it.
"""

import dataclasses
import hashlib
import io
import json
import logging
import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack, suppress
from itertools import islice
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from filelock import FileLock
from tqdm import tqdm

from infinity.images import image_size, open_image
from training.data.captions import Captions
from training.data.errors import UNREADABLE, Skip, SkipReport, made_or_skip, printable
from training.data.files import cache_folder
from training.data.records import Record
from training.data.webdataset import encoded_picture

logger = logging.getLogger(__name__)

KEPT_FROM = 10_000
"""Records from which on a list is written to disk; shorter ones are read again in seconds."""

_VERSION = 3
_CHUNK, _PART, _THREADS = 4096, 64, 8
_SCHEMA = pa.schema(
    [
        ("key", pa.large_string()),
        ("place", pa.large_binary()),
        *((name, pa.int64()) for name in ("offset", "length")),
        *((name, pa.int32()) for name in ("height", "width")),
        ("ratio", pa.float64()),
        ("repeats", pa.int32()),
        *((name, pa.large_list(pa.large_string())) for name in ("long", "short")),
        ("by_sentences", pa.bool_()),
    ]
)


class Catalog:
    """The usable records of a source and a report of the others; from disk where the list was written
    before and is still true.

    Args:
        name: of the source, for the progress bar.
        records: reads the source, when it is iterated.
        fingerprint: changes whenever the source does.
        opener: finds the encoded picture of a record.
        pictures_apart: the fingerprint does not change when the pictures do, so that a list is only
            kept where none is missing or broken.
    """

    def __init__(
        self,
        name: str,
        records: Iterable[Record | Skip],
        fingerprint: str,
        opener: Callable[[Record], Path | io.BytesIO] = encoded_picture,
        *,
        pictures_apart: bool = False,
    ) -> None:
        self._opener = opener
        tag = hashlib.sha256(f"{_VERSION}\n{printable(fingerprint)}".encode()).hexdigest()
        path = cache_folder() / "catalogues" / f"{tag}.arrow"
        with ExitStack() as stack:
            try:  # one process at a time, where the disk lets them know of each other
                path.parent.mkdir(parents=True, exist_ok=True)
                stack.enter_context(FileLock(path.with_suffix(".lock")))
            except (OSError, NotImplementedError) as error:
                logger.warning("lists are not kept in %s (%s)", path.parent, error)
            known = _read(path) if path.is_file() else None
            self._table, self.report = known or self._read_source(name, records)
            faulty = {"missing file", "broken picture"} & set(self.report.counts)
            large = self.report.seen >= KEPT_FROM
            if known is None and large and not (pictures_apart and faulty):
                _write(self._table, self.report, path)
        self.repeats: np.ndarray = self._table["repeats"].to_numpy()
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

    def aspect_ratios(self, targets: Mapping[str, float]) -> np.ndarray:
        """(records,) names of the nearest of ``targets`` (heights over widths), by plain difference."""
        ratios = self._table["ratio"].to_numpy()
        distances = np.abs(ratios[:, None] - np.array(list(targets.values()))[None])
        return np.array(list(targets))[distances.argmin(axis=1)]

    def record(self, index: int) -> Record:
        row: dict[str, Any] = self._table.slice(index, 1).to_pylist()[0]
        long, short = tuple(row.pop("long")), tuple(row.pop("short"))
        captions = Captions(long=long, short=short, by_sentences=row.pop("by_sentences"))
        record = Record(captions=captions, place=os.fsdecode(row.pop("place")), **row)
        return dataclasses.replace(
            record, load=lambda: open_image(self._opener(record), record.key)
        )

    def _read_source(
        self, name: str, records: Iterable[Record | Skip]
    ) -> tuple[pa.Table, SkipReport]:
        report, tables = SkipReport(), [_SCHEMA.empty_table()]
        remaining = iter(records)
        with (
            ThreadPool(_THREADS) as pool,
            tqdm(desc=f"listing {printable(name)}", unit=" records", delay=2) as bar,
        ):
            while chunk := list(islice(remaining, _CHUNK)):
                chunk = pool.map(self._measured, chunk, chunksize=_PART)
                report.add(len(chunk), (item for item in chunk if isinstance(item, Skip)))
                usable = [item for item in chunk if isinstance(item, Record)]
                rows = [
                    {**vars(r), **vars(r.captions), "place": os.fsencode(r.place)} for r in usable
                ]
                tables.append(pa.Table.from_pylist(rows, _SCHEMA))
                bar.update(len(chunk))
        return pa.concat_tables(tables).combine_chunks(), report

    def _measured(self, item: Record | Skip) -> Record | Skip:
        """A record with its picture's size, read from the head of its file."""
        if isinstance(item, Skip) or item.ratio:
            return item
        size = made_or_skip(item.key, lambda: image_size(self._opener(item), item.key), UNREADABLE)
        if isinstance(size, Skip):
            return size
        height, width = size
        return dataclasses.replace(item, height=height, width=width, ratio=height / width)


def _write(table: pa.Table, report: SkipReport, path: Path) -> None:
    table = table.replace_schema_metadata({"report": json.dumps(vars(report))})
    draft = path.with_suffix(f".{os.getpid()}.writing")
    try:
        with pa.OSFile(str(draft), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
            writer.write_table(table)
        draft.replace(path)
    except (OSError, pa.ArrowException) as error:
        logger.warning("the list %s is not kept (%s)", path, error)
    finally:
        with suppress(OSError):
            draft.unlink()


def _read(path: Path) -> tuple[pa.Table, SkipReport] | None:
    """A list that was written before; None where it cannot be read."""
    try:
        with pa.memory_map(str(path)) as file:
            table = pa.ipc.open_file(file).read_all()
    except (OSError, pa.ArrowException) as error:
        logger.warning("the list %s is made anew (%s)", path, error)
        return None
    saved = json.loads((table.schema.metadata or {})[b"report"])
    return table, SkipReport(saved["seen"], Counter(saved["counts"]), saved["examples"])
