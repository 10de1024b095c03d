"""What kind of source a folder, file, pattern, URL or name is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from training.data.errors import DataError
from training.data.folders import is_coco, picture_files
from training.data.huggingface import is_saved_dataset, table_files
from training.data.manifests import INFINITY_NAME, infinity_files, read_json
from training.data.remote import is_url
from training.data.shards import is_prepared
from training.data.world import is_world

MANIFESTS = ("metadata.jsonl", "metadata.csv")
"""Names that a folder of pictures has its captions under (Hugging Face's image folders)."""

_BY_SUFFIX = {
    ".csv": "csv",
    ".tsv": "csv",
    ".tar": "webdataset",
    ".parquet": "huggingface",
    ".arrow": "huggingface",
}


def detect(source: str) -> str:
    """The format of a source.

    Raises:
        DataError: it does not exist, or looks like nothing that is known.
    """
    path = Path(source)
    if path.is_file():
        return _of_file(path)
    if path.is_dir():
        return _of_folder(path)
    if is_world(source):
        return "world"
    if is_url(source) or any(sign in source for sign in "{*?") or source.startswith("pipe:"):
        return "webdataset"
    if source.count("/") == 1 and not source.startswith((".", "/", "~")) and not path.suffix:
        return "huggingface"
    raise DataError(f"There is no data at {source}; check the path.")


def manifest_of(source: str, format: str) -> list[Path]:
    """The manifest files that a source of a manifest format stands for.

    Raises:
        DataError: none are there.
    """
    path = Path(source)
    if path.is_file():
        return [path]
    if format == "infinity":
        found = infinity_files(path)
    elif format == "coco":
        found = _coco_files(path)
    else:
        found = [file for file in _manifests(path) if _of_file(file) == format]
    if not found:
        raise DataError(f"There is no {format} file in {source}; check the path.")
    return found


def _of_file(path: Path) -> str:
    suffix = path.suffix.lower()
    if suffix == ".jsonl":
        return "infinity" if INFINITY_NAME.fullmatch(path.name) else "jsonl"
    if suffix == ".json":
        return "coco" if is_coco(read_json(path)) else "json"
    if suffix in _BY_SUFFIX:
        return _BY_SUFFIX[suffix]
    raise DataError(
        f"{path} is not data that can be trained from; give a folder, a .json, .jsonl, .csv, .tar "
        "or .parquet file, or name its kind with data.format."
    )


def _of_folder(path: Path) -> str:
    if is_prepared(path):
        return "prepared"
    if is_saved_dataset(path):
        return "huggingface"
    if is_world(str(path)):
        return "world"
    if infinity_files(path):
        return "infinity"
    if any(path.glob("*.tar")):
        return "webdataset"
    manifests = list(_manifests(path))
    if len(manifests) == 1:
        return _of_file(manifests[0])
    if len(manifests) > 1:
        names = ", ".join(file.name for file in manifests[:5])
        raise DataError(f"{path} holds several lists of pictures ({names}); name the one to use.")
    if _coco_files(path):
        return "coco"
    if table_files(path):
        return "huggingface"
    if next(picture_files(path), None) is not None:
        return "folder"
    raise DataError(f"{path} holds neither pictures nor lists of them; check the path.")


def _manifests(path: Path) -> Iterator[Path]:
    named = [path / name for name in MANIFESTS if (path / name).is_file()]
    if named:
        yield from named[:1]
        return
    for file in sorted(path.iterdir()):
        if file.is_file() and file.suffix.lower() in (".jsonl", ".csv", ".tsv", ".json"):
            yield file


def _coco_files(path: Path) -> list[Path]:
    return sorted((path / "annotations").glob("captions_*.json"))
