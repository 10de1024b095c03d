"""Fetch released weights from the hub: only the files needed, resumed, checked, at one commit.

Files land in huggingface_hub's own cache, so they are shared with other programs and found again
without a network. huggingface_hub alone neither takes up an interrupted download where it stopped
nor compares the content with the published checksum; both are done here.

A revision that is a branch is pinned on first use: once everything wanted is in the cache, the
commit recorded there is used and the hub is not asked again.
"""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
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
    FileProgress,
    Progress,
    SilentBar,
    checksum_of,
    download,
    partial_size,
    require_space,
)
from infinity.config import TextEncoderConfig
from infinity.errors import CheckpointError, ResourceError
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
    commit: str
    names: tuple[tuple[str, ...], ...]


TEXT_ENCODER_FILES = (
    Wanted(("config.json",)),
    Wanted(("model.safetensors", "model-*-of-*.safetensors")),
    Wanted(("model.safetensors.index.json",), required=False),
    Wanted(("tokenizer.json",)),
    Wanted(("tokenizer_config.json",), required=False),
    Wanted(("special_tokens_map.json",), required=False),
)


def fetch_model(hub: HubFiles, progress: Progress | None = None) -> tuple[Path, Path]:
    """Released weights -> (transformer file or folder, tokenizer file). Raises as ``fetch``."""
    fetched = fetch(hub.repository, hub.revision, model_files(hub), progress)
    return fetched.folder / hub.transformer, fetched.folder / fetched.names[1][0]


def fetch_tokenizer(hub: HubFiles, progress: Progress | None = None) -> Path:
    """A released model's tokenizer file alone. Raises as ``fetch``."""
    fetched = fetch(hub.repository, hub.revision, (Wanted(hub.tokenizer),), progress)
    return fetched.folder / fetched.names[0][0]


def model_files(hub: HubFiles) -> tuple[Wanted, ...]:
    """The transformer, one file or all of a folder, and the tokenizer."""
    sharded = hub.transformer.endswith("/")
    return Wanted((hub.transformer + "*" * sharded,)), Wanted(hub.tokenizer)


def fetch_text_encoder(config: TextEncoderConfig, progress: Progress | None = None) -> Path:
    """A text encoder named by its hub repository -> its folder. Raises as ``fetch``."""
    revision = config.revision or NEWEST
    return fetch(config.source, revision, TEXT_ENCODER_FILES, progress).folder


def fetch(
    repository: str,
    revision: str,
    wanted: Sequence[Wanted],
    progress: Progress | None = None,
) -> Fetched:
    """What is wanted of a hub repository, from the cache where it is complete there.

    Args:
        repository, revision: "owner/name" and a commit (or a branch, pinned on first use).
        progress: without one, tqdm bars are shown.

    Raises:
        ResourceError: no network, hub down, disk full.
        CheckpointError: the hub lacks the repository or a file, or sent damaged content.
    """
    cache = Path(os.environ.get("HF_HUB_CACHE") or constants.HF_HUB_CACHE).expanduser()
    revisions = dict.fromkeys((revision, NEWEST))
    for known in revisions:
        if fetched := cached(cache, repository, known, wanted):
            return fetched
    with plain_errors(repository):
        return _from_hub(cache, repository, revision, wanted, progress)


def _from_hub(
    cache: Path,
    repository: str,
    revision: str,
    wanted: Sequence[Wanted],
    progress: Progress | None,
) -> Fetched:
    endpoint = os.environ.get("HF_ENDPOINT") or constants.ENDPOINT
    api = HfApi(endpoint=endpoint)
    resolved, files = listing(api, cache, repository, revision, wanted)
    commit = resolved.resolved
    names = _choose(files, wanted)
    chosen = [files[name] for group in names for name in group]
    storage = _storage(cache, repository)
    missing, nbytes = missing_files(cache, repository, commit, files, wanted)
    require_space(cache, nbytes)
    total = sum(file.size for file in missing)
    done = 0
    for file in missing:
        report = FileProgress(progress, done, total, file.path)
        url = hf_hub_url(repository, file.path, revision=commit, endpoint=endpoint)
        download(storage, file, url, report)
        done += file.size
    folder = snapshot_download(
        repository,
        revision=resolved,
        cache_dir=cache,
        endpoint=endpoint,
        allow_patterns=[file.path for file in chosen],
        tqdm_class=SilentBar,
    )
    return Fetched(Path(folder), commit, names)


def missing_files(
    cache: Path,
    repository: str,
    commit: str,
    files: Mapping[str, RepoFile],
    wanted: Sequence[Wanted],
) -> tuple[list[RepoFile], int]:
    """What of ``wanted`` is not in the cache yet, and how many bytes of it are still to come."""
    storage = _storage(cache, repository)
    missing = [
        files[name]
        for group in _choose(files, wanted)
        for name in group
        if not isinstance(
            try_to_load_from_cache(repository, name, cache_dir=cache, revision=commit), str
        )
        and not (storage / "blobs" / checksum_of(files[name])).exists()
    ]
    return missing, sum(file.size - partial_size(storage, file) for file in missing)


def listing(
    api: HfApi, cache: Path, repository: str, revision: str, wanted: Sequence[Wanted]
) -> tuple[Any, dict[str, RepoFile]]:
    """The commit and its files; the newest commit where the pinned one lacks something."""
    for attempt in dict.fromkeys((revision, NEWEST)):
        try:
            resolved = api.resolve_revision(repository, revision=attempt, cache_dir=cache)
            tree = api.list_repo_tree(repository, recursive=True, revision=resolved.resolved)
            files = {entry.path: entry for entry in tree if isinstance(entry, RepoFile)}
            _choose(files, wanted)
        except (RevisionNotFoundError, CheckpointError) as error:
            if attempt == NEWEST:
                raise
            logger.warning(
                "%s at the pinned revision %s lacks what is needed (%s); using the newest commit",
                repository,
                revision,
                error,
            )
        else:
            return resolved, files
    raise AssertionError("the newest revision either returned or raised")


def _choose(files: Mapping[str, Any], wanted: Sequence[Wanted]) -> tuple[tuple[str, ...], ...]:
    """The names of each thing wanted. Raises CheckpointError where a required one has none."""
    chosen = []
    for want in wanted:
        matches: Iterator[tuple[str, ...]] = (
            tuple(sorted(name for name in files if fnmatchcase(name, pattern)))
            for pattern in want.patterns
        )
        group = next((names for names in matches if names), ())
        if want.required and not group:
            raise CheckpointError(
                f"The hub repository has no file {' or '.join(want.patterns)}; "
                "check the name, or give the path of a folder that has it."
            )
        chosen.append(group)
    return tuple(chosen)


def cached(cache: Path, repository: str, revision: str, wanted: Sequence[Wanted]) -> Fetched | None:
    """What is wanted, if every file of it is in the cache already."""
    try:
        resolved = HfApi().resolve_revision(
            repository, revision=revision, cache_dir=cache, local_files_only=True
        )
        commit = resolved.resolved
        tree = get_cached_repo_tree(repository, revision=commit, cache_dir=cache)
        names = _choose({file.path: file for file in tree}, wanted)
    except (RevisionResolutionError, CachedRepoTreeNotFoundError, CheckpointError):
        return None
    storage = _storage(cache, repository)
    folder = storage / "snapshots" / commit
    complete = all((folder / name).is_file() for group in names for name in group)
    return Fetched(folder, commit, names) if complete else None


def _storage(cache: Path, repository: str) -> Path:
    return cache.resolve() / repo_folder_name(repo_id=repository, repo_type="model")


@contextmanager
def plain_errors(repository: str) -> Iterator[None]:
    """The hub's and the disk's errors as one sentence each."""
    advice = "check the network connection, or download the files elsewhere and give their folder"
    try:
        yield
    except GatedRepoError as error:
        raise CheckpointError(
            f"{repository} on the hub asks for its terms to be accepted; do so there and log in."
        ) from error
    except RepositoryNotFoundError as error:
        raise CheckpointError(
            f"The hub has no public repository {repository}; check its name."
        ) from error
    except LocalEntryNotFoundError as error:
        raise ResourceError(f"{repository} cannot be downloaded: {advice}.") from error
    except (RevisionNotFoundError, EntryNotFoundError) as error:
        raise CheckpointError(f"{repository} on the hub lacks what is needed: {error}.") from error
    except HfHubHTTPError as error:
        raise ResourceError(
            f"The hub answered {error.response.status_code} when asked for {repository}; "
            "try again later."
        ) from error
    except OfflineModeIsEnabled as error:
        raise ResourceError(
            f"{repository} is not in the cache and HF_HUB_OFFLINE is set; unset it to download."
        ) from error
    except (httpx2.TransportError, RevisionResolutionError, ConnectionError) as error:
        raise ResourceError(f"{repository} cannot be downloaded: {advice}.") from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise ResourceError(
                f"The disk filled up while {repository} was downloaded; free some space and run "
                "the same again, it goes on where it stopped."
            ) from error
        raise ResourceError(f"{repository} cannot be downloaded ({error}): {advice}.") from error
