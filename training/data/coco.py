"""COCO captions: an annotation file whose pictures lie in the folders COCO comes with."""

from __future__ import annotations

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
from training.data.text import TextError


def coco_entries(path: Path, settings: DataSettings) -> Iterator[Entry | Skip]:
    """COCO captions: an annotation file whose pictures lie in the folders COCO comes with.

    The captions of a picture are alternatives; pictures are in the order of the file.

    Raises:
        DataError: not a COCO caption file.
    """
    content = read_json(path)
    if not is_coco(content):
        raise DataError(f"{path} is not a COCO caption file: it lacks images or annotations.")
    captions: dict[Any, list[Any]] = {}
    for annotation in content["annotations"]:
        if isinstance(annotation, dict) and isinstance(annotation.get("image_id"), int | str):
            captions.setdefault(annotation["image_id"], []).append(annotation.get("caption"))
    part = path.stem.removeprefix("captions_")
    folders = PictureFolders(path, settings.picture_folders)
    places = ("", f"{part}/", "images/", f"images/{part}/")
    for number, image in enumerate(content["images"], 1):
        name = image.get("file_name") if isinstance(image, dict) else None
        if not isinstance(name, str) or not name:
            yield Skip(reason="broken record", key=f"image {number}", detail="no file_name")
            continue
        known = image.get("id")
        try:
            told = captions.get(known) if isinstance(known, int | str) else None
            texts = texts_of(told, f"the caption of image {number}")
        except TextError as error:
            yield Skip(reason="unreadable text", key=name, detail=str(error))
            continue
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
