"""Which files belong to which split, by the names of their folders or their own (Hugging Face's rules).

Parity: ``datasets.data_files``, tests/training/data/test_folders.py; upper case is the same here.
"""

import logging
import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from training.data.errors import DataError
from training.data.text import printable

logger = logging.getLogger(__name__)

KEYWORDS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "dev", "val"),
    "test": ("test", "testing", "eval", "evaluation"),
}
ALL = "all"
"""As a split's name: everything, whatever it is called."""

_PATTERNS = {
    split: re.compile(
        rf"(?:.*[-._ 0-9])?(?:{'|'.join(words)})(?:[-._ 0-9].*)?", re.IGNORECASE | re.DOTALL
    )
    for split, words in KEYWORDS.items()
}


def of_split(
    files: Sequence[Path], folder: Path, split: str, *, by_name: bool = True
) -> list[Path]:
    """The files of one split; all of them are "train" where no name says anything else.

    Args:
        by_name: the files' own names count too, where those of no folders do.

    Raises:
        DataError: there is no such split, or files beside the only split that there is.
    """
    if split == ALL:
        return list(files)
    found = _sorted_out([(file, file.relative_to(folder).parts[:-1]) for file in files])
    if not found and by_name:
        found = _sorted_out([(file, (file.name,)) for file in files])
    if not found:
        found = {"train": list(files)}
    wanted = next((name for name, words in KEYWORDS.items() if split in words), split)
    if wanted not in found:
        raise DataError(
            f"{folder} has no split {split!r}; set data.split to {', '.join(found)}, or to {ALL} to "
            "use everything in it."
        )
    placed = set().union(*found.values())
    outside = [file for file in files if file not in placed]
    if outside and len(found) == 1:
        raise DataError(
            f"{folder} holds {printable(str(found[wanted][0].relative_to(folder)))}, which is of the "
            f"split {wanted!r} by its name, and {printable(str(outside[0].relative_to(folder)))}, "
            f"which is of none; name the folder to use, or set data.split to {ALL}."
        )
    if len(found[wanted]) < len(files):
        parts = {name: len(members) for name, members in found.items() if name != wanted}
        parts |= {"none": len(outside)} if outside else {}
        others = ", ".join(f"{count} of the split {name}" for name, count in parts.items())
        logger.warning("%s: left out: %s", printable(str(folder)), others)
    return found[wanted]


def _sorted_out(named: Sequence[tuple[Path, Sequence[str]]]) -> dict[str, list[Path]]:
    """Split -> its files; of several names, the innermost that says something counts."""
    found: dict[str, list[Path]] = {name: [] for name in KEYWORDS}
    for file, names in named:
        for name in reversed(names):
            splits = _splits_of(name)
            for split in splits:
                found[split].append(file)
            if splits:
                break
    return {split: files for split, files in found.items() if files}


@lru_cache(4096)
def _splits_of(name: str) -> tuple[str, ...]:
    return tuple(split for split, pattern in _PATTERNS.items() if pattern.fullmatch(name))
