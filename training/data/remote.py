"""Files here or over http: read once from beginning to end, then a piece at a time.

A server that cannot send pieces makes each of its files be kept here in full, once.
"""

import hashlib
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx2
from filelock import FileLock

from infinity.errors import ResourceError
from infinity.files import disk_errors
from training.data.errors import DataError

logger = logging.getLogger(__name__)

_WAITS_S = (0.5, 1.0, 2.0)
"""Before the second and later tries."""
_TIMEOUT_S = 60.0
_CHUNK = 1 << 16


def is_url(text: str) -> bool:
    return text.startswith(("http://", "https://"))


def cache_folder() -> Path:
    """Where what was read once is kept: $XDG_CACHE_HOME/infinity or ~/.cache/infinity."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "infinity"


@contextmanager
def opened(name: str) -> Iterator[Any]:
    """The whole file, to be read from front to back, by ``tarfile`` or the like.

    Raises:
        FileNotFoundError: there is none here.
        ResourceError: the server does not answer, or has no such file.
    """
    if is_url(name):
        with _answer(name) as response:
            chunks = response.iter_raw(_CHUNK)
            yield SimpleNamespace(read=lambda _: next(chunks, b""))
    else:
        with Path(name).open("rb") as file:
            yield file


def piece(name: str, offset: int, length: int) -> bytes:
    """A part of a file; tried again where the connection breaks.

    Raises:
        ResourceError: the server does not answer, or has no such file.
        DataError: the file is shorter than it was.
    """
    tag = hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()
    path = cache_folder() / "shards" / f"{tag}.tar" if is_url(name) else Path(name)
    data = None
    if is_url(name) and not path.is_file():
        data = _sent(name, f"bytes={offset}-{offset + length - 1}")
        if data is None:
            _keep(name, path)
    if data is None:
        with path.open("rb") as file:
            file.seek(offset)
            data = file.read(length)
    if len(data) != length:
        raise DataError(f"{name} has become shorter since it was listed; run the command again.")
    return data


def file_tag(name: str) -> str:
    """What changes when a file does: its size, time and the server's tag; empty where there is none here."""
    if is_url(name):
        with _answer(name, "HEAD") as response:
            about = response.headers
        tags = (about.get(tag, "") for tag in ("content-length", "etag", "last-modified"))
        return f"{name} {' '.join(tags)}"
    path = Path(name)
    if not path.is_file():
        return ""
    state = path.stat()
    return f"{path.absolute()} {state.st_size} {state.st_mtime_ns}"


def _sent(url: str, part: str) -> bytes | None:
    """A range of bytes, or None where the server only sends whole files."""
    for wait in (*_WAITS_S, None):
        try:
            with _answer(url, headers={"range": part}) as response:
                partial = response.status_code == httpx2.codes.PARTIAL_CONTENT
                return b"".join(response.iter_raw()) if partial else None
        except ResourceError as error:
            if wait is None or not isinstance(error.__cause__, httpx2.TransportError):
                raise
            logger.warning("%s; trying again", error)
            time.sleep(wait)
    raise AssertionError("unreachable: the last try returns or raises")


def _keep(url: str, copy: Path) -> None:
    """Downloads a file once, whoever asks first; the others wait."""
    with disk_errors(copy):
        copy.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(copy.with_suffix(".lock")):
            if copy.is_file():
                return
            draft = copy.with_suffix(".writing")
            with _answer(url) as response, draft.open("wb") as file:
                file.writelines(response.iter_raw(_CHUNK))
            draft.replace(copy)


@contextmanager
def _answer(
    url: str, method: str = "GET", headers: dict[str, str] | None = None
) -> Iterator[httpx2.Response]:
    """A server's answer, not read yet. Raises ResourceError also while it is read."""
    try:
        with _client(os.getpid()).stream(method, url, headers=headers) as response:
            response.raise_for_status()
            yield response
    except httpx2.TransportError as error:
        raise ResourceError(
            f"{url} cannot be reached ({error}); check the address and the network."
        ) from error
    except httpx2.HTTPStatusError as error:
        raise ResourceError(
            f"{url} cannot be fetched: the server answers {error.response.status_code}; check the "
            "address."
        ) from error


@lru_cache(maxsize=1)
def _client(_: int) -> httpx2.Client:
    """One client a process: connections must not be shared over a fork."""
    plain = {"accept-encoding": "identity"}
    return httpx2.Client(follow_redirects=True, timeout=_TIMEOUT_S, headers=plain)
