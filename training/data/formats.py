"""What kind of source a folder, file, pattern, URL or name is, and the list of its records."""

from collections.abc import Iterable
from itertools import chain
from pathlib import Path

from training.config.settings import DataSettings
from training.data.catalog import Catalog
from training.data.errors import DataError, Skip
from training.data.files import files_below, is_picture, own_files
from training.data.folders import folder_records
from training.data.records import Record
from training.data.shards import is_prepared
from training.data.tables import (
    INFINITY_NAME,
    METADATA,
    Table,
    infinity_files,
    is_coco,
    is_saved_dataset,
    manifest_records,
    read_json,
    table_files,
)
from training.data.webdataset import file_tag, is_url, shard_names, shard_records
from training.data.world import is_world

_KOHYA_LISTS = tuple(f"meta_{name}.json" for name in ("lat", "clean", "cap_dd", "cap", "dd"))
"""Names of the lists of kohya's trainer, the one that was made last first."""

_STATISTICS = "_stats.json"  # of img2dataset, beside its pictures
_KINDS = {"csv": (".csv", ".tsv"), "webdataset": (".tar",), "huggingface": (".parquet", ".arrow")}


def detect(source: str, named: str = "auto") -> str:
    """The format of a source, unless it is ``named`` already.

    Raises:
        DataError: it does not exist, or looks like nothing that is known.
    """
    path = Path(source)
    if named != "auto":
        return named
    if path.is_file():
        return _of_file(path)
    if is_world(source):
        return "world"
    if path.is_dir():
        return _of_folder(path)
    if is_url(source) or any(sign in source for sign in "{*?") or source.startswith("pipe:"):
        return "webdataset"
    if source.count("/") == 1 and not source.startswith((".", "/", "~")) and not path.suffix:
        return "huggingface"
    raise DataError(f"There is no data at {source}; check the path.")


def _of_file(path: Path) -> str:
    suffix = path.suffix.lower()
    if suffix == ".jsonl":
        return "infinity" if INFINITY_NAME.fullmatch(path.name) else "jsonl"
    if suffix == ".json":
        return "coco" if is_coco(read_json(path)) else "json"
    if known := [kind for kind, suffixes in _KINDS.items() if suffix in suffixes]:
        return known[0]
    raise DataError(
        f"{path} is not data that can be trained from; give a folder, a .json, .jsonl, .csv, .tar "
        "or .parquet file, or name its kind with data.format."
    )


def _of_folder(path: Path) -> str:
    if is_prepared(path):
        return "prepared"
    if is_saved_dataset(path):
        return "huggingface"
    if infinity_files(path):
        return "infinity"
    own = own_files(path)
    if any(file.suffix.lower() == ".tar" for file in own):
        return "webdataset"
    if any(file.name.lower() in METADATA for file in own):
        return "folder"
    manifests = _manifests(path)
    if len(manifests) == 1:
        return _of_file(manifests[0])
    if manifests:
        names = ", ".join(file.name for file in manifests[:5])
        raise DataError(f"{path} holds several lists of pictures ({names}); name the one to use.")
    if _coco_files(path):
        return "coco"
    below = list(files_below(path))
    listed = any(file.name.lower() in METADATA for file in below)
    if not listed and table_files(below):
        return "huggingface"
    if listed or any(map(is_picture, below)):
        return "folder"
    raise DataError(f"{path} holds neither pictures nor lists of them; check the path.")


def _manifests(path: Path) -> list[Path]:
    """Lists of pictures in a folder, not the records of single pictures beside them."""
    files = own_files(path)
    names = {file.name.lower(): file for file in files}
    if named := [names[name] for name in (*METADATA, *_KOHYA_LISTS) if name in names]:
        return named[:1]
    pictures = {file.stem for file in files if is_picture(file)}
    return [
        file
        for file in files
        if (suffix := file.suffix.lower()) in (".jsonl", ".csv", ".tsv")
        or (
            (suffix == ".json" and file.stem not in pictures)
            and not file.name.lower().endswith(_STATISTICS)
        )
    ]


def _coco_files(path: Path) -> list[Path]:
    return sorted((path / "annotations").glob("captions_*.json"))


def _manifests_of(source: str, format: str, split: str) -> list[Path]:
    """The manifest files that a source of a manifest format stands for, COCO's those of a split where
    there are any of it."""
    path = Path(source)
    if path.is_file():
        return [path]
    if format == "infinity":
        found = infinity_files(path)
    elif format == "coco":
        found = _coco_files(path)
        found = [file for file in found if split in file.stem] or found
    else:
        found = [file for file in _manifests(path) if _of_file(file) == format]
    if not found:
        raise DataError(f"There is no {format} file in {source}; check the path.")
    return found


def open_catalog(source: str, format: str, settings: DataSettings) -> Catalog:
    """The list of a source of pictures.

    Raises:
        DataError: it cannot be read as this format.
        ResourceError: shards that cannot be fetched.
    """
    chosen = (
        format, source, settings.image_field, settings.caption_field,
        settings.short_caption_field, settings.captions, settings.picture_folders, str(Path.cwd()),
        settings.split, settings.folder_repeats,
    )  # fmt: skip
    path = Path(source)
    files: Iterable[str | Path]
    records: Iterable[Record | Skip]
    if format == "huggingface":
        table = Table(source, settings)
        return Catalog(source, table.records(), f"{chosen}\n{table.fingerprint}", table.picture)
    if format == "folder":
        files, records = files_below(path), folder_records(path, settings)
    elif format == "webdataset":
        files = shards = shard_names(source, settings.split)
        records = chain.from_iterable(shard_records(shard, settings) for shard in shards)
    else:
        files = lists = _manifests_of(source, format, settings.split)
        root = path if path.is_dir() and format != "coco" else None
        records = chain.from_iterable(manifest_records(each, settings, root) for each in lists)
    tag = "\n".join([str(chosen), *(file_tag(str(file)) for file in files)])
    return Catalog(source, records, tag, pictures_apart=format not in ("folder", "webdataset"))
