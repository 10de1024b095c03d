"""Folders of pictures: captions in ``.txt`` files beside them or in folder names; COCO captions."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from training.config.settings import DataSettings
from training.data.captions import NO_CAPTION, Captions
from training.data.errors import DataError
from training.data.fields import texts_of
from training.data.manifests import read_json
from training.data.paths import PictureFolders
from training.data.records import Entry, Skip

PICTURE_SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif", ".jp2", ".ppm"}
)
_LONGEST_TEXT = 100_000  # bytes of a caption file


def picture_files(folder: Path) -> Iterator[Path]:
    """Pictures below a folder in the order of their paths; hidden folders are left out."""
    for parent, names, files in os.walk(folder):
        names[:] = sorted(name for name in names if not name.startswith("."))
        for name in sorted(files):
            if Path(name).suffix.lower() in PICTURE_SUFFIXES and not name.startswith("."):
                yield Path(parent) / name


def folder_entries(folder: Path, settings: DataSettings) -> Iterator[Entry | Skip]:
    """Pictures below ``folder``: with ``name.txt`` (and ``name.short.txt``) beside them.

    Where no picture has a ``.txt``, the name of its folder is the caption.

    Raises:
        DataError: no pictures, or nothing to caption them with.
    """
    files = list(picture_files(folder))
    if not files:
        raise DataError(f"{folder} holds no pictures; check the path.")
    by_text = any(path.with_suffix(".txt").is_file() for path in files)
    if settings.captions and not by_text and all(path.parent == folder for path in files):
        raise DataError(
            f"The pictures in {folder} have no captions; put a .txt file beside each, or sort them "
            "into folders named after what they show."
        )
    for path in sorted(files, key=lambda path: path.relative_to(folder).as_posix()):
        key = path.relative_to(folder).as_posix()
        if by_text:
            long = _text_file(path.with_suffix(".txt"))
            short = _text_file(path.with_suffix(".short.txt"))
            missing = "its .txt file is missing or empty"
        else:
            named = path.parent.name.replace("_", " ").replace("-", " ")
            long, short = texts_of(named if path.parent != folder else ""), ()
            missing = "it lies in no folder that names it"
        if long or short:
            yield Entry(key=key, place=str(path), captions=Captions(long=long, short=short))
        elif not settings.captions:
            yield Entry(key=key, place=str(path), captions=NO_CAPTION)
        else:
            yield Skip(reason="empty caption", key=key, detail=missing)


def coco_entries(path: Path, settings: DataSettings) -> Iterator[Entry | Skip]:
    """COCO captions: an annotation file whose pictures lie in the folders COCO comes with.

    The captions of a picture are alternatives; pictures are in the order of the file.

    Raises:
        DataError: not a COCO caption file.
    """
    content = read_json(path)
    if not is_coco(content):
        raise DataError(f"{path} is not a COCO caption file: it lacks images or annotations.")
    captions: dict[Any, list[str]] = {}
    for annotation in content["annotations"]:
        if isinstance(annotation, dict) and isinstance(annotation.get("image_id"), int | str):
            captions.setdefault(annotation["image_id"], []).extend(
                texts_of(annotation.get("caption"))
            )
    part = path.stem.removeprefix("captions_")
    folders = PictureFolders(path, settings.picture_folders)
    places = ("", f"{part}/", "images/", f"images/{part}/")
    for number, image in enumerate(content["images"], 1):
        name = image.get("file_name") if isinstance(image, dict) else None
        if not isinstance(name, str) or not name:
            yield Skip(reason="broken record", key=f"image {number}", detail="no file_name")
            continue
        texts = tuple(captions.get(image.get("id"), ()))
        if not texts and settings.captions:
            yield Skip(reason="empty caption", key=name, detail=f"{path.name}, image {number}")
            continue
        found = [folders.find(place + name, f"image {number}") for place in places]
        place = next((file for file in found if file.is_file()), None)
        if place is None:
            yield Skip(reason="missing file", key=name, detail=f"not in {folders.bases[0]}")
            continue
        yield Entry(key=name, place=str(place), captions=Captions(long=texts or NO_CAPTION.long))


def is_coco(content: Any) -> bool:
    """Whether a JSON file's content is laid out like COCO's annotations."""
    return isinstance(content, dict) and all(
        isinstance(content.get(name), list) for name in ("images", "annotations")
    )


def _text_file(path: Path) -> tuple[str, ...]:
    """The caption in a text file, lines joined; empty where there is none."""
    try:
        with path.open("rb") as file:
            text = file.read(_LONGEST_TEXT).decode("utf-8-sig", errors="replace")
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); check its rights.") from error
    return texts_of(" ".join(text.split()))
