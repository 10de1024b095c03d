"""Hugging Face datasets: saved on disk, parquet or arrow files, or a repository of the hub."""

from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from training.config.settings import DataSettings
from training.data.errors import DataError
from training.data.fields import Fields, find_fields
from training.data.paths import PictureFolders
from training.data.records import Entry, Skip, entry_or_skip
from training.data.splits import of_split
from training.data.walk import files_below

_SAVED = ("dataset_info.json", "dataset_dict.json")
_BUILDERS = {".parquet": "parquet", ".arrow": "arrow"}


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

        self.source = source
        rows = _load(source, settings.split)
        self.fields: Fields = find_fields(rows.column_names, settings, source)
        feature = rows.features[self.fields.picture]
        if isinstance(feature, datasets.Image):
            rows = rows.cast_column(self.fields.picture, datasets.Image(decode=False))
        self._rows = rows
        self._texts = rows.select_columns(
            [name for name in rows.column_names if name != self.fields.picture]
        )
        self._folders = PictureFolders(Path(source) / "rows", settings.picture_folders)

    @property
    def fingerprint(self) -> str:
        return str(self._rows._fingerprint)

    def entries(self) -> Iterator[Entry | Skip]:
        """Rows in their order, not measured yet."""
        for number, row in enumerate(self._texts):
            yield entry_or_skip(f"row {number}", partial(self._entry, number, row))

    def _entry(self, number: int, row: dict[str, Any]) -> Entry:
        captions = self.fields.captions(row, f"{self.source}, row {number}")
        return Entry(key=f"row {number}", place=str(number), captions=captions)

    def picture(self, entry: Entry) -> bytes | Path:
        """The picture of an entry's row, encoded, or the file it lies in.

        Raises:
            DataError: the row has none, or one outside of the data's folders.
        """
        value: Any = self._rows[int(entry.place)][self.fields.picture]
        if isinstance(value, dict):
            value = value.get("bytes") or value.get("path")
        if isinstance(value, bytes):
            return value
        if isinstance(value, str) and value:
            return self._folders.find(value, entry.key)
        raise DataError(f"{self.source}, {entry.key} holds no picture in {self.fields.picture!r}.")


def _load(source: str, split: str) -> Any:
    import datasets
    from datasets.exceptions import DatasetsError

    path = Path(source)
    datasets.disable_progress_bars()
    try:
        if is_saved_dataset(path):
            rows = datasets.load_from_disk(source)
        elif path.suffix.lower() in _BUILDERS and path.is_file():
            builder = _BUILDERS[path.suffix.lower()]
            rows = datasets.load_dataset(builder, data_files=source, split="train")
        elif path.is_dir() and (files := table_files(files_below(path))):
            chosen = [str(file) for file in sorted(of_split(files, path, split))]
            rows = datasets.load_dataset("parquet", data_files=chosen, split="train")
        else:
            rows = datasets.load_dataset(source, split=split)
    except (OSError, ValueError, RuntimeError, DatasetsError) as error:
        raise DataError(
            f"{source} cannot be read as a Hugging Face dataset with the split {split!r} "
            f"({str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__}"
            "); check the name, the split (data.split) and the network."
        ) from error
    if isinstance(rows, dict):
        if split not in rows:
            raise DataError(
                f"{source} has no split {split!r}; set data.split to one of {', '.join(map(str, rows))}."
            )
        rows = rows[split]
    return rows
