"""Hugging Face datasets: saved on disk, parquet or arrow files, or a repository of the hub."""

import io
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from training.config.settings import DataSettings
from training.data.captions import find_fields
from training.data.errors import DataError, Skip, made_or_skip
from training.data.files import PictureFolders, files_below, of_split
from training.data.records import Record

_SAVED = ("dataset_info.json", "dataset_dict.json")


def is_saved_dataset(folder: Path) -> bool:
    """Whether ``Dataset.save_to_disk`` or ``DatasetDict.save_to_disk`` wrote the folder."""
    return any((folder / name).is_file() for name in _SAVED)


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
            return self._folders.find(value, record.key)
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
            builder = path.suffix.lower().removeprefix(".")
            rows = datasets.load_dataset(builder, data_files=source, split="train")
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
