"""One run on 1, 2 and 4 processes: the same losses, and checkpoints that any number can continue."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from tests.training.engine.tiny_run import tiny_config, train_alone, train_together
from training.engine.checkpoints import read_state
from training.engine.journal import read_metrics

TOLERANCE = 1e-5


def losses(folder: Path) -> list[float]:
    return [line["loss"] for line in read_metrics(folder)]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("alone") / "run"
    train_alone(tiny_config(folder))
    return folder


def assert_same(folder: Path, alone: Path, weights_within: float = 1e-4) -> None:
    """The loss curve, and every last and averaged weight."""
    assert losses(folder) == pytest.approx(losses(alone), abs=TOLERANCE)
    assert len(losses(alone)) == 6
    for ema in (False, True):
        here, there = (read_state(path, ema=ema)["transformer"] for path in (folder, alone))
        assert here.keys() == there.keys()
        for name, tensor in there.items():
            torch.testing.assert_close(here[name], tensor, atol=weights_within, rtol=1e-3, msg=name)


@pytest.mark.parametrize(
    ("processes", "parallel", "optimization"),
    [
        (2, {"shard": "full"}, {"activation_checkpointing": True}),
        (2, {"shard": "none"}, {"micro_batch_size": 2}),
        (4, {"shard": "hybrid", "shard_size": 2}, {"micro_batch_size": 1}),
    ],
    ids=["2-full-checkpointed", "2-copies-micro", "4-hybrid-micro"],
)
def test_loss_curve_on_several_processes_equals_one(
    tmp_path: Path, alone: Path, processes: int, parallel: dict, optimization: dict
) -> None:
    config = tiny_config(tmp_path / "run", parallel=parallel, optimization=optimization)
    train_together(config, processes)
    assert_same(config.output, alone)


def test_run_saved_by_two_processes_continues_on_one_and_on_four(
    tmp_path: Path, alone: Path
) -> None:
    config = tiny_config(tmp_path / "run", parallel={"shard": "full"})
    train_together(config, 2)
    shutil.rmtree(config.output / "checkpoints" / "step_6")
    for processes in (1, 4):
        copy = tmp_path / f"on_{processes}"
        shutil.copytree(config.output, copy)
        train_together(config.model_copy(update={"output": copy}), processes)
        assert_same(copy, alone)


def test_micro_batches_and_activation_checkpointing_change_nothing(
    tmp_path: Path, alone: Path
) -> None:
    settings = {"micro_batch_size": 2, "activation_checkpointing": True}
    train_alone(tiny_config(tmp_path / "run", optimization=settings))
    assert_same(tmp_path / "run", alone)


ROUNDING = 5e-4
"""Muon computes its updates, here of some 3e-3 in all, in bfloat16."""


def test_muon_is_the_same_on_two_processes_and_continues_exactly(tmp_path: Path) -> None:
    muon = {"optimizer": "muon", "weight_decay": 0.1}
    one, two = (tiny_config(tmp_path / name, optimization=muon) for name in ("one", "two"))
    train_alone(one)
    train_together(two, 2)
    assert_same(two.output, one.output, ROUNDING)
    shutil.copytree(two.output, tmp_path / "again")
    shutil.rmtree(tmp_path / "again" / "checkpoints" / "step_6")
    train_alone(one.model_copy(update={"output": tmp_path / "again"}))
    assert_same(tmp_path / "again", one.output, ROUNDING)
    before = read_state(one.output)["transformer"]
    shutil.rmtree(one.output / "checkpoints" / "step_6")
    train_alone(one)
    after = read_state(one.output)["transformer"]
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())
