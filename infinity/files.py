"""Reading and writing files safely: no pipes or devices, limited size, one sentence for each error.

Opening a pipe waits for its writer and a device never ends, so only files are opened.
"""

import errno
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from infinity.errors import CheckpointError, RequestError, ResourceError

DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
MOST_BYTES = 2**26
"""No settings, index or vocabulary is as large."""


def special(path: Path) -> str:
    """ "pipe", "socket" or "device" for paths that must not be opened; "" for files and folders."""
    kinds = (
        (Path.is_fifo, "pipe"),
        (Path.is_socket, "socket"),
        (Path.is_char_device, "device"),
        (Path.is_block_device, "device"),
    )
    return next((kind for is_kind, kind in kinds if is_there(path) and is_kind(path)), "")


def is_there(path: Path) -> bool:
    """Whether a path exists; false for one that no system can have, too."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def read_text(path: Path, most: int = MOST_BYTES) -> str:
    """A text file in UTF-8.

    Raises:
        OSError: it is not there, no file, or may not be read.
        ValueError: it is too large, or no text.
    """
    if kind := special(path):
        raise OSError(f"it is a {kind}, not a file")
    if (size := path.stat().st_size) > most:
        raise ValueError(f"it has {size:,} bytes, more than {most:,}")
    return path.read_text(encoding="utf-8")


def read_json(path: Path) -> Any:
    """What a JSON file holds. Raises as :func:`read_text`, and ValueError where it is no JSON."""
    return parse_json(read_text(path))


def parse_json(text: str) -> Any:
    """What JSON says.

    Raises:
        ValueError: it is no JSON, or nested too deeply.
    """
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def parse_object(text: str, what: str) -> dict[str, Any]:
    """A JSON object. Raises RequestError, which begins with ``what``."""
    try:
        data = parse_json(text)
    except ValueError as error:
        raise RequestError(f"{what} is damaged: {error}.") from error
    if not isinstance(data, dict):
        raise RequestError(f"{what} is damaged: a JSON object is needed.")
    return data


def read_object(path: Path, advice: str) -> dict[str, Any]:
    """The JSON object in a file of a model's folder.

    Args:
        advice: the end of the sentence, what to do.

    Raises:
        CheckpointError: it is not there, cannot be read, or holds anything else.
    """
    try:
        data = read_json(path)
    except FileNotFoundError as error:
        raise CheckpointError(f"{path} does not exist; {advice}.") from error
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} cannot be read ({first_line(error)}); {advice}.") from error
    if not isinstance(data, dict):
        raise CheckpointError(f"{path} holds no JSON object; {advice}.")
    return data


def first_line(error: Exception) -> str:
    return str(error).strip().split("\n", 1)[0].rstrip(".")[:300] or type(error).__name__


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn a failing write to ``path`` into one sentence.

    Raises:
        ResourceError: on any OSError inside the block.
    """
    try:
        yield
    except OSError as error:
        if error.errno in DISK_FULL:
            message = f"The disk is full: {path} was not saved; free some space and try again."
        elif isinstance(error, PermissionError):
            message = f"{path} may not be written; choose another place."
        else:
            message = f"{path} could not be saved ({error.strerror or error}); check the path."
        raise ResourceError(message) from error
