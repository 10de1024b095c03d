"""JSON, JSONL, CSV and Parquet files that name pictures and captions; upstream's, COCO's and kohya's
among them."""

import csv
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from training.config.settings import DataSettings
from training.data.captions import Captions
from training.data.errors import DataError, RecordError
from training.data.fields import Fields, find_fields
from training.data.paths import PictureFolders
from training.data.records import Entry, Skip, entry_or_skip
from training.data.text import encoding_of
from training.data.walk import PICTURE_SUFFIXES, is_picture

INFINITY_NAME = re.compile(r"(?P<ratio>\d+(\.\d+)?)_(?P<count>\d+)\.jsonl", re.IGNORECASE)
"""Upstream's ``[height over width]_[number of lines].jsonl``."""

_DELIMITERS = {".tsv": "\t"}
_TALLEST = 1e8  # height over width that a picture can have
_SHOWN = 60  # characters of a wrong line in a message


def manifest_entries(
    path: Path, settings: DataSettings, root: Path | None = None
) -> Iterator[Entry | Skip]:
    """Records of one JSON, JSONL, CSV, TSV or Parquet file, in the file's order.

    Args:
        root: the source the file was found in; paths may lead there too.

    Raises:
        DataError: not such a file, no fields to use, or paths that lead outside.
    """
    others = (*settings.picture_folders, *((root,) if root is not None else ()))
    content = read_json(path) if path.suffix.lower() == ".json" else None
    inside = _coco_folders(path) if is_coco(content) else ("",)
    folders = PictureFolders(path, others, inside)
    fields: Fields | None = None
    for where, record in _records(path, content):
        if not isinstance(record, dict):
            detail = f"not an object: {str(record)[:_SHOWN]}"
            yield Skip(reason="broken record", key=where, detail=detail)
            continue
        if fields is None or not _has(record, fields):
            fields = find_fields(_names(record), settings, f"{path.name}, {where}")
        name = record.get(fields.picture)
        key = name if isinstance(name, str) and name else where
        yield entry_or_skip(key, partial(_entry, record, fields, folders, where))


def _entry(record: Mapping[str, Any], fields: Fields, folders: PictureFolders, where: str) -> Entry:
    manifest = folders.manifest.name
    name = record.get(fields.picture)
    if not isinstance(name, str) or not name:
        raise RecordError("broken record", f"no {fields.picture}")
    captions = fields.captions(record, f"{manifest}, {where}")
    place = folders.find(name, where)
    if not is_picture(place) and not place.is_file():
        place = _with_suffix(place)
    if not place.is_file():
        raise RecordError("missing file", f"{manifest}, {where}: no {place}")
    if not INFINITY_NAME.fullmatch(manifest):
        return Entry(key=name, place=str(place), captions=captions)
    ratio = _ratio(record.get("h_div_w"))
    return Entry(key=name, place=str(place), captions=_without_flags(captions), ratio=ratio)


def infinity_files(folder: Path) -> list[Path]:
    """Upstream's files in a folder, or in its ``splits``; empty where there are none."""
    for place in (folder, folder / "splits"):
        files = sorted(p for p in place.glob("*") if INFINITY_NAME.fullmatch(p.name))
        if files:
            return files
    return []


def read_json(path: Path) -> Any:
    """What a JSON file holds.

    Raises:
        DataError: it cannot be read.
    """
    try:
        return json.loads(path.read_text(encoding=_encoding(path)))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path} is not a JSON file ({error}); correct or remove it.") from error


def _encoding(path: Path) -> str:
    with path.open("rb") as file:
        return encoding_of(file.read(4))


def _with_suffix(place: Path) -> Path:
    """kohya's lists may leave out the suffix of a picture."""
    return next(
        (path for suffix in PICTURE_SUFFIXES if (path := Path(f"{place}{suffix}")).is_file()), place
    )


def is_coco(content: Any) -> bool:
    """Whether a JSON file's content is laid out like COCO's annotations."""
    return isinstance(content, dict) and all(
        isinstance(content.get(name), list) for name in ("images", "annotations")
    )


def _coco_folders(path: Path) -> tuple[str, ...]:
    """Where COCO's pictures lie beside ``captions_val2017.json``."""
    part = path.stem.removeprefix("captions_")
    return "", part, "images", f"images/{part}"


def _records(path: Path, content: Any) -> Iterator[tuple[str, Any]]:
    """(where it stands, record) of any of the formats; ``content`` is that of a JSON file."""
    suffix = path.suffix.lower()
    try:
        if is_coco(content):
            yield from _coco_records(content)
        elif suffix == ".json":
            yield from _json_records(path, content)
        elif suffix == ".jsonl":
            yield from _jsonl_records(path)
        elif suffix == ".parquet":
            yield from _parquet_records(path)
        else:
            yield from _csv_records(path)
    except (OSError, UnicodeError, csv.Error, pa.ArrowException) as error:
        raise DataError(f"{path} cannot be read as text ({error}); save it as UTF-8.") from error


def _coco_records(content: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Pictures in the order of the file; the captions of one are alternatives."""
    captions: dict[Any, list[Any]] = {}
    for annotation in content["annotations"]:
        if isinstance(annotation, dict) and isinstance(annotation.get("image_id"), int | str):
            captions.setdefault(annotation["image_id"], []).append(annotation.get("caption"))
    for number, image in enumerate(content["images"], 1):
        if isinstance(image, dict):
            known = image.get("id")
            texts = captions.get(known) if isinstance(known, int | str) else None
            image = {"file_name": image.get("file_name"), "caption": texts}
        yield f"image {number}", image


def _json_records(path: Path, content: Any) -> Iterator[tuple[str, Any]]:
    """A list of objects, or an object of picture -> caption or picture -> object."""
    if isinstance(content, list):
        yield from ((f"entry {number}", record) for number, record in enumerate(content, 1))
    elif isinstance(content, dict):
        for name, value in content.items():
            record = dict(value) if isinstance(value, dict) else {"caption": value}
            if isinstance(record.get("tags"), str):  # kohya's lists: tags follow the caption
                parts = (record.get("caption"), record["tags"])
                record["caption"] = ", ".join(
                    text for text in parts if text and isinstance(text, str)
                )
            yield f"entry {name!r}", {"image_path": name, **record}
    else:
        raise DataError(
            f"{path} holds neither a list of records nor an object of pictures; see docs/data.md."
        )


def _jsonl_records(path: Path) -> Iterator[tuple[str, Any]]:
    with path.open(encoding=_encoding(path), errors="surrogateescape") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                yield f"line {number}", json.loads(line)
            except (ValueError, RecursionError):
                yield f"line {number}", line.strip()


def _csv_records(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    with path.open(encoding=_encoding(path), errors="surrogateescape", newline="") as file:
        rows = csv.DictReader(file, delimiter=_DELIMITERS.get(path.suffix.lower(), ","))
        for row in rows:
            yield f"line {rows.line_num}", row


def _parquet_records(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    with pq.ParquetFile(path) as file:
        rows = (row for batch in file.iter_batches() for row in batch.to_pylist())
        for number, row in enumerate(rows, 1):
            yield f"row {number}", row


def _names(record: Mapping[Any, Any]) -> list[str]:
    return [name for name in record if isinstance(name, str)]


def _has(record: Mapping[str, Any], fields: Fields) -> bool:
    captioned = fields.long in record or fields.short in record or not fields.needed
    return fields.picture in record and captioned


def _without_flags(captions: Captions) -> Captions:
    """Texts up to the first "--", where flags of other programs begin (upstream's rule)."""
    return replace(
        captions,
        long=tuple(text.split("--")[0].strip() or text for text in captions.long),
        short=tuple(text.split("--")[0].strip() or text for text in captions.short),
    )


def _ratio(value: Any) -> float:
    """A trustworthy height over width, else 0: measured then."""
    return float(value) if isinstance(value, int | float) and 0 < value < _TALLEST else 0.0
