"""The files below a folder, links followed."""

import logging
import os
from collections.abc import Iterator
from pathlib import Path

from training.data.errors import DataError
from training.data.text import printable

logger = logging.getLogger(__name__)

PICTURE_SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif", ".jp2", ".ppm"}
)


def files_below(folder: Path) -> Iterator[Path]:
    """Files below a folder, its own first; hidden files and folders are left out.

    Links to folders are followed. A folder that several ways lead to is read once, as its own before
    as a link's, so that links in a circle end.
    """
    seen: set[tuple[int, int]] = set()
    for parent, names, files in os.walk(folder, followlinks=True, onerror=_say):
        state = Path(parent).stat()
        if (state.st_dev, state.st_ino) in seen:
            names.clear()
            continue
        seen.add((state.st_dev, state.st_ino))
        linked = {name: os.path.islink(os.path.join(parent, name)) for name in names}  # noqa: PTH114, PTH118
        names[:] = sorted(
            (name for name in names if not name.startswith(".")),
            key=lambda name: (linked[name], name),
        )
        for name in sorted(files):
            if not name.startswith("."):
                yield Path(parent) / name


def own_files(folder: Path) -> list[Path]:
    """Files in a folder itself.

    Raises:
        DataError: there is no such folder, or it cannot be read.
    """
    try:
        return sorted(file for file in folder.iterdir() if file.is_file())
    except OSError as error:
        raise DataError(f"{folder} cannot be read ({error.strerror}); check the path.") from error


def is_picture(path: Path) -> bool:
    return path.suffix.lower() in PICTURE_SUFFIXES


def _say(error: OSError) -> None:
    logger.warning(
        "the folder %s is left out: it cannot be read (%s)",
        printable(str(error.filename)),
        error.strerror,
    )
