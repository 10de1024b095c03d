"""A training run on disk: configuration, checkpoints, metrics. Rerunning the same command resumes.

Every file is written beside its final name and renamed, so a kill at any moment leaves the last
good checkpoint in place.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from infinity.errors import CheckpointError, ResourceError

logger = logging.getLogger(__name__)

CHECKPOINT = "checkpoint.pt"


class Run:
    """The folder of one training run.

    Args:
        folder: created if missing; holds ``config.json``, ``checkpoint.pt``, ``metrics.jsonl``.
        config: what is trained; must equal the configuration the folder was started with, except
            for fields named in ``may_change`` (a longer run, say).

    Raises:
        CheckpointError: the folder belongs to a run with another configuration.
        ResourceError: the folder cannot be written.
    """

    def __init__(self, folder: Path, config: Any, may_change: frozenset[str] = frozenset()) -> None:
        self.folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ResourceError(f"Cannot write to {folder}: {error.strerror}.") from error
        now = json.loads(json.dumps(dataclasses.asdict(config)))
        path = folder / "config.json"
        if path.exists():
            before = json.loads(path.read_text(encoding="utf-8"))
            differing = [
                key for key in now if key not in may_change and before.get(key) != now[key]
            ]
            if differing:
                raise CheckpointError(
                    f"{folder} holds a run with other settings for {', '.join(differing)}; "
                    "choose another folder or delete it."
                )
        self._write(path, json.dumps(now, indent=2).encode())

    def resume(self) -> dict[str, Any] | None:
        """The last saved state, or None for a new run; later metrics lines are dropped.

        Raises:
            CheckpointError: the checkpoint cannot be read.
        """
        state = read_checkpoint(self.folder)
        if state is None:
            return None
        kept = [line for line in read_metrics(self.folder) if line["step"] <= state["step"]]
        self._write(
            self.folder / "metrics.jsonl", "".join(json.dumps(m) + "\n" for m in kept).encode()
        )
        logger.info("resuming %s at step %d", self.folder, state["step"])
        return state

    def save(self, state: Mapping[str, Any]) -> None:
        """Write ``state`` (with ``step``) as the newest checkpoint, atomically."""
        path = self.folder / CHECKPOINT
        temporary = path.with_suffix(".writing")
        try:
            torch.save(dict(state), temporary)
            temporary.replace(path)
        except (OSError, RuntimeError) as error:
            temporary.unlink(missing_ok=True)
            raise ResourceError(
                f"Could not save a checkpoint to {self.folder} ({error}); free some space and rerun: "
                "the previous checkpoint is intact."
            ) from error

    def log(self, step: int, **metrics: float) -> None:
        """Append one line of metrics."""
        with (self.folder / "metrics.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, **metrics}) + "\n")

    @staticmethod
    def _write(path: Path, data: bytes) -> None:
        temporary = path.with_suffix(path.suffix + ".writing")
        try:
            temporary.write_bytes(data)
            temporary.replace(path)
        except OSError as error:
            raise ResourceError(f"Cannot write {path}: {error.strerror}.") from error


def read_checkpoint(folder: Path) -> dict[str, Any] | None:
    """The newest state a run saved (tensors on the CPU, ``step``), None before the first.

    Raises:
        CheckpointError: the checkpoint cannot be read.
    """
    path = folder / CHECKPOINT
    if not path.exists():
        return None
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, OSError, pickle.UnpicklingError) as error:
        raise CheckpointError(
            f"{path} cannot be read ({type(error).__name__}); delete the folder or restore it."
        ) from error


def read_metrics(folder: Path) -> list[dict[str, float]]:
    """The metrics lines of a run, oldest first; each has ``step``."""
    path = folder / "metrics.jsonl"
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]
