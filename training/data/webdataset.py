"""WebDataset shards: tar files of pictures and captions that share a name, here or over http.

A shard is listed once, from front to back; its pictures are then read from their places in it, so
that they can come in any order without anything being unpacked.
"""

import io
import math
import re
import tarfile
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import groupby
from pathlib import Path, PurePosixPath

from braceexpand import braceexpand

from infinity.images import image_size
from training.config.settings import DataSettings
from training.data.captions import BESIDE, LONGEST_TEXT, captions_beside
from training.data.errors import DataError, RecordError, Skip, made_or_skip
from training.data.files import PICTURE_SUFFIXES, of_split, own_files
from training.data.records import Record
from training.data.remote import is_url, opened

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
        with opened(shard) as file, tarfile.open(fileobj=file, mode="r|") as tar:  # type: ignore[call-overload]
            for key, members in groupby(filter(_counts, tar), _key):
                make = partial(_record, key, members, tar, shard, settings)
                yield made_or_skip(f"{shard}, {key}", make)
    except FileNotFoundError as error:
        raise DataError(f"There is no shard at {shard}; check the path.") from error
    except (tarfile.TarError, EOFError, OSError) as error:
        raise DataError(
            f"{shard} is compressed, damaged or cut short ({error}); unpack it to a plain .tar, or "
            "fetch or write it again."
        ) from error


def _counts(member: tarfile.TarInfo) -> bool:
    return member.isreg() and not PurePosixPath(member.name).name.startswith(".")


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
            picture, encoded = each, _content(tar, each, _LARGEST_PICTURE)
        elif extension in BESIDE:
            texts[extension] = _content(tar, each, LONGEST_TEXT + 1)
    if picture is None:
        raise RecordError("missing file", "no picture")
    if picture.size > _LARGEST_PICTURE:
        detail = f"{picture.name} has {picture.size} bytes; scale it down."
        raise RecordError("broken picture", detail)
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
