"""Rows that name or hold pictures and captions: JSON, JSONL, CSV and Parquet files, upstream's, COCO's and
kohya's among them, and Hugging Face datasets."""

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from training.config.settings import DataSettings
from training.data.captions import encoding_of, find_fields
from training.data.errors import DataError, RecordError, Skip, made_or_skip
from training.data.files import PICTURE_SUFFIXES, PictureFolders, files_below, is_picture, of_split
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
    for line, row in _rows(path, content):
        where = f"{path.name}, {line}"
        yield made_or_skip(where, partial(_record, row, settings, folders, where))


def _record(row: Any, settings: DataSettings, folders: PictureFolders, where: str) -> Record:
    if not isinstance(row, dict):
        raise RecordError("broken record", f"not an object: {str(row)[:_SHOWN]}")
    fields = find_fields((name for name in row if isinstance(name, str)), settings, where)
    name = row.get(fields.picture)
    if not isinstance(name, str) or not name:
        raise RecordError("broken record", f"no {fields.picture}")
    captions = fields.captions(row, where)
    place = folders.find(name, where)
    if not place.is_file() and not is_picture(place):  # kohya's lists may leave out the suffix
        places = (Path(f"{place}{suffix}") for suffix in PICTURE_SUFFIXES)
        place = next(filter(Path.is_file, places), place)
    if not place.is_file():
        raise RecordError("missing file", f"{where}: no {place}")
    if not INFINITY_NAME.fullmatch(folders.manifest.name):
        return Record(key=name, place=str(place), captions=captions)
    ratio = row.get("h_div_w")
    if not isinstance(ratio, int | float) or not 0 < ratio < _TALLEST:
        ratio = 0.0  # it is measured
    kinds = {"long": captions.long, "short": captions.short}
    for kind, texts in kinds.items():
        # Up to "--", where flags of other programs begin (upstream's rule).
        kinds[kind] = tuple(text.split("--")[0].strip() or text for text in texts)
    captions = replace(captions, **kinds)
    return Record(key=name, place=str(place), captions=captions, ratio=float(ratio))


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


def is_saved_dataset(folder: Path) -> bool:
    """Whether ``Dataset.save_to_disk`` or ``DatasetDict.save_to_disk`` wrote the folder."""
    return any((folder / f"dataset_{name}.json").is_file() for name in ("info", "dict"))


def table_files(files: Iterable[Path]) -> list[Path]:
    """The Parquet files among the files of a folder, but for the lists that other tools put beside its pictures:
    metadata.parquet, and img2dataset's of a shard that is a folder beside it.
    """
    return [
        path
        for path in files
        if path.suffix.lower() == ".parquet"
        and path.name.lower() != "metadata.parquet"
        and not path.with_suffix("").is_dir()
    ]


class Table:
    """The rows of one dataset; the pictures stay encoded until they are asked for.

    Raises:
        DataError: it cannot be read, or has no such split or columns.
    """

    def __init__(self, source: str, settings: DataSettings) -> None:
        import datasets

        rows = _load(source, settings.split)
        self.source, self._fields = source, find_fields(rows.column_names, settings, source)
        column = self._fields.picture
        if isinstance(rows.features[column], datasets.Image):
            rows = rows.cast_column(column, datasets.Image(decode=False))
        self._rows, self.fingerprint = rows, str(rows._fingerprint)
        self._folders = PictureFolders(Path(source) / "rows", settings.picture_folders)

    def records(self) -> Iterator[Record | Skip]:
        """Rows in their order, not measured yet."""
        for number, row in enumerate(self._rows.remove_columns(self._fields.picture)):
            yield made_or_skip(f"row {number}", partial(self._record, number, row))

    def _record(self, number: int, row: dict[str, Any]) -> Record:
        captions = self._fields.captions(row, f"{self.source}, row {number}")
        return Record(key=f"row {number}", place=str(number), captions=captions)

    def picture(self, record: Record) -> io.BytesIO | Path:
        """The picture of a record's row, encoded, or the file it lies in.

        Raises:
            DataError: the row has none, or one outside of the data's folders.
        """
        value: Any = self._rows[int(record.place)][self._fields.picture]
        if isinstance(value, dict):
            value = value.get("bytes") or value.get("path")
        if isinstance(value, bytes):
            return io.BytesIO(value)
        if isinstance(value, str) and value:
            return self._folders.find(value, f"{self.source}, {record.key}")
        raise DataError(
            f"{self.source}, {record.key} holds no picture in {self._fields.picture!r}."
        )


def _load(source: str, split: str) -> Any:
    import datasets
    from datasets.exceptions import DatasetsError

    path = Path(source)
    datasets.disable_progress_bars()
    try:
        if is_saved_dataset(path):
            rows = datasets.load_from_disk(source)
        elif path.is_file() and path.suffix.lower() in (".parquet", ".arrow"):
            kind = path.suffix.lower()[1:]
            rows = datasets.load_dataset(kind, data_files=source, split="train")
        elif path.is_dir() and (files := table_files(files_below(path))):
            chosen = sorted(map(str, of_split(files, path, split)))
            rows = datasets.load_dataset("parquet", data_files=chosen, split="train")
        else:
            rows = datasets.load_dataset(source, split=split)
        if not isinstance(rows, dict):
            return rows
        if split in rows:
            return rows[split]
    except (OSError, ValueError, RuntimeError, DatasetsError) as error:
        told = str(error).strip().partition("\n")[0] or type(error).__name__
        raise DataError(
            f"{source} cannot be read as a Hugging Face dataset with the split {split!r} ({told}); "
            "check the name, the split (data.split) and the network."
        ) from error
    splits = ", ".join(map(str, rows))
    raise DataError(f"{source} has no split {split!r}; set data.split to one of {splits}.")
