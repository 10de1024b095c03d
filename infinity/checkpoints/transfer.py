"""One file from the hub into the cache: resumed where it stopped, checked against its checksum."""

import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, cast

from huggingface_hub.file_download import http_get
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils import WeakFileLock, build_hf_headers
from tqdm.auto import tqdm

from infinity.errors import CheckpointError, ResourceError

Progress = Callable[[str, float], None]
"""Called with what is being done and the fraction done, 0 to 1; may raise to stop."""

Report = Callable[[int], None]
"""Called with the bytes of the file that are here; may raise to stop."""

SPARE_BYTES = 64 * 2**20
HASH_BLOCK = 2**22


class SilentBar(tqdm):
    """A disabled bar, where the progress is shown elsewhere."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{**kwargs, "disable": True})


class _Reporting:
    """A file that reports how far it was written; what ``http_get`` needs of one."""

    def __init__(self, stream: BinaryIO, report: Report) -> None:
        self._stream = stream
        self._report = report
        self.tell = stream.tell
        self.seek = stream.seek
        self.truncate = stream.truncate

    def write(self, data: bytes) -> int:
        written = self._stream.write(data)
        self._report(self._stream.tell())
        return written


def download(storage: Path, file: RepoFile, url: str, report: Report, *, shows_bar: bool) -> None:
    """Into the cache's blobs, going on from what an earlier attempt left there."""
    checksum = checksum_of(file)
    blob = storage / "blobs" / checksum
    lock = storage.parent / ".locks" / storage.name / f"{checksum}.lock"
    blob.parent.mkdir(parents=True, exist_ok=True)
    lock.parent.mkdir(parents=True, exist_ok=True)
    with WeakFileLock(lock):
        if blob.exists():
            return
        partial = _partial(storage, file)
        partial.touch()
        with partial.open("r+b") as stream:
            have = stream.seek(0, os.SEEK_END)
            if have > file.size:
                stream.truncate(have := stream.seek(0))
            report(have)
            http_get(
                url,
                cast(BinaryIO, _Reporting(stream, report)),
                resume_size=have,
                headers=build_hf_headers(),
                expected_size=file.size,
                displayed_filename=file.path,
                tqdm_class=None if shows_bar else SilentBar,
            )
        if _hash(partial, file, report) != checksum:
            partial.unlink()
            raise CheckpointError(
                f"{file.path} was damaged on the way (its checksum differs from the hub's) and has "
                "been removed; run the same again to fetch it anew."
            )
        partial.replace(blob)


def checksum_of(file: RepoFile) -> str:
    """sha256 of a large file, git's blob id of a small one: also its name in the cache."""
    return file.lfs.sha256 if file.lfs is not None else file.blob_id


def _hash(path: Path, file: RepoFile, report: Report) -> str:
    if file.lfs is not None:
        digest = hashlib.sha256()
    else:
        digest = hashlib.sha1(usedforsecurity=False)
        digest.update(b"blob %d\0" % path.stat().st_size)
    with path.open("rb") as stream:
        while block := stream.read(HASH_BLOCK):
            digest.update(block)
            report(file.size)  # which may raise to stop
    return digest.hexdigest()


def _partial(storage: Path, file: RepoFile) -> Path:
    return storage / "blobs" / f"{checksum_of(file)}.infinity-partial"


def partial_size(storage: Path, file: RepoFile) -> int:
    partial = _partial(storage, file)
    return partial.stat().st_size if partial.exists() else 0


def require_space(folder: Path, needed: int) -> None:
    free = free_bytes(folder)
    if needed and needed + SPARE_BYTES > free:
        raise ResourceError(
            f"{needed / 1e9:.1f} GB are to be downloaded but only {free / 1e9:.1f} GB are free in "
            f"{folder}; free some space, or set HF_HUB_CACHE to a folder on another disk."
        )


def free_bytes(folder: Path) -> int:
    """Free disk where ``folder`` is, or would be."""
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    return shutil.disk_usage(existing).free
