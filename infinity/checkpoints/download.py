"""Fetch released weights from the hub: only the files needed, resumed, checked, at one commit.

Files land in huggingface_hub's own cache, so they are shared with other programs and found again
without a network. huggingface_hub alone does not resume a download of an earlier process
and does not compare the content with the published checksum; both are done here.

A revision that is a branch is pinned on first use: once everything wanted is in the cache, the
commit recorded there is used and the hub is not asked again.
"""

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
from huggingface_hub import (
    HfApi,
    constants,
    get_cached_repo_tree,
    hf_hub_url,
    snapshot_download,
    try_to_load_from_cache,
)
from huggingface_hub.errors import (
    CachedRepoTreeNotFoundError,
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
    RevisionResolutionError,
)
from huggingface_hub.file_download import repo_folder_name
from huggingface_hub.hf_api import RepoFile

from infinity.checkpoints.transfer import (
    Progress,
    SilentBar,
    checksum_of,
    download,
    partial_size,
    require_space,
)
from infinity.config import TextEncoderConfig
from infinity.errors import CheckpointError, ResourceError
from infinity.files import DISK_FULL
from infinity.spec import HubFiles

logger = logging.getLogger(__name__)

NEWEST = "main"


@dataclass(frozen=True)
class Wanted:
    """One thing to fetch: all files of the first pattern (shell style) that matches any."""

    patterns: tuple[str, ...]
    required: bool = True


@dataclass(frozen=True)
class Fetched:
    """A snapshot of a repository in the cache and, for each thing wanted, its files in there."""

    folder: Path
    names: tuple[tuple[str, ...], ...]


def cache_folder() -> Path:
    return Path(os.environ.get("HF_HUB_CACHE") or constants.HF_HUB_CACHE).expanduser()


@dataclass(frozen=True)
class HubRequest:
    """What is wanted of a hub repository.

    Args:
        repository, revision: "owner/name" and a commit (or a branch, pinned on first use).
    """

    repository: str
    revision: str
    wanted: tuple[Wanted, ...]

    def fetch(self, progress: Progress | None = None) -> Fetched:
        """From the cache where it is complete there, else from the hub.

        Args:
            progress: without one, tqdm bars are shown.

        Raises:
            ResourceError: no network, hub down, disk full.
            CheckpointError: the hub lacks the repository or a file, or sent damaged content.
        """
        if fetched := self._cached():
            return fetched
        with self._plain_errors():
            resolved, files = self._listing()
            names = _choose(files, self.wanted)
            missing = self._missing(resolved.resolved, files)
            require_space(cache_folder(), self._bytes_of(missing))
            done, total = 0, sum(file.size for file in missing)
            for file in missing:
                url = hf_hub_url(
                    self.repository, file.path, revision=resolved.resolved, endpoint=_endpoint()
                )
                report = partial(_report, progress, file.path, done, total)
                download(self._storage, file, url, report, shows_bar=progress is None)
                done += file.size
            folder = snapshot_download(
                self.repository,
                revision=resolved,
                cache_dir=cache_folder(),
                endpoint=_endpoint(),
                allow_patterns=[name for group in names for name in group],
                tqdm_class=SilentBar,
            )
        return Fetched(Path(folder), names)

    def bytes_to_fetch(self) -> int:
        """What :meth:`fetch` would still download. Raises as it does."""
        if self._cached():
            return 0
        with self._plain_errors():
            resolved, files = self._listing()
            return self._bytes_of(self._missing(resolved.resolved, files))

    @property
    def _storage(self) -> Path:
        name = repo_folder_name(repo_id=self.repository, repo_type="model")
        return cache_folder().resolve() / name

    def _cached(self) -> Fetched | None:
        """What is wanted, if every file of it is in the cache already."""
        for revision in dict.fromkeys((self.revision, NEWEST)):
            try:
                commit = HfApi().resolve_revision(
                    self.repository, revision=revision, cache_dir=cache_folder(), local_files_only=True
                ).resolved  # fmt: skip
                tree = get_cached_repo_tree(
                    self.repository, revision=commit, cache_dir=cache_folder()
                )
                names = _choose({file.path: file for file in tree}, self.wanted)
            except (RevisionResolutionError, CachedRepoTreeNotFoundError, CheckpointError):
                continue
            folder = self._storage / "snapshots" / commit
            if all((folder / name).is_file() for group in names for name in group):
                return Fetched(folder, names)
        return None

    def _listing(self) -> tuple[Any, dict[str, RepoFile]]:
        """The commit and its files; the newest commit where the pinned one lacks something."""
        api = HfApi(endpoint=_endpoint())
        for attempt in dict.fromkeys((self.revision, NEWEST)):
            try:
                resolved = api.resolve_revision(
                    self.repository, revision=attempt, cache_dir=cache_folder()
                )
                tree = api.list_repo_tree(
                    self.repository, recursive=True, revision=resolved.resolved
                )
                files = {entry.path: entry for entry in tree if isinstance(entry, RepoFile)}
                _choose(files, self.wanted)
            except (RevisionNotFoundError, CheckpointError) as error:
                if attempt == NEWEST:
                    raise
                logger.warning(
                    "%s at the pinned revision %s lacks what is needed (%s); using the newest commit",
                    self.repository,
                    self.revision,
                    error,
                )
            else:
                return resolved, files
        raise AssertionError("the newest revision either returned or raised")

    def _missing(self, commit: str, files: Mapping[str, RepoFile]) -> list[RepoFile]:
        """What is wanted and not in the cache yet."""
        find = partial(
            try_to_load_from_cache, self.repository, cache_dir=cache_folder(), revision=commit
        )
        return [
            files[name]
            for group in _choose(files, self.wanted)
            for name in group
            if not isinstance(find(name), str)
            and not (self._storage / "blobs" / checksum_of(files[name])).exists()
        ]

    def _bytes_of(self, missing: list[RepoFile]) -> int:
        return sum(file.size - partial_size(self._storage, file) for file in missing)

    @contextmanager
    def _plain_errors(self) -> Iterator[None]:
        """The hub's and the disk's errors as one sentence each."""
        try:
            yield
        except (HfHubHTTPError, httpx2.TransportError, RevisionResolutionError, OSError) as error:
            kind, sentence = next(row[1:] for row in _SENTENCES if isinstance(error, row[0]))
            if isinstance(error, OSError) and error.errno in DISK_FULL:
                sentence = _FILLED_UP
            status = error.response.status_code if isinstance(error, HfHubHTTPError) else ""
            raise kind(sentence.format(name=self.repository, error=error, status=status)) from error


_ADVICE = "check the network connection, or download the files elsewhere and give their folder."
_FILLED_UP = (
    "The disk filled up while {name} was downloaded; free some space and run the same again, it goes "
    "on where it stopped."
)
_SENTENCES: tuple[tuple[Any, type[CheckpointError | ResourceError], str], ...] = (
    (GatedRepoError, CheckpointError, "{name} on the hub asks for its terms to be accepted; do so there and log in."),
    (RepositoryNotFoundError, CheckpointError, "The hub has no public repository {name}; check its name."),
    (LocalEntryNotFoundError, ResourceError, "{name} cannot be downloaded: " + _ADVICE),
    ((RevisionNotFoundError, EntryNotFoundError), CheckpointError, "{name} on the hub lacks what is needed: {error}."),
    (HfHubHTTPError, ResourceError, "The hub answered {status} when asked for {name}; try again later."),
    (OfflineModeIsEnabled, ResourceError, "{name} is not in the cache and HF_HUB_OFFLINE is set; unset it to download."),
    ((httpx2.TransportError, RevisionResolutionError, ConnectionError), ResourceError, "{name} cannot be downloaded: " + _ADVICE),
    (OSError, ResourceError, "{name} cannot be downloaded ({error}): " + _ADVICE),
)  # fmt: skip
"""(error, ours, the sentence); of several that an error is, the first counts."""


def model_request(hub: HubFiles) -> HubRequest:
    """The transformer, one file or all of a folder, and the tokenizer."""
    transformer = hub.transformer + "*" * hub.transformer.endswith("/")
    return HubRequest(hub.repository, hub.revision, (Wanted((transformer,)), Wanted(hub.tokenizer)))


def text_encoder_request(config: TextEncoderConfig) -> HubRequest:
    """A text encoder named by its hub repository."""
    wanted = (
        Wanted(("config.json",)),
        Wanted(("model.safetensors", "model-*-of-*.safetensors")),
        Wanted(("model.safetensors.index.json",), required=False),
        Wanted(("tokenizer.json",)),
        Wanted(("tokenizer_config.json",), required=False),
        Wanted(("special_tokens_map.json",), required=False),
    )
    return HubRequest(config.source, config.revision or NEWEST, wanted)


def fetch_model(hub: HubFiles, progress: Progress | None = None) -> tuple[Path, Path]:
    """Released weights -> (transformer file or folder, tokenizer file). Raises as ``fetch``."""
    fetched = model_request(hub).fetch(progress)
    return fetched.folder / hub.transformer, fetched.folder / fetched.names[1][0]


def fetch_tokenizer(hub: HubFiles, progress: Progress | None = None) -> Path:
    """A released model's tokenizer file alone. Raises as ``fetch``."""
    fetched = HubRequest(hub.repository, hub.revision, (Wanted(hub.tokenizer),)).fetch(progress)
    return fetched.folder / fetched.names[0][0]


def fetch_text_encoder(config: TextEncoderConfig, progress: Progress | None = None) -> Path:
    """A text encoder named by its hub repository -> its folder. Raises as ``fetch``."""
    return text_encoder_request(config).fetch(progress).folder


def _choose(files: Mapping[str, Any], wanted: tuple[Wanted, ...]) -> tuple[tuple[str, ...], ...]:
    """The names of each thing wanted. Raises CheckpointError where a required one has none."""
    chosen = []
    for want in wanted:
        matches = (
            tuple(sorted(name for name in files if fnmatchcase(name, pattern)))
            for pattern in want.patterns
        )
        group = next(filter(None, matches), ())
        if want.required and not group:
            raise CheckpointError(
                f"The hub repository has no file {' or '.join(want.patterns)}; "
                "check the name, or give the path of a folder that has it."
            )
        chosen.append(group)
    return tuple(chosen)


def _report(progress: Progress | None, name: str, done: int, total: int, have: int) -> None:
    """One file's bytes among those of all; may raise to stop."""
    if progress is not None:
        progress(f"Downloading {name}", min((done + have) / max(total, 1), 1.0))


def _endpoint() -> str:
    return os.environ.get("HF_ENDPOINT") or constants.ENDPOINT
