"""WebDataset shards: tar files of pictures and captions that share a name, here or over http.

A shard is listed once, from front to back; its pictures are then read from their places in it, so
that they can come in any order without anything being unpacked.
"""

import io
import math
import re
import tarfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import groupby
from pathlib import Path, PurePosixPath

from braceexpand import braceexpand

from infinity.errors import InfinityError, RequestError
from infinity.images import image_size
from training.config.settings import DataSettings
from training.data.errors import DataError, RecordError
from training.data.fields import (
    LONGEST_TEXT,
    RECORD_SUFFIX,
    SHORT_SUFFIX,
    TEXT_SUFFIXES,
    captions_beside,
)
from training.data.records import Entry, Skip, entry_or_skip
from training.data.remote import fetched, is_url, streamed
from training.data.splits import of_split
from training.data.walk import PICTURE_SUFFIXES, own_files

_LARGEST_PICTURE = 1 << 29  # bytes
_MOST_SHARDS = 1_000_000
_RANGE = re.compile(r"\{(\d+)\.\.(\d+)")


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
    names: list[str] = []
    try:
        for part in source.split("::"):
            for name in braceexpand(part):
                names += _files(name, split)
    except ValueError as error:
        raise DataError(f"{source} is not a pattern of shards ({error}); correct it.") from error
    if not names:
        raise DataError(f"There are no .tar shards at {source}; check the path.")
    return names


def shard_entries(shard: str, settings: DataSettings) -> Iterator[Entry | Skip]:
    """Samples of one shard, in its order, measured.

    Raises:
        DataError: not a tar file, a compressed or a cut one.
        ResourceError: it cannot be fetched.
    """
    try:
        with _opened(shard) as tar:
            for key, members in groupby(filter(_counts, tar), _key):
                make = partial(_entry, key, members, tar, shard, settings)
                yield entry_or_skip(key, make, f"in {shard}: ")
    except FileNotFoundError as error:
        raise DataError(f"There is no shard at {shard}; check the path.") from error
    except (tarfile.TarError, EOFError, OSError) as error:
        if isinstance(error, tarfile.ReadError) and _is_compressed(shard):
            raise DataError(
                f"{shard} is compressed, so its pictures cannot be read in any order; unpack it to "
                "a plain .tar (gunzip)."
            ) from error
        raise DataError(
            f"{shard} is damaged or cut short ({error}); fetch or write it again."
        ) from error


def member(entry: Entry) -> bytes:
    """The encoded picture of an entry, from its place in its shard."""
    if is_url(entry.place):
        return fetched(entry.place, entry.offset, entry.length)
    with Path(entry.place).open("rb") as file:
        file.seek(entry.offset)
        return file.read(entry.length)


def _files(name: str, split: str) -> list[str]:
    if is_url(name):
        return [name]
    if Path(name).is_dir():
        found = [path for path in own_files(Path(name)) if path.suffix.lower() == ".tar"]
        return [str(path) for path in of_split(found, Path(name), split)]
    if not any(sign in name for sign in "*?["):
        return [name]
    path = Path(name)
    pattern = str(path.relative_to(path.anchor))
    return sorted(str(found) for found in Path(path.anchor).glob(pattern))


@contextmanager
def _opened(shard: str) -> Iterator[tarfile.TarFile]:
    if is_url(shard):
        with streamed(shard) as stream, tarfile.open(fileobj=stream, mode="r|") as tar:  # type: ignore[call-overload]
            yield tar
    else:
        with tarfile.open(shard, mode="r:") as tar:
            yield tar


def _counts(member: tarfile.TarInfo) -> bool:
    return member.isreg() and not PurePosixPath(member.name).name.startswith(".")


def _key(member: tarfile.TarInfo) -> str:
    """What neighboring members of one sample share: the name up to its first dot."""
    path = PurePosixPath(member.name)
    return str(path.parent / path.name.partition(".")[0])


def _picture_size(tar: tarfile.TarFile, member: tarfile.TarInfo) -> tuple[int, int] | InfinityError:
    """(height, width), or what is wrong with the picture; a cut tar file raises."""
    if member.size > _LARGEST_PICTURE:
        return DataError(f"{member.name} has {member.size} bytes; scale it down.")
    try:
        return image_size(io.BytesIO(_content(tar, member, member.size)), member.name)
    except RequestError as error:
        return error


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo, limit: int) -> bytes:
    file = tar.extractfile(member)
    assert file is not None, "regular members have content"
    wanted = min(member.size, limit)
    data = file.read(wanted)
    if len(data) < wanted:
        raise tarfile.ReadError("unexpected end of data")
    return data


def _entry(
    key: str,
    members: Iterable[tarfile.TarInfo],
    tar: tarfile.TarFile,
    shard: str,
    settings: DataSettings,
) -> Entry:
    picture: tarfile.TarInfo | None = None
    size: tuple[int, int] | InfinityError = (0, 0)
    texts: dict[str, bytes] = {}
    for each in members:
        extension = f".{PurePosixPath(each.name).name.partition('.')[2].lower()}"
        if extension in PICTURE_SUFFIXES and picture is None:
            picture, size = each, _picture_size(tar, each)
        elif extension in (*TEXT_SUFFIXES, RECORD_SUFFIX, SHORT_SUFFIX):
            texts[extension] = _content(tar, each, LONGEST_TEXT + 1)
    if picture is None:
        raise RecordError("missing file", "no picture")
    if isinstance(size, InfinityError):
        raise RecordError("broken picture", str(size))
    height, width = size
    return Entry(
        key=key,
        place=shard,
        captions=captions_beside(texts, settings, key),
        offset=picture.offset_data,
        length=picture.size,
        height=height,
        width=width,
        ratio=height / width,
    )


def _is_compressed(shard: str) -> bool:
    if is_url(shard):
        return shard.endswith((".gz", ".tgz", ".bz2", ".xz", ".zst"))
    with Path(shard).open("rb") as file:
        return file.read(2) in (b"\x1f\x8b", b"BZ", b"\xfd7", b"\x28\xb5")
