"""Files over http: read once from beginning to end, or a piece at a time.

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

import httpx2
from filelock import FileLock

from infinity.errors import ResourceError
from infinity.files import disk_errors
from training.data.errors import DataError

logger = logging.getLogger(__name__)

_TRIES, _WAIT_S, _TIMEOUT_S = 4, 0.5, 60.0
_CHUNK = 1 << 20


def is_url(text: str) -> bool:
    return text.startswith(("http://", "https://"))


def cache_folder() -> Path:
    """Where what was read once is kept: $XDG_CACHE_HOME/infinity or ~/.cache/infinity."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "infinity"


class Stream:
    """A file over http as far as ``tarfile`` needs it: ``read`` from front to back."""

    def __init__(self, response: httpx2.Response) -> None:
        self._chunks = response.iter_raw(_CHUNK)
        self._left = b""

    def read(self, size: int) -> bytes:
        """The next ``size`` bytes, fewer at the end."""
        parts, wanted = [self._left], size - len(self._left)
        while wanted > 0 and (chunk := next(self._chunks, b"")):
            parts.append(chunk)
            wanted -= len(chunk)
        data = b"".join(parts)
        self._left = data[size:]
        return data[:size]


@contextmanager
def streamed(url: str) -> Iterator[Stream]:
    """The whole file, as a stream.

    Raises:
        ResourceError: the server does not answer, or has no such file.
    """
    with _plain_errors(url), _client().stream("GET", url, headers=_plain()) as response:
        response.raise_for_status()
        yield Stream(response)


def fetched(url: str, offset: int, length: int) -> bytes:
    """A piece of a file; tried again where the connection breaks.

    Raises:
        ResourceError: the server does not answer, or has no such file.
        DataError: the file is shorter than it was.
    """
    copy = _copy_of(url)
    if not copy.is_file():
        piece = _piece(url, offset, length)
        if piece is not None:
            return _whole(piece, length, url)
        _keep(url, copy)
    with copy.open("rb") as file:
        file.seek(offset)
        return _whole(file.read(length), length, url)


def file_tag(url: str) -> str:
    """What changes when the file does: its length and the server's tag."""
    with _plain_errors(url):
        response = _client().head(url, headers=_plain())
        response.raise_for_status()
    return " ".join(
        response.headers.get(name, "") for name in ("content-length", "etag", "last-modified")
    )


def _piece(url: str, offset: int, length: int) -> bytes | None:
    """Bytes of a file, or None where the server only sends whole files."""
    wanted = {**_plain(), "range": f"bytes={offset}-{offset + length - 1}"}
    for attempt in range(_TRIES):
        try:
            with _plain_errors(url), _client().stream("GET", url, headers=wanted) as response:
                if response.status_code == httpx2.codes.PARTIAL_CONTENT:
                    return b"".join(response.iter_raw())
                response.raise_for_status()
                return None
        except ResourceError as error:
            passing = isinstance(error.__cause__, httpx2.TransportError)
            if not passing or attempt == _TRIES - 1:
                raise
            logger.warning("%s; trying again", error)
            time.sleep(_WAIT_S * 2**attempt)
    raise AssertionError("unreachable: the last attempt returns or raises")


def _keep(url: str, copy: Path) -> None:
    """Downloads a file once, whoever asks first; the others wait."""
    with disk_errors(copy):
        copy.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(copy.with_suffix(".lock")):
            if copy.is_file():
                return
            draft = copy.with_suffix(".writing")
            with streamed(url) as stream, draft.open("wb") as file:
                while data := stream.read(_CHUNK):
                    file.write(data)
            draft.replace(copy)


def _copy_of(url: str) -> Path:
    return cache_folder() / "shards" / f"{hashlib.sha256(url.encode()).hexdigest()}.tar"


def _client() -> httpx2.Client:
    """One client a process: connections must not be shared over a fork."""
    return _client_of(os.getpid())


@lru_cache(maxsize=1)
def _client_of(_: int) -> httpx2.Client:
    return httpx2.Client(follow_redirects=True, timeout=_TIMEOUT_S)


def _plain() -> dict[str, str]:
    return {"accept-encoding": "identity"}


def _whole(data: bytes, length: int, url: str) -> bytes:
    if len(data) != length:
        raise DataError(f"{url} has become shorter since it was listed; run the command again.")
    return data


@contextmanager
def _plain_errors(url: str) -> Iterator[None]:
    try:
        yield
    except httpx2.TransportError as error:
        raise ResourceError(
            f"{url} cannot be reached ({error}); check the address and the network."
        ) from error
    except httpx2.HTTPStatusError as error:
        raise ResourceError(
            f"{url} cannot be fetched: the server answers {error.response.status_code}; check the "
            "address."
        ) from error
