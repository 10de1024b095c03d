"""Folders of pictures: captions in files beside them, in Hugging Face's metadata files, or in the names
of folders; the layouts of img2dataset and of kohya's trainer among them."""

import logging
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from training.config.settings import DataSettings
from training.data.captions import (
    BESIDE,
    LONGEST_TEXT,
    NO_CAPTION,
    RECORD_SUFFIX,
    Captions,
    captions_beside,
    required,
    texts_of,
)
from training.data.errors import DataError, RecordError, Skip, made_or_skip, printable
from training.data.files import files_below, is_picture, of_split
from training.data.records import Record
from training.data.tables import METADATA, manifest_records

logger = logging.getLogger(__name__)

_REPEATED = re.compile(r"([1-9]\d*)_(.+)", re.DOTALL)
"""kohya's folders: how often their pictures come up, and what they show."""


def folder_records(folder: Path, settings: DataSettings) -> Iterator[Record | Skip]:
    """Pictures below ``folder`` of the split ``data.split``, in the order of their paths.

    Where a metadata file lies, those that it lists, with its captions. Else the captions lie beside the
    pictures: ``name.txt`` or ``name.caption``, ``name.short.txt``, the fields of ``name.json``; where
    none has such a file, the name of its folder is the caption.

    Raises:
        DataError: no pictures, nothing to caption them with, or no such split.
    """
    files = list(files_below(folder))
    pictures = [path for path in files if is_picture(path)]
    if not pictures:
        raise DataError(f"{folder} holds no pictures; check the path.")
    lists = [path for path in files if path.name.lower() in METADATA]
    beside = {} if lists else _beside(files)
    by_text = _captioned(
        [files for path in pictures if (files := beside.get(path.with_suffix("")))]
    )
    chosen = of_split(pictures, folder, settings.split, by_name=not by_text)
    if lists:
        yield from _listed(lists, folder, settings, chosen, set(pictures) - set(chosen))
        return
    if settings.captions and not by_text and all(path.parent == folder for path in chosen):
        raise DataError(
            f"The pictures in {folder} have no captions; put a .txt file beside each, or sort them "
            "into folders named after what they show."
        )
    repeats = _repeats(folder, chosen) if settings.folder_repeats else {}

    def record(path: Path) -> Record:
        if by_text:
            captions = _captions_of(beside.get(path.with_suffix(""), {}), settings, path.stem)
        else:
            captions = _folder_name(path.parent, folder, settings, repeated=bool(repeats))
        place = path.relative_to(folder)
        times = repeats.get(place.parts[0], 1)
        return Record(key=place.as_posix(), place=str(path), captions=captions, repeats=times)

    for name, path in sorted((path.relative_to(folder).as_posix(), path) for path in chosen):
        yield made_or_skip(name, partial(record, path))


def _listed(
    lists: Sequence[Path],
    folder: Path,
    settings: DataSettings,
    chosen: Sequence[Path],
    left_out: set[Path],
) -> Iterator[Record | Skip]:
    """What metadata files list, but for pictures of other splits."""
    kinds = {path.suffix.lower(): printable(str(path.relative_to(folder))) for path in lists}
    if len(kinds) > 1:
        raise DataError(
            f"{folder} holds metadata of several kinds, {' and '.join(kinds.values())}; leave one of "
            "them there."
        )
    apart = {os.path.realpath(path) for path in left_out}
    missing = len(chosen)
    for path in lists:
        for item in manifest_records(path, settings, root=folder):
            if not (isinstance(item, Record) and apart and os.path.realpath(item.place) in apart):
                missing -= 1
                yield item
    if missing > 0:
        message = "%s: at least %d pictures are in no metadata file and are left out"
        logger.warning(message, printable(str(folder)), missing)


def _beside(files: Sequence[Path]) -> dict[Path, dict[str, Path]]:
    """Path without suffix -> suffix in lower case -> the file that may hold a caption."""
    found: dict[Path, dict[str, Path]] = {}
    for path in files:
        suffix = max((s for s in BESIDE if path.name.lower().endswith(s)), key=len, default="")
        if suffix:
            stem = path.with_name(path.name[: -len(suffix)])
            found.setdefault(stem, {})[suffix] = path
    return found


def _captioned(beside: Sequence[Mapping[str, Path]]) -> bool:
    """Whether files beside pictures hold captions: any text file, or the first JSON file."""
    if any(files.keys() - {RECORD_SUFFIX} for files in beside):
        return True
    try:
        return bool(beside) and _captions_of(beside[0], DataSettings(), "") is not NO_CAPTION
    except RecordError as error:
        return error.reason == "unreadable text"


def _captions_of(files: Mapping[str, Path], settings: DataSettings, name: str) -> Captions:
    contents = {}
    for suffix, path in files.items():
        try:
            with path.open("rb") as file:
                contents[suffix] = file.read(LONGEST_TEXT + 1)
        except OSError as error:
            raise DataError(
                f"{path} cannot be read ({error.strerror}); check its rights."
            ) from error
    return captions_beside(contents, settings, name)


def _folder_name(parent: Path, folder: Path, settings: DataSettings, *, repeated: bool) -> Captions:
    name = "" if parent == folder else parent.name
    if repeated and (match := _REPEATED.fullmatch(name)):
        name = match[2]
    name = printable(name)
    if "\\x" in name:
        detail = f"the name of its folder is no UTF-8; rename {printable(str(parent))}."
        raise RecordError("unreadable text", detail)
    texts = texts_of(name.replace("_", " ").replace("-", " "), name)
    return required(Captions(long=texts), settings.captions, "it lies in no folder that names it")


def _repeats(folder: Path, pictures: Sequence[Path]) -> dict[str, int]:
    """Folder -> how often its pictures come up, where all folders are named as kohya's are."""
    names = sorted({path.relative_to(folder).parts[0] for path in pictures})
    matches = [_REPEATED.fullmatch(name) for name in names]
    if not all(matches) or any(path.parent == folder for path in pictures):
        return {}
    repeats = {match[0]: int(match[1]) for match in matches if match}
    logger.warning(
        "%s: pictures come up as often as their folders say, as in kohya's trainer (%s); "
        "data.folder_repeats false takes each once",
        printable(str(folder)),
        ", ".join(f"{times} times {printable(name)}" for name, times in [*repeats.items()][:5]),
    )
    return repeats
