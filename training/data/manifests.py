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
from training.data.captions import Fields, encoding_of, find_fields
from training.data.errors import DataError, RecordError, Skip, made_or_skip, skip_of
from training.data.files import PICTURE_SUFFIXES, PictureFolders, is_picture
from training.data.records import Record

METADATA = ("metadata.csv", "metadata.jsonl", "metadata.parquet")
"""Files that list the pictures below their folder (Hugging Face's picture folders)."""
INFINITY_NAME = re.compile(r"(?P<ratio>\d+(\.\d+)?)_(?P<count>\d+)\.jsonl", re.IGNORECASE)
"""Upstream's ``[height over width]_[number of lines].jsonl``."""

_TALLEST = 1e8  # height over width that a picture can have
_SHOWN = 60  # characters of a wrong line in a message


def manifest_records(
    path: Path, settings: DataSettings, root: Path | None = None
) -> Iterator[Record | Skip]:
    """Records of one JSON, JSONL, CSV, TSV or Parquet file, in the file's order.

    Args:
        root: the source the file was found in; paths may lead there too.

    Raises:
        DataError: not such a file, no fields to use, or paths that lead outside.
    """
    content = read_json(path) if path.suffix.lower() == ".json" else None
    inside = ("",)
    if is_coco(content):  # its pictures lie beside captions_val2017.json, or in one of these
        part = path.stem.removeprefix("captions_")
        inside = "", part, "images", f"images/{part}"
    others = (*settings.picture_folders, *((root,) if root is not None else ()))
    folders = PictureFolders(path, others, inside)
    for where, row in _rows(path, content):
        if not isinstance(row, dict):
            detail = f"not an object: {str(row)[:_SHOWN]}"
            yield skip_of(where, RecordError("broken record", detail))
            continue
        names = (name for name in row if isinstance(name, str))
        fields = find_fields(names, settings, f"{path.name}, {where}")
        name = row.get(fields.picture)
        key = name if isinstance(name, str) and name else where
        yield made_or_skip(key, partial(_record, row, fields, folders, where))


def _record(row: Mapping[str, Any], fields: Fields, folders: PictureFolders, where: str) -> Record:
    manifest = folders.manifest.name
    name = row.get(fields.picture)
    if not isinstance(name, str) or not name:
        raise RecordError("broken record", f"no {fields.picture}")
    captions = fields.captions(row, f"{manifest}, {where}")
    place = folders.find(name, where)
    if not place.is_file() and not is_picture(place):  # kohya's lists may leave out the suffix
        places = (Path(f"{place}{suffix}") for suffix in PICTURE_SUFFIXES)
        place = next(filter(Path.is_file, places), place)
    if not place.is_file():
        raise RecordError("missing file", f"{manifest}, {where}: no {place}")
    if not INFINITY_NAME.fullmatch(manifest):
        return Record(key=name, place=str(place), captions=captions)
    ratio = row.get("h_div_w")
    if not isinstance(ratio, int | float) or not 0 < ratio < _TALLEST:
        ratio = 0.0  # it is measured
    long, short = _without_flags(captions.long), _without_flags(captions.short)
    captions = replace(captions, long=long, short=short)
    return Record(key=name, place=str(place), captions=captions, ratio=float(ratio))


def _without_flags(texts: tuple[str, ...]) -> tuple[str, ...]:
    """Texts up to the first "--", where flags of other programs begin (upstream's rule)."""
    return tuple(text.split("--")[0].strip() or text for text in texts)


def infinity_files(folder: Path) -> list[Path]:
    """Upstream's files in a folder, or in its ``splits``; empty where there are none."""
    for place in (folder, folder / "splits"):
        if files := sorted(p for p in place.glob("*") if INFINITY_NAME.fullmatch(p.name)):
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


def is_coco(content: Any) -> bool:
    """Whether a JSON file's content is laid out like COCO's annotations."""
    return isinstance(content, dict) and all(
        isinstance(content.get(name), list) for name in ("images", "annotations")
    )


def _rows(path: Path, content: Any) -> Iterator[tuple[str, Any]]:
    """(where it stands, record) of any of the formats; ``content`` is that of a JSON file."""
    suffix = path.suffix.lower()
    try:
        if suffix == ".json":
            yield from _coco_rows(content) if is_coco(content) else _json_rows(path, content)
        elif suffix == ".parquet":
            with pq.ParquetFile(path) as table:
                rows = (row for batch in table.iter_batches() for row in batch.to_pylist())
                yield from ((f"row {number}", row) for number, row in enumerate(rows, 1))
        else:
            yield from _text_rows(path, suffix)
    except (OSError, UnicodeError, csv.Error, pa.ArrowException) as error:
        raise DataError(f"{path} cannot be read as text ({error}); save it as UTF-8.") from error


def _coco_rows(content: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
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


def _json_rows(path: Path, content: Any) -> Iterator[tuple[str, Any]]:
    """A list of objects, or an object of picture -> caption or picture -> object."""
    if isinstance(content, list):
        yield from ((f"entry {number}", record) for number, record in enumerate(content, 1))
    elif isinstance(content, dict):
        for name, value in content.items():
            record = dict(value) if isinstance(value, dict) else {"caption": value}
            if isinstance(tags := record.get("tags"), str):  # kohya's: they follow the caption
                parts = (record.get("caption"), tags)
                record["caption"] = ", ".join(t for t in parts if t and isinstance(t, str))
            yield f"entry {name!r}", {"image_path": name, **record}
    else:
        raise DataError(
            f"{path} holds neither a list of records nor an object of pictures; see docs/data.md."
        )


def _text_rows(path: Path, suffix: str) -> Iterator[tuple[str, Any]]:
    with path.open(encoding=_encoding(path), errors="surrogateescape", newline="") as file:
        if suffix != ".jsonl":
            rows = csv.DictReader(file, delimiter="\t" if suffix == ".tsv" else ",")
            yield from ((f"line {rows.line_num}", row) for row in rows)
            return
        for number, line in enumerate(map(str.strip, file), 1):
            try:
                yield from [(f"line {number}", json.loads(line))] if line else ()
            except (ValueError, RecursionError):
                yield f"line {number}", line
