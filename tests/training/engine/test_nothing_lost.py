"""Kills, a full disk, an unwritable folder, other settings: the last good checkpoint stays."""

from __future__ import annotations

import errno
import resource
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from infinity.errors import CheckpointError, ResourceError
from tests.training.engine.kills import kill_repeatedly
from tests.training.engine.tiny_run import tiny_config, train_alone
from training.config.settings import TrainingConfig
from training.engine import checkpoints
from training.engine.checkpoints import Checkpoints, read_state, whole_steps
from training.engine.journal import read_metrics
from training.engine.processes import Processes


@contextmanager
def full_disk(limit_bytes: int) -> Iterator[None]:
    """No file of this process grows beyond the limit: the system's own error in every write."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def state(value: float, size: int = 1000) -> dict:
    return {"model": {"part.weight": torch.full((size,), value), "part.gain": torch.tensor(value)}}


def test_run_killed_at_random_moments_and_during_saves_loses_nothing(tmp_path: Path) -> None:
    found = kill_repeatedly(tmp_path, kills=4, seed=0)
    assert found["kills"] == 4
    assert found["during_saves"] >= 1
    assert found["unreadable_checkpoints"] == 0
    assert found["losses_equal"] and found["weights_equal"], found
    assert not found["problems"]


def test_save_copies_the_state_before_training_goes_on(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, Processes())
    saved = state(1.0, size=1_000_000)
    checkpoints.save(1, saved, {"step": 1})
    saved["model"]["part.weight"].fill_(2.0)
    checkpoints.wait()
    assert read_state(tmp_path)["part"]["weight"].eq(1.0).all()


def test_newest_checkpoints_are_kept_and_read_back(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, Processes(), keep=2)
    for step in (1, 2, 10):
        checkpoints.save(step, state(step), {"step": step})
    checkpoints.wait()
    assert whole_steps(checkpoints.folder) == [2, 10]
    loaded = state(0.0)
    assert checkpoints.load(loaded) == {"step": 10}
    assert loaded["model"]["part.gain"] == 10
    assert read_state(tmp_path, step=2)["part"]["gain"] == 2


def test_full_disk_ends_with_a_sentence_and_the_last_checkpoint(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, Processes())
    checkpoints.save(1, state(1.0), {"step": 1})
    checkpoints.wait()
    with full_disk(100_000):
        checkpoints.save(2, state(2.0, size=1_000_000), {"step": 2})
        with pytest.raises(ResourceError, match=r"step 2 .*File too large.*step 1 is intact.*Free"):
            checkpoints.wait()
    assert [path.name for path in checkpoints.folder.iterdir()] == ["step_1"]
    assert read_state(tmp_path)["part"]["gain"] == 1


def test_full_disk_stops_a_run_which_then_goes_on(tmp_path: Path) -> None:
    config = tiny_config(tmp_path / "run")
    with full_disk(1_000_000), pytest.raises(ResourceError, match="Free some space"):
        train_alone(config)
    train_alone(config)
    train_alone(tiny_config(tmp_path / "whole"))
    curves = [read_metrics(tmp_path / name) for name in ("run", "whole")]
    assert [line["loss"] for line in curves[0]] == [line["loss"] for line in curves[1]]


def test_full_disk_while_metrics_and_curves_are_written_is_a_sentence_too(tmp_path: Path) -> None:
    config = tiny_config(
        tmp_path / "run", logging={"curves": True, "tensorboard": True, "save_every": 100}
    )
    with full_disk(10_000), pytest.raises(ResourceError, match=r"Cannot write.*free some space"):
        train_alone(config)


def test_folder_that_cannot_be_made_ends_with_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file where the run's folder should be")
    with pytest.raises(ResourceError, match="choose another output folder"):
        train_alone(tiny_config(tmp_path / "taken"))
    checkpoints = Checkpoints(tmp_path / "taken", Processes())
    with pytest.raises(ResourceError, match="choose another output folder"):
        checkpoints.load(state(0.0))


def test_what_a_kill_left_half_written_is_removed_and_never_loaded(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, Processes())
    checkpoints.save(1, state(1.0), {"step": 1})
    checkpoints.wait()
    folder = checkpoints.folder
    shutil.copytree(folder / "step_1", folder / "step_2.writing")
    shutil.copytree(folder / "step_1", folder / "step_0.dropping")
    shutil.copytree(folder / "step_1", folder / "step_3", ignore=lambda *_: {".metadata"})
    assert whole_steps(folder) == [1]
    checkpoints.load(state(0.0))
    assert sorted(path.name for path in folder.iterdir()) == ["step_1", "step_3"]


def test_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, Processes())
    checkpoints.save(1, state(1.0), {"step": 1})
    checkpoints.wait()
    (data,) = (checkpoints.folder / "step_1").glob("*.distcp")
    data.write_bytes(data.read_bytes()[:100])
    with pytest.raises(CheckpointError, match=r"step_1 cannot be read .* delete that folder"):
        checkpoints.load(state(0.0))
    with pytest.raises(CheckpointError, match="step_1 cannot be read"):
        read_state(tmp_path)


def test_missing_checkpoints_and_averages_are_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="holds no checkpoint; complete ones: none"):
        read_state(tmp_path)
    checkpoints = Checkpoints(tmp_path, Processes())
    checkpoints.save(1, state(1.0), {"step": 1})
    checkpoints.wait()
    with pytest.raises(CheckpointError, match="no checkpoint of step 7; complete ones: 1"):
        read_state(tmp_path, step=7)
    with pytest.raises(CheckpointError, match="ema_decay"):
        read_state(tmp_path, ema=True)


def test_other_settings_are_refused_and_a_longer_run_is_not(tmp_path: Path) -> None:
    def settings(**changes: int) -> TrainingConfig:
        return tiny_config(tmp_path / "run", optimization={"steps": 1, "warmup": 0, **changes})

    train_alone(settings())
    with pytest.raises(CheckpointError, match=r"optimization.batch_size was 8, now 4"):
        train_alone(settings(batch_size=4))
    train_alone(settings(steps=2))
    assert [line["step"] for line in read_metrics(tmp_path / "run")] == [1, 2]


def test_folder_that_the_system_cannot_sync_is_no_error(tmp_path, monkeypatch):
    def refuse(*_: object) -> int:
        raise PermissionError(errno.EACCES, "Permission denied")  # as Windows answers

    monkeypatch.setattr(checkpoints.os, "open", refuse)
    checkpoints._to_disk(tmp_path)

    def fail(*_: object) -> int:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(checkpoints.os, "open", fail)
    with pytest.raises(OSError, match="Input/output"):
        checkpoints._to_disk(tmp_path)
