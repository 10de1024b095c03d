"""The files of a source: those below its folder, those of a split, and those that a list may name."""

import logging
import os
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path

from training.data.errors import DataError, printable

logger = logging.getLogger(__name__)

PICTURE_SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif", ".jp2", ".ppm"}
)
ALL = "all"
"""As a split's name: everything, whatever it is called."""

_KEYWORDS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "dev", "val"),
    "test": ("test", "testing", "eval", "evaluation"),
}
_PATTERNS = {
    split: re.compile(
        rf"(?:.*[-._ 0-9])?(?:{'|'.join(words)})(?:[-._ 0-9].*)?", re.IGNORECASE | re.DOTALL
    )
    for split, words in _KEYWORDS.items()
}
_ASIDE = frozenset({"splits", "annotations", "jsonls", "manifests"})
"""Folders that hold manifests beside the pictures' folder: paths may start one level above."""
_SHOWN = 200  # characters of a wrong path in a message


def cache_folder() -> Path:
    """Where what was read once is kept: $XDG_CACHE_HOME/infinity or ~/.cache/infinity."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "infinity"


def is_picture(path: Path) -> bool:
    return path.suffix.lower() in PICTURE_SUFFIXES


def own_files(folder: Path) -> list[Path]:
    """Files in a folder itself.

    Raises:
        DataError: there is no such folder, or it cannot be read.
    """
    try:
        return sorted(file for file in folder.iterdir() if file.is_file())
    except OSError as error:
        raise DataError(f"{folder} cannot be read ({error.strerror}); check the path.") from error


def files_below(folder: Path) -> Iterator[Path]:
    """Files below a folder, its own first; hidden files and folders are left out.

    Links to folders are followed. A folder that several ways lead to is read once, as its own before
    as a link's, so that links in a circle end.
    """

    def say(error: OSError) -> None:
        name = printable(str(error.filename))
        logger.warning("the folder %s is left out: it cannot be read (%s)", name, error.strerror)

    seen: set[tuple[int, int]] = set()
    for parent, names, files in os.walk(folder, followlinks=True, onerror=say):
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
        yield from (Path(parent) / name for name in sorted(files) if not name.startswith("."))


def of_split(
    files: Sequence[Path], folder: Path, split: str, *, by_name: bool = True
) -> list[Path]:
    """The files of one split, by the names of their folders or their own; all of them are "train" where
    no name says anything else.

    Parity: ``datasets.data_files``, tests/training/data/test_folders.py; upper case is the same here.

    Args:
        by_name: the files' own names count too, where those of no folders do.

    Raises:
        DataError: there is no such split, or files beside the only split that there is.
    """
    if split == ALL:
        return list(files)
    splits = [_innermost(file.relative_to(folder).parts[:-1]) for file in files]
    if not any(splits) and by_name:
        splits = [_splits_of(file.name) for file in files]
    if not any(splits):
        splits = [("train",)] * len(files)
    counts = {name: n for name in _KEYWORDS if (n := sum(name in each for each in splits))}
    wanted = next((name for name, words in _KEYWORDS.items() if split in words), split)
    if wanted not in counts:
        raise DataError(
            f"{folder} has no split {split!r}; set data.split to {', '.join(counts)}, or to {ALL} to "
            "use everything in it."
        )
    found = [file for file, each in zip(files, splits, strict=True) if wanted in each]
    outside = [file for file, each in zip(files, splits, strict=True) if not each]
    if outside and len(counts) == 1:
        one, other = (printable(str(part[0].relative_to(folder))) for part in (found, outside))
        raise DataError(
            f"{folder} holds {one}, which is of the split {wanted!r} by its name, and {other}, which "
            f"is of none; name the folder to use, or set data.split to {ALL}."
        )
    if len(found) < len(files):
        others = {name: count for name, count in counts.items() if name != wanted}
        others |= {"none": len(outside)} if outside else {}
        parts = ", ".join(f"{count} of the split {name}" for name, count in others.items())
        logger.warning("%s: left out: %s", printable(str(folder)), parts)
    return found


def _innermost(names: Sequence[str]) -> tuple[str, ...]:
    """The splits of the last name that says something."""
    return next(filter(None, map(_splits_of, reversed(names))), ())


@lru_cache(4096)
def _splits_of(name: str) -> tuple[str, ...]:
    return tuple(split for split, pattern in _PATTERNS.items() if pattern.fullmatch(name))


class PictureFolders:
    """Turns the paths of a manifest into files of the data's own folders, nowhere else.

    A relative path is looked up in the manifest's folder, then in the others, then in the working
    directory (upstream's rule). Links are followed before a path is judged.

    Args:
        manifest: its folder is the first to look in.
        others: more folders that paths may lead to.
        inside: folders in each of these that paths may start from, tried in turn.
    """

    def __init__(
        self, manifest: Path, others: Sequence[str | Path] = (), inside: Sequence[str] = ("",)
    ) -> None:
        self.manifest, self._inside = manifest, inside
        folder = manifest.parent.resolve()
        above = (folder.parent,) if folder.name in _ASIDE else ()
        named = [Path(other).resolve() for other in others]
        self._bases = list(dict.fromkeys((folder, *above, *named, Path.cwd())))

    def find(self, text: str, where: str) -> Path:
        """The file that ``text`` names; it may not exist.

        Args:
            where: the line or entry that names it, for messages.

        Raises:
            DataError: it lies outside of the data's folders, is a URL, or can be no file's name.
        """
        shown = f"{where} names {printable(text)[:_SHOWN]}"
        if "://" in text:
            raise DataError(
                f"{shown}, a URL; download the pictures first, or give WebDataset shards, which may "
                "be streamed."
            )
        first: Path | None = None
        leads_out = False
        try:
            name = os.fsdecode(text.encode("utf-8", "surrogateescape"))  # whatever the locale says
            name = name if Path(name).is_absolute() else name.replace("\\", "/")
            for path in (base / each / name for each in self._inside for base in self._bases):
                if not self._holds(path):
                    leads_out = leads_out or path.exists()
                elif path.is_file():
                    return path
                else:
                    first = first or path
        except (OSError, ValueError) as error:
            raise DataError(f"{shown}, which no file can be called; correct the path.") from error
        if first is None or leads_out:
            raise DataError(
                f"{shown}, which lies outside of {self._bases[0]}; correct the path, or allow its "
                "folder with data.picture_folders."
            )
        return first

    def _holds(self, path: Path) -> bool:
        is_plain = path.name not in ("", "..") and not path.is_symlink()
        resolved = _real_folder(path.parent) if is_plain else os.path.realpath(path)
        return any(Path(resolved).is_relative_to(base) for base in self._bases)


@lru_cache(maxsize=4096)  # a list of a million pictures names few folders
def _real_folder(folder: Path) -> str:
    return os.path.realpath(folder)
