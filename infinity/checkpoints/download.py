"""Fetch released weights from the hub: only the files needed, resumed, checked, at one commit.

Files land in huggingface_hub's own cache, so they are shared with other programs and found again
without a network. huggingface_hub alone does not resume a download of an earlier process
and does not compare the content with the published checksum; both are done here.

A revision that is a branch is pinned on first use: once everything wanted is in the cache, the
commit recorded there is used and the hub is not asked again.
"""

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fnmatch import filter as matching
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
from huggingface_hub import HfApi, get_cached_repo_tree, snapshot_download, try_to_load_from_cache
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
from huggingface_hub.hf_api import RepoFile

from infinity.checkpoints.transfer import SilentBar, Transfer, require_space
from infinity.config import TextEncoderConfig
from infinity.errors import CheckpointError, ResourceError
from infinity.files import DISK_FULL
from infinity.hub import ADVICE, check_hub
from infinity.registry import DEFAULT_MODEL_FOLDER
from infinity.shared_work import Progress
from infinity.spec import CONFIG_FILE, HubFiles, ModelSpec

logger = logging.getLogger(__name__)

NEWEST = "main"


class Fetched(NamedTuple):
    """A snapshot of a repository in the cache and, for each thing wanted, its files in there."""

    folder: Path
    names: list[list[str]]


class _Listing(NamedTuple):
    """What the hub has of what is wanted: the commit, the names, and the files not here yet."""

    commit: str
    names: list[list[str]]
    missing: list[Transfer]

    @property
    def nbytes(self) -> int:
        return sum(transfer.bytes_left for transfer in self.missing)


@dataclass(frozen=True)
class HubRequest:
    """What is wanted of a hub repository.

    Args:
        repository, revision: "owner/name" and a commit (or a branch, pinned on first use).
        wanted: for each thing, its patterns (shell style): the files of the first that matches any.
        extras: names that are taken where they are there.
    """

    repository: str
    revision: str
    wanted: tuple[tuple[str, ...], ...]
    extras: tuple[str, ...] = ()

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
            listing = self._listing()
            require_space(listing.nbytes)
            done, total = 0, sum(transfer.file.size for transfer in listing.missing)
            for transfer in listing.missing:
                name = f"Downloading {transfer.file.path}"

                def report(have: int, name: str = name, done: int = done) -> None:
                    if progress is not None:
                        progress(name, min((done + have) / max(total, 1), 1.0))

                transfer.run(report, shows_bar=progress is None)
                done += transfer.file.size
            return self._snapshot(listing.commit, listing.names)

    def bytes_to_fetch(self) -> int:
        """What :meth:`fetch` would still download. Raises as it does."""
        if self._cached():
            return 0
        with self._plain_errors():
            return self._listing().nbytes

    def _cached(self) -> Fetched | None:
        """What is wanted, if every file of it is in the cache already."""
        for revision in dict.fromkeys((self.revision, NEWEST)):
            with suppress(CachedRepoTreeNotFoundError, LocalEntryNotFoundError, CheckpointError):
                tree = get_cached_repo_tree(self.repository, revision=revision)
                names = self._choose([file.path for file in tree])
                return self._snapshot(revision, names, local_files_only=True)
        return None

    def _snapshot(self, revision: str, names: list[list[str]], **options: Any) -> Fetched:
        folder = snapshot_download(
            self.repository,
            revision=revision,
            allow_patterns=[name for group in names for name in group],
            tqdm_class=SilentBar,
            **options,
        )
        return Fetched(Path(folder), names)

    def _listing(self) -> _Listing:
        """Of the newest commit where the pinned one lacks something."""
        check_hub(self.repository)
        try:
            return self._listing_at(self.revision)
        except (RevisionNotFoundError, CheckpointError) as error:
            if self.revision == NEWEST:
                raise
            logger.warning(
                "%s at the pinned revision %s lacks what is needed (%s); using the newest commit",
                self.repository,
                self.revision,
                error,
            )
            return self._listing_at(NEWEST)

    def _listing_at(self, revision: str) -> _Listing:
        api = HfApi()
        commit = api.resolve_revision(self.repository, revision=revision).resolved
        tree = api.list_repo_tree(self.repository, recursive=True, revision=commit)
        files = {entry.path: entry for entry in tree if isinstance(entry, RepoFile)}
        names = self._choose(files)
        find = partial(try_to_load_from_cache, self.repository, revision=commit)
        transfers = [
            Transfer(self.repository, commit, files[name])
            for group in names
            for name in group
            if not isinstance(find(name), str)
        ]
        return _Listing(commit, names, [part for part in transfers if not part.blob.exists()])

    def _choose(self, files: Iterable[str]) -> list[list[str]]:
        """The names of each thing wanted, then the extras. Raises CheckpointError where one lacks."""
        files, chosen = sorted(files), []
        for patterns in self.wanted:
            group = next(filter(None, (matching(files, pattern) for pattern in patterns)), None)
            if group is None:
                raise CheckpointError(
                    f"The hub repository has no file {' or '.join(patterns)}; "
                    "check the name, or give the path of a folder that has it."
                )
            chosen.append(group)
        return [*chosen, [name for name in files if name in self.extras]]

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


_FILLED_UP = (
    "The disk filled up while {name} was downloaded; free some space and run the same again, it goes "
    "on where it stopped."
)
_UNREACHABLE = (
    httpx2.TransportError,
    RevisionResolutionError,
    LocalEntryNotFoundError,
    ConnectionError,
)
_SENTENCES: tuple[tuple[Any, type[CheckpointError | ResourceError], str], ...] = (
    (GatedRepoError, CheckpointError, "{name} on the hub asks for its terms to be accepted; do so there and log in."),
    (RepositoryNotFoundError, CheckpointError, "The hub has no public repository {name}; check its name."),
    (OfflineModeIsEnabled, ResourceError, "{name} is not in the cache and HF_HUB_OFFLINE is set; unset it to download."),
    (_UNREACHABLE, ResourceError, "{name} cannot be downloaded: " + ADVICE),
    ((RevisionNotFoundError, EntryNotFoundError), CheckpointError, "{name} on the hub lacks what is needed: {error}."),
    (HfHubHTTPError, ResourceError, "The hub answered {status} when asked for {name}; try again later."),
    (OSError, ResourceError, "{name} cannot be downloaded ({error}): " + ADVICE),
)  # fmt: skip
"""(error, ours, the sentence); of several that an error is, the first counts."""


def bytes_to_download(spec: ModelSpec, folder: Path | None = None) -> int:
    """What is missing of a model's files. Asks the hub only for what is not in the cache; raises as
    ``fetch``.

    Args:
        folder: of a model in the own format; None for the default and released models.
    """
    requests = [] if spec.hub is None else [_model_request(spec.hub)]
    beside = (folder or DEFAULT_MODEL_FOLDER) / spec.text_encoder.source / CONFIG_FILE
    if "/" in spec.text_encoder.source and not beside.is_file():
        requests.append(_text_encoder_request(spec.text_encoder))
    return sum(request.bytes_to_fetch() for request in requests)


def fetch_model(hub: HubFiles, progress: Progress | None = None) -> tuple[Path, Path]:
    """Released weights -> (transformer file or folder, tokenizer file). Raises as ``fetch``."""
    fetched = _model_request(hub).fetch(progress)
    return fetched.folder / hub.transformer, fetched.folder / fetched.names[1][0]


def fetch_tokenizer(hub: HubFiles) -> Path:
    """A released model's tokenizer file alone. Raises as ``fetch``."""
    fetched = HubRequest(hub.repository, hub.revision, (hub.tokenizer,)).fetch()
    return fetched.folder / fetched.names[0][0]


def fetch_text_encoder(config: TextEncoderConfig, progress: Progress | None = None) -> Path:
    """A text encoder named by its hub repository -> its folder. Raises as ``fetch``."""
    return _text_encoder_request(config).fetch(progress).folder


def _model_request(hub: HubFiles) -> HubRequest:
    """The transformer, one file or all of a folder, and the tokenizer."""
    transformer = hub.transformer + "*" * hub.transformer.endswith("/")
    return HubRequest(hub.repository, hub.revision, ((transformer,), hub.tokenizer))


def _text_encoder_request(config: TextEncoderConfig) -> HubRequest:
    return HubRequest(
        config.source,
        config.revision or NEWEST,
        wanted=(
            ("config.json",),
            ("model.safetensors", "model-*-of-*.safetensors"),
            ("tokenizer.json",),
        ),
        extras=("model.safetensors.index.json", "tokenizer_config.json", "special_tokens_map.json"),
    )
