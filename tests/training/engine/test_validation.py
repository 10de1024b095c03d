"""Held-out pictures: the same metrics on one process and on two, of the weights that are exported."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.training.engine.tiny_run import (
    build_tiny_step,
    tiny_config,
    tiny_held_out,
    train_alone,
    train_together,
)
from training.config.settings import TrainingConfig
from training.engine.checkpoints import read_state
from training.engine.journal import read_metrics
from training.engine.model_card import model_card
from training.engine.parallelize import Whole
from training.engine.processes import Processes
from training.engine.validation import validate
from training.steps.step import means


def config(folder: Path, **logging: object) -> TrainingConfig:
    given = {"validate_every": 4, **logging}
    return tiny_config(folder, data={"held_out": 0.1}, logging=given)


def validations(folder: Path) -> list[dict[str, float]]:
    return [line for line in read_metrics(folder) if "validation_loss" in line]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("validated") / "run"
    train_alone(config(folder, tensorboard=True))
    return folder


def test_run_tells_loss_and_bit_accuracy_of_every_scale(alone: Path) -> None:
    lines = validations(alone)
    assert [line["step"] for line in lines] == [4, 6]  # every fourth, and the last
    assert {f"validation_bit_accuracy_scale_{scale}" for scale in range(1, 6)} <= lines[0].keys()
    board = EventAccumulator(str(alone / "tensorboard"))
    board.Reload()
    for tag, name in (
        ("validation_loss", "validation_loss"),
        ("validation_bit_accuracy/scale_02", "validation_bit_accuracy_scale_2"),
    ):
        told = {event.step: event.value for event in board.Scalars(tag)}
        assert told == pytest.approx({line["step"]: line[name] for line in lines})
    card = model_card(config(alone), "run", 6, read_metrics(alone), "")
    assert "| bit accuracy, held out |" in card


def test_metrics_are_those_of_the_exported_weights(alone: Path) -> None:
    step = build_tiny_step(config(alone))
    step.transformer.load_state_dict(read_state(alone, ema=True)["transformer"])
    found = validate(Whole(step), step, tiny_held_out(step.config), Processes())
    (last,) = [line for line in validations(alone) if line["step"] == 6]
    assert found == pytest.approx({k: v for k, v in last.items() if k != "step"}, abs=1e-12)
    assert step.transformer.training


def test_every_held_out_sample_counts_the_same(alone: Path) -> None:
    """Whatever its aspect ratio and whoever is in a batch with it; no bit is flipped, no text dropped."""
    step = build_tiny_step(config(alone))
    step.transformer.load_state_dict(read_state(alone, ema=True)["transformer"])
    batches = [batch for batch, _ in tiny_held_out(step.config)]
    singles = [batch.slice(i, i + 1) for batch in batches for i in range(len(batch))]
    with torch.no_grad():
        each = [means(step.validation(single)) for single in singles]
    (last,) = [line for line in validations(alone) if line["step"] == 6]
    for name in ("loss", "bit_loss", "bit_accuracy", "token_accuracy", "bit_accuracy_scale_2"):
        mean = sum(found[name] for found in each) / 5
        assert last[f"validation_{name}"] == pytest.approx(mean, abs=1e-6), name
    assert last["validation_bit_accuracy_scale_5"] == pytest.approx(
        sum(found.get("bit_accuracy_scale_5", 0) for found in each) / 4, abs=1e-6
    )


def test_validation_changes_nothing_of_the_training(alone: Path, tmp_path: Path) -> None:
    train_alone(tiny_config(tmp_path / "run"))
    states = [read_state(folder)["transformer"] for folder in (alone, tmp_path / "run")]
    assert all(torch.equal(states[1][name], tensor) for name, tensor in states[0].items())


def test_two_processes_find_the_same_also_where_one_has_no_sample(
    alone: Path, tmp_path: Path
) -> None:
    together = config(tmp_path / "run").model_copy(
        update={"parallel": tiny_config(tmp_path, parallel={"shard": "full"}).parallel}
    )
    train_together(together, 2)
    for one, two in zip(validations(alone), validations(tmp_path / "run"), strict=True):
        assert two == pytest.approx(one, abs=1e-5)
