"""One file from the hub into the cache: resumed where it stopped, checked against its checksum."""

import io
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import constants, hf_hub_url
from huggingface_hub.file_download import http_get, repo_folder_name
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils import WeakFileLock, build_hf_headers
from huggingface_hub.utils._verification import compute_file_hash
from tqdm.auto import tqdm

from infinity.errors import CheckpointError, ResourceError

Report = Callable[[int], None]
"""Called with the bytes of the file that are here; may raise to stop."""

SPARE_BYTES = 64 * 2**20


class SilentBar(tqdm):
    """A disabled bar, where the progress is shown elsewhere."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs["disable"] = True
        super().__init__(*args, **kwargs)


class _Reporting(io.BufferedRandom):
    """A file that reports how far it was written."""

    def __init__(self, path: Path, report: Report) -> None:
        super().__init__(io.FileIO(path, "r+"))
        self._report = report

    def write(self, data: Any) -> int:
        written = super().write(data)
        self._report(self.tell())
        return written


@dataclass(frozen=True)
class Transfer:
    """A file of a repository at a commit, and its place in the cache."""

    repository: str
    commit: str
    file: RepoFile

    @property
    def blob(self) -> Path:
        """Its content is named by its checksum: sha256 of a large file, git's id of a small one."""
        folder = repo_folder_name(repo_id=self.repository, repo_type="model")
        checksum = self.file.lfs.sha256 if self.file.lfs is not None else self.file.blob_id
        return cache_folder().resolve() / folder / "blobs" / checksum

    @property
    def partial(self) -> Path:
        """What an unfinished download has of it."""
        return self.blob.with_name(f"{self.blob.name}.infinity-partial")

    @property
    def bytes_left(self) -> int:
        have = self.partial.stat().st_size if self.partial.exists() else 0
        return self.file.size - have

    def run(self, report: Report, *, shows_bar: bool) -> None:
        """Into the cache, going on from what an earlier attempt left there."""
        blob, partial, file = self.blob, self.partial, self.file
        storage = blob.parent.parent
        lock = storage.parent / ".locks" / storage.name / f"{blob.name}.lock"
        blob.parent.mkdir(parents=True, exist_ok=True)
        lock.parent.mkdir(parents=True, exist_ok=True)
        with WeakFileLock(lock):
            if blob.exists():
                return
            partial.touch()
            with _Reporting(partial, report) as stream:
                have = stream.seek(0, os.SEEK_END)
                if have > file.size:
                    stream.truncate(have := stream.seek(0))
                report(have)
                http_get(
                    hf_hub_url(self.repository, file.path, revision=self.commit),
                    stream,
                    resume_size=have,
                    headers=build_hf_headers(),
                    expected_size=file.size,
                    displayed_filename=file.path,
                    tqdm_class=None if shows_bar else SilentBar,
                )
            if compute_file_hash(partial, "sha256" if file.lfs else "git-sha1") != blob.name:
                partial.unlink()
                raise CheckpointError(
                    f"{file.path} was damaged on the way (its checksum differs from the hub's) and "
                    "has been removed; run the same again to fetch it anew."
                )
            partial.replace(blob)


def cache_folder() -> Path:
    return Path(constants.HF_HUB_CACHE).expanduser()


def require_space(needed: int) -> None:
    """Raises ResourceError where the cache's disk has no room for a download of so many bytes."""
    folder = cache_folder()
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(existing).free
    if needed and needed + SPARE_BYTES > free:
        raise ResourceError(
            f"{needed / 1e9:.1f} GB are to be downloaded but only {free / 1e9:.1f} GB are free in "
            f"{folder}; free some space, or set HF_HUB_CACHE to a folder on another disk."
        )
