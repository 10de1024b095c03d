"""WebDataset shards: tar files of pictures and captions that share a name, here or over http.

A shard is listed once, from front to back; its pictures are then read from their places in it, so
that they can come in any order without anything being unpacked. A server that cannot send pieces
makes each of its files be kept here in full, once.
"""

import hashlib
import io
import logging
import math
import os
import re
import tarfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache, partial
from itertools import groupby
from pathlib import Path, PurePosixPath
from types import SimpleNamespace
from typing import Any

import httpx2
from braceexpand import braceexpand
from filelock import FileLock

from infinity.errors import ResourceError
from infinity.files import disk_errors
from infinity.images import image_size
from training.config.settings import DataSettings
from training.data.captions import BESIDE, LONGEST_TEXT, captions_beside
from training.data.errors import DataError, RecordError, Skip, made_or_skip
from training.data.files import PICTURE_SUFFIXES, cache_folder, of_split, own_files
from training.data.records import Record

logger = logging.getLogger(__name__)

_LARGEST_PICTURE = 1 << 29  # bytes
_MOST_SHARDS = 1_000_000
_RANGE = re.compile(r"\{(\d+)\.\.(\d+)")
_WAITS_S = (0.5, 1.0, 2.0)
"""Before the second and later tries."""
_TIMEOUT_S = 60.0
_CHUNK = 1 << 16


def shard_names(source: str, split: str = "all") -> list[str]:
    """The shards of a folder, a file, a pattern with * or {000..099}, or a URL with {}.

    Args:
        split: of a folder, the shards of which split by their names.

    Raises:
        DataError: none, not that split, or commands in place of files.
    """
    if source.startswith("pipe:") or source.strip().endswith("|"):
        raise DataError(
            f"{source} would run a command; give the shards as files or http addresses."
        )
    ranges = (abs(int(last) - int(first)) + 1 for first, last in _RANGE.findall(source))
    if math.prod(ranges) > _MOST_SHARDS:
        raise DataError(f"{source} stands for too many shards; shorten the range.")
    try:
        patterns = [name for part in source.split("::") for name in braceexpand(part)]
        names = [name for pattern in patterns for name in _files(pattern, split)]
    except ValueError as error:
        raise DataError(f"{source} is not a pattern of shards ({error}); correct it.") from error
    if not names:
        raise DataError(f"There are no .tar shards at {source}; check the path.")
    return names


def _files(name: str, split: str) -> list[str]:
    path = Path(name)
    if is_url(name):
        return [name]
    if path.is_dir():
        found = [file for file in own_files(path) if file.suffix.lower() == ".tar"]
        return list(map(str, of_split(found, path, split)))
    if not any(sign in name for sign in "*?["):
        return [name]
    return sorted(map(str, Path(path.anchor).glob(str(path.relative_to(path.anchor)))))


def shard_records(shard: str, settings: DataSettings) -> Iterator[Record | Skip]:
    """Samples of one shard, in its order, measured.

    Raises:
        DataError: not a tar file, a compressed or a cut one.
        ResourceError: it cannot be fetched.
    """
    try:
        with _opened(shard) as file, tarfile.open(fileobj=file, mode="r|") as tar:  # type: ignore[call-overload]
            shown = (each for each in tar if not PurePosixPath(each.name).name.startswith("."))
            for key, members in groupby(filter(tarfile.TarInfo.isreg, shown), _key):
                make = partial(_record, key, members, tar, shard, settings)
                yield made_or_skip(f"{shard}, {key}", make)
    except FileNotFoundError as error:
        raise DataError(f"There is no shard at {shard}; check the path.") from error
    except (tarfile.TarError, EOFError, OSError) as error:
        raise DataError(
            f"{shard} is compressed, damaged or cut short ({error}); unpack it to a plain .tar, or "
            "fetch or write it again."
        ) from error


def _key(member: tarfile.TarInfo) -> str:
    """What neighboring members of one sample share: the name up to its first dot."""
    path = PurePosixPath(member.name)
    return str(path.parent / path.name.partition(".")[0])


def _record(
    key: str,
    members: Iterable[tarfile.TarInfo],
    tar: tarfile.TarFile,
    shard: str,
    settings: DataSettings,
) -> Record:
    picture: tarfile.TarInfo | None = None
    encoded, texts = b"", {}
    for each in members:
        extension = f".{PurePosixPath(each.name).name.partition('.')[2].lower()}"
        if extension in PICTURE_SUFFIXES and picture is None:
            if each.size > _LARGEST_PICTURE:
                detail = f"{each.name} has {each.size} bytes; scale it down."
                raise RecordError("broken picture", detail)
            picture, encoded = each, _content(tar, each, each.size)
        elif extension in BESIDE:
            texts[extension] = _content(tar, each, LONGEST_TEXT + 1)
    if picture is None:
        raise RecordError("missing file", "no picture")
    height, width = image_size(io.BytesIO(encoded), picture.name)
    return Record(
        key=key,
        place=shard,
        captions=captions_beside(texts, settings, key),
        offset=picture.offset_data,
        length=picture.size,
        height=height,
        width=width,
        ratio=height / width,
    )


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo, limit: int) -> bytes:
    file = tar.extractfile(member)
    assert file is not None, "regular members have content"
    wanted = min(member.size, limit)
    data = file.read(wanted)
    if len(data) < wanted:
        raise tarfile.ReadError("unexpected end of data")
    return data


def is_url(text: str) -> bool:
    return text.startswith(("http://", "https://"))


@contextmanager
def _opened(name: str) -> Iterator[Any]:
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


def encoded_picture(record: Record) -> Path | io.BytesIO:
    """A picture that is a file or a part of one, not decoded; tried again where the connection breaks.

    Raises:
        ResourceError: the server does not answer, or has no such file.
        DataError: the file is shorter than it was.
    """
    name, start, length = record.place, record.offset, record.length
    path, data = Path(name), None
    if start < 0:
        return path
    if is_url(name):
        path = cache_folder() / "shards" / f"{hashlib.sha256(name.encode()).hexdigest()}.tar"
        if not path.is_file():
            data = _sent(name, f"bytes={start}-{start + length - 1}")
            if data is None:
                _keep(name, path)
    if data is None:
        with path.open("rb") as file:
            file.seek(start)
            data = file.read(length)
    if len(data) != length:
        raise DataError(f"{name} has become shorter since it was listed; run the command again.")
    return io.BytesIO(data)


def file_tag(name: str) -> str:
    """What changes when a file does: its size, time and the server's tag; empty where there is none here."""
    if is_url(name):
        with _answer(name, "HEAD") as response:
            tags = map(response.headers.get, ("content-length", "etag", "last-modified"))
            return " ".join([name, *filter(None, tags)])
    path = Path(name)
    try:
        state = path.stat()
    except OSError:
        return ""  # it is reported when it is read
    return f"{path.absolute()} {state.st_size} {state.st_mtime_ns}"


def _sent(url: str, part: str) -> bytes | None:
    """A range of bytes, or None where the server only sends whole files."""
    for wait in (*_WAITS_S, None):
        try:
            with _answer(url, range=part) as response:
                whole = response.status_code != httpx2.codes.PARTIAL_CONTENT
                return None if whole else b"".join(response.iter_raw())
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
def _answer(url: str, method: str = "GET", **headers: str) -> Iterator[httpx2.Response]:
    """A server's answer, not read yet. Raises ResourceError also while it is read."""
    try:
        with _client(os.getpid()).stream(method, url, headers=headers) as response:
            response.raise_for_status()
            yield response
    except httpx2.HTTPError as error:
        answered = isinstance(error, httpx2.HTTPStatusError)
        why = f"the server answers {error.response.status_code}" if answered else str(error)
        raise ResourceError(
            f"{url} cannot be fetched ({why}); check the address and the network."
        ) from error


@lru_cache(maxsize=1)
def _client(_: int) -> httpx2.Client:
    """One client a process: connections must not be shared over a fork."""
    plain = {"accept-encoding": "identity"}
    return httpx2.Client(follow_redirects=True, timeout=_TIMEOUT_S, headers=plain)
