"""Files of arrays (numpy's ``.npz``): written whole, read within limits, whoever made them."""

import json
import math
import struct
import tokenize
import uuid
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from infinity.errors import RequestError
from infinity.files import disk_errors, parse_object, special

ABOUT = "about"
BEGINS = b"PK\x03\x04"
MOST_BYTES = 2**26
"""Of a file, and of all that is read of it once it is unpacked."""
MOST_DIRECTORY = 2**18
"""Bytes of a zip's list of its members: some thousand names."""
_END = struct.Struct("<4s4H2LH")
_END_BEGINS, _LARGE_END_BEGINS, _LARGE_END = b"PK\x05\x06", b"PK\x06\x07", 20
_BROKEN = (
    OSError, ValueError, EOFError, LookupError, TypeError, SyntaxError, ArithmeticError, RuntimeError,
    MemoryError, tokenize.TokenError, struct.error, zlib.error, zipfile.BadZipFile,
)  # fmt: skip
"""What zipfile and numpy raise on damaged files."""


def save_arrays(path: Path, arrays: Mapping[str, np.ndarray], about: Mapping[str, Any]) -> None:
    """Write a ``.npz``, whole or not at all; ``about`` goes in as JSON. Missing folders are made.

    Raises:
        ResourceError: the disk is full, or the place may not be written.
    """
    temporary = path.with_name(f".{uuid.uuid4().hex}")
    told = np.array(json.dumps(about, ensure_ascii=False))
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("wb") as file:
                np.savez_compressed(file, **{ABOUT: told}, **arrays)  # type: ignore[arg-type]
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def holds_arrays(path: Path) -> bool:
    """Whether a file begins as a ``.npz`` does."""
    try:
        if special(path) or not path.is_file():
            return False
        with path.open("rb") as file:
            return file.read(len(BEGINS)) == BEGINS
    except (OSError, ValueError):
        return False


def read_arrays(
    path: Path, is_wanted: Callable[[str], bool], name: str
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The wanted arrays of a ``.npz`` and what it says about them; others are not unpacked.

    Args:
        name: what to call the file in messages.

    Raises:
        RequestError: damaged, too large, packed in an unusual way, or with Python objects in it.
    """
    try:
        _check(path, is_wanted)
        with np.load(path, allow_pickle=False) as file:
            arrays = {key: file[key] for key in set(file.files) if is_wanted(key)}
            about = str(file[ABOUT])
    except _BROKEN as error:
        reason = str(error).partition("\n")[0][:200] or type(error).__name__
        raise RequestError(
            f"{name} cannot be read as a file of bits ({reason}); save it again, or give the picture."
        ) from error
    return arrays, parse_object(about, f"{name} as a file of bits")


def _check(path: Path, is_wanted: Callable[[str], bool]) -> None:
    """Raises ValueError for what would cost too much to read."""
    if (size := path.stat().st_size) > MOST_BYTES:
        raise ValueError(f"it has {size:,} bytes, more than {MOST_BYTES:,}")
    with path.open("rb") as file:
        file.seek(max(0, size - _END.size - _LARGE_END))
        last = file.read()
    begins, *_, directory, _, comment = _END.unpack(last[-_END.size :])
    if begins != _END_BEGINS or comment or last[:4] == _LARGE_END_BEGINS:
        raise ValueError("it does not end as such a file does")
    if directory > MOST_DIRECTORY:
        raise ValueError("it lists too many parts")
    with zipfile.ZipFile(path) as packed:
        members = [m for m in packed.infolist() if _is_read(m.filename, is_wanted)]
        if any(m.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for m in members):
            raise ValueError("it is packed in an unusual way")
        if (total := sum(m.file_size for m in members)) > MOST_BYTES:
            raise ValueError(f"it would unpack to {total:,} bytes, more than {MOST_BYTES:,}")
        for member in members:
            with packed.open(member) as part:
                if np.lib.format.read_magic(part) != (1, 0):
                    raise ValueError("its arrays are of another version")
                shape, _, dtype = np.lib.format.read_array_header_1_0(part)
            if math.prod(shape) * dtype.itemsize > member.file_size:
                raise ValueError(f"{member.filename} says that it is larger than it is")


def _is_read(member: str, is_wanted: Callable[[str], bool]) -> bool:
    key = member.removesuffix(".npy")
    return key == ABOUT or is_wanted(key)
