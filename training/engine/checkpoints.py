"""The checkpoints of a run: written beside training, whole or not at all, readable at any world size.

A checkpoint is a folder ``checkpoints/step_N`` of PyTorch's distributed format. It is written as
``step_N.writing``, brought to the disk, and renamed; only then are older ones dropped. So a kill at
any moment, or a full disk, leaves the last whole checkpoint in place.
"""

import errno
import json
import logging
import os
import pickle
import shutil
import warnings
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.filesystem import FileSystemReader, FileSystemWriter
from torch.distributed.checkpoint.metadata import Metadata, TensorStorageMetadata
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import async_save

from infinity.errors import CheckpointError, ResourceError
from training.engine.processes import Processes

logger = logging.getLogger(__name__)

FACTS = "state.json"
WHOLE = "step_"
WRITING, DROPPING = ".writing", ".dropping"
CANNOT_SYNC = (errno.EACCES, errno.EPERM, errno.EISDIR, errno.EINVAL, errno.ENOTSUP)

State = dict[str, Any]
"""Nested dict of tensors, sharded or not."""


class Checkpoints:
    """Saves and restores the state of one run.

    Args:
        run: the run's folder.
        keep: how many of the newest stay.
    """

    def __init__(self, run: Path, processes: Processes, keep: int = 2) -> None:
        self.folder = run / "checkpoints"
        self.processes = processes
        self.keep = keep
        _expect_one_process()
        self._pending: tuple[_Writer, Future[Any]] | None = None

    def load(self, state: State) -> dict[str, Any] | None:
        """Bring the newest whole checkpoint into the tensors of ``state``; what a kill left half done
        is removed.

        Returns:
            its facts, as given to ``save``; None where there is none.

        Raises:
            CheckpointError: it cannot be read or does not fit.
            ResourceError: the folder cannot be written.
        """
        path = self.processes.on_first(self._newest)
        if path is None:
            return None
        with _readable(path):
            reader = FileSystemReader(path)
            load(state, storage_reader=reader, no_dist=self.processes.world_size == 1)
            return json.loads((path / FACTS).read_text(encoding="utf-8"))

    def save(self, step: int, state: State, facts: Mapping[str, Any]) -> None:
        """Copy ``state`` and write it while training goes on; waits for an earlier save first.

        Args:
            facts: small and JSON, such as the step.

        Raises:
            ResourceError: this or the earlier checkpoint cannot be written.
        """
        self.wait()
        writer = _Writer(self.folder, step, facts, self.keep)
        try:
            written = async_save(
                state,
                storage_writer=writer,
                process_group=self.processes.saving,
                no_dist=self.processes.world_size == 1,
            )
        except (CheckpointException, OSError, RuntimeError) as error:
            raise writer.failure(error) from error
        assert isinstance(written, Future)
        self._pending = writer, written

    @property
    def failed(self) -> bool:
        """Whether the save under way is known to have failed; ``wait`` says why."""
        if self._pending is None:
            return False
        _, written = self._pending
        return written.done() and written.exception() is not None

    def wait(self) -> None:
        """Until the last save is on the disk under its final name.

        Raises:
            ResourceError: it could not be written; older checkpoints are intact.
        """
        if self._pending is None:
            return
        (writer, written), self._pending = self._pending, None
        try:
            written.result()
        except (CheckpointException, OSError, RuntimeError) as error:
            raise writer.failure(error) from error

    def close(self) -> None:
        """Let a save under way come to its end when the run is over for another reason.

        Its own failure is logged, not raised, so that the reason stays. All processes began the
        save together, so each can wait for it, whichever of them stopped.
        """
        try:
            self.wait()
        except ResourceError as error:
            logger.error("%s", error)

    def _newest(self) -> Path | None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            for pattern in (f"*{WRITING}", f"*{DROPPING}"):
                for left in self.folder.glob(pattern):
                    shutil.rmtree(left)
        except OSError as error:
            raise ResourceError(
                f"Cannot write to {self.folder} ({error.strerror}); "
                "choose another output folder or make this one writable."
            ) from error
        steps = whole_steps(self.folder)
        return self.folder / f"{WHOLE}{steps[-1]}" if steps else None


class _Writer(FileSystemWriter):
    """Writes one checkpoint; once all processes have, it gets its name and older ones are dropped.

    Args:
        folder: of all checkpoints.
    """

    def __init__(self, folder: Path, step: int, facts: Mapping[str, Any], keep: int) -> None:
        self.folder, self.step, self.keep = folder, step, keep
        self.facts = json.dumps(dict(facts), indent=2)
        self.writing = folder / f"{WHOLE}{step}{WRITING}"
        super().__init__(self.writing, single_file_per_rank=True)

    def finish(self, metadata: Metadata, results: list[list[Any]]) -> None:
        """On the first process alone."""
        super().finish(metadata, results)
        with (self.writing / FACTS).open("w", encoding="utf-8") as file:
            file.write(self.facts)
            file.flush()
            os.fsync(file.fileno())
        _to_disk(self.writing)
        self.writing.rename(self.writing.with_suffix(""))
        _to_disk(self.folder)
        for step in whole_steps(self.folder)[: -self.keep]:
            old = self.folder / f"{WHOLE}{step}"
            shutil.rmtree(old.rename(old.with_suffix(DROPPING)))

    def failure(self, error: BaseException) -> ResourceError:
        """What to raise, after what was written is removed."""
        shutil.rmtree(self.writing, ignore_errors=True)
        steps = whole_steps(self.folder)
        intact = f"that of step {steps[-1]} is intact" if steps else "there is none yet"
        return ResourceError(
            f"Could not write the checkpoint of step {self.step} to {self.folder} "
            f"({_cause(error)}); {intact}. Free some space and run the same command again."
        )


def whole_steps(folder: Path) -> list[int]:
    """Steps of the complete checkpoints in a ``checkpoints`` folder, oldest first."""
    names = [path.parent.name for path in folder.glob(f"{WHOLE}*/.metadata")]
    return sorted(int(digits) for name in names if (digits := name.removeprefix(WHOLE)).isdigit())


def read_state(
    run_folder: Path | str, *, ema: bool = False, step: int | None = None
) -> dict[str, dict[str, Tensor]]:
    """The weights of a run's checkpoint, whole and on the CPU, however many processes wrote it.

    Args:
        ema: the averaged weights where there are, instead of the last ones.
        step: of the checkpoint; None: the newest.

    Returns:
        module name ("transformer") -> its state dict; of a run with ``lora`` the adapter alone.

    Raises:
        CheckpointError: no such checkpoint, no averaged weights, or it cannot be read.
    """
    path = _checkpoint(Path(run_folder), step)
    _expect_one_process()
    with _readable(path):
        reader = FileSystemReader(path)
        stored = reader.read_metadata().state_dict_metadata
        state: State = {
            name: torch.empty(entry.size, dtype=entry.properties.dtype)
            for name, entry in stored.items()
            if isinstance(entry, TensorStorageMetadata)
            and name.startswith(("model.", "average.") if ema else "model.")
        }
        load(state, storage_reader=reader, no_dist=True)
    averaged = [name for name in state if name.startswith("average.")]
    if ema and not averaged:
        raise CheckpointError(
            f"{run_folder} keeps no averaged weights (optimization.ema_decay was not set)."
        )
    for name in averaged:
        state["model." + name.removeprefix("average.")] = state.pop(name)
    modules: dict[str, dict[str, Tensor]] = {}
    for name, tensor in state.items():
        _, module, parameter = name.split(".", 2)
        modules.setdefault(module, {})[parameter] = tensor
    return modules


def read_facts(run_folder: Path | str, step: int | None = None) -> dict[str, Any]:
    """What was noted with a run's checkpoint: its "step", settings ("config"), "base" and so on.

    Raises:
        CheckpointError: no such checkpoint, or it cannot be read.
    """
    path = _checkpoint(Path(run_folder), step)
    with _readable(path):
        return json.loads((path / FACTS).read_text(encoding="utf-8"))


def _checkpoint(run_folder: Path, step: int | None) -> Path:
    """The folder of a checkpoint; None: of the newest."""
    folder = run_folder / "checkpoints"
    steps = whole_steps(folder)
    if not steps or (step is not None and step not in steps):
        found = ", ".join(map(str, steps)) or "none"
        raise CheckpointError(
            f"{run_folder} holds no checkpoint{'' if step is None else f' of step {step}'}; "
            f"complete ones: {found}."
        )
    return folder / f"{WHOLE}{steps[-1] if step is None else step}"


def _expect_one_process() -> None:
    warnings.filterwarnings("ignore", message="torch.distributed is disabled, unavailable or unin")


def _to_disk(folder: Path) -> None:
    """Bring a folder's entries to the disk, where the system can (Windows and some networks' disks
    cannot)."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno not in CANNOT_SYNC:
            raise


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Turn what goes wrong with reading a checkpoint into one sentence."""
    try:
        yield
    except (
        CheckpointException, OSError, ValueError, RuntimeError, EOFError, pickle.PickleError,
    ) as error:  # fmt: skip
        raise CheckpointError(
            f"{path} cannot be read ({_cause(error)}); if it is damaged, delete that folder to go "
            "on from the one before."
        ) from error


def _cause(error: BaseException) -> str:
    """What went wrong on the first process that failed: the system's words where it has any."""
    if isinstance(error, CheckpointException) and error.failures:
        error = next(iter(error.failures.values()))[0]
    link: BaseException | None = error
    while link is not None:
        if isinstance(link, OSError) and link.strerror:
            return link.strerror
        link = link.__cause__ or link.__context__
    return (str(error).strip() or type(error).__name__).splitlines()[0]
