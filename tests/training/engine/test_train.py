"""The script: a run from a file and options, errors in one sentence, an exit code."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from tests.training.engine.tiny_run import tiny_config, train_alone
from training import train
from training.config.load import save_config
from training.config.settings import TrainingConfig
from training.engine.journal import read_metrics


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[TrainingConfig]:
    """The configurations the script trains."""
    seen: list[TrainingConfig] = []
    monkeypatch.setattr(train, "train", seen.append)
    return seen


def test_file_and_options_make_the_run(tmp_path: Path, trained: list[TrainingConfig]) -> None:
    save_config(tiny_config(tmp_path / "run"), tmp_path / "run.json")
    code = train.main([str(tmp_path / "run.json"), "--optimization.steps", "9"])
    assert code == 0
    assert trained == [tiny_config(tmp_path / "run", optimization={"steps": 9})]


def test_wrong_setting_is_one_sentence_and_exit_code_two(
    tmp_path: Path, trained: list[TrainingConfig], caplog: pytest.LogCaptureFixture
) -> None:
    save_config(tiny_config(tmp_path / "run"), tmp_path / "run.json")
    assert train.main([str(tmp_path / "run.json"), "--optimization.step", "9"]) == 2
    assert not trained
    (said,) = [r.getMessage() for r in caplog.records if r.levelno == logging.ERROR]
    assert "optimization.steps" in said and "\n" not in said


def test_interrupted_run_says_how_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def interrupted(config: TrainingConfig) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(train, "train", interrupted)
    save_config(tiny_config(tmp_path / "run"), tmp_path / "run.json")
    assert train.main([str(tmp_path / "run.json")]) == train.INTERRUPTED
    assert "the same command goes on" in caplog.text


def test_finished_run_is_left_as_it_is(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    config = tiny_config(tmp_path / "run", optimization={"steps": 2, "warmup": 1})
    train_alone(config)
    before = read_metrics(config.output)
    with caplog.at_level(logging.INFO):
        train_alone(config)
    assert "is finished: 2 steps" in caplog.text
    assert read_metrics(config.output) == before
