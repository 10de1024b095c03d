"""What a run writes: metrics, TensorBoard, trackio, curves; and what it does when the loss goes wrong."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from infinity.errors import InfinityError, ResourceError
from tests.training.engine.tiny_run import (
    build_tiny_step,
    finish,
    poisoned_batches,
    start,
    tiny_batches,
    tiny_config,
    train_alone,
)
from training.engine.checkpoints import whole_steps
from training.engine.journal import Journal, read_metrics
from training.engine.loop import run
from training.engine.validation import FIRST_STEPS, PATIENCE, DivergenceError, Guard

SCALARS = {
    "loss", "bit_accuracy", "token_accuracy", "gradient_norm", "learning_rate", "samples_per_s",
    "memory_gb", "bit_accuracy/scale_01", "bit_accuracy/scale_05", "bit_accuracy/good",
}  # fmt: skip


def test_run_writes_every_metric_to_file_tensorboard_and_curves(tmp_path: Path) -> None:
    config = tiny_config(tmp_path / "run", logging={"curves": True, "tensorboard": True})
    train_alone(config)
    lines = read_metrics(config.output)
    assert [line["step"] for line in lines] == [1, 2, 3, 4, 5, 6]
    board = EventAccumulator(str(config.output / "tensorboard"))
    board.Reload()
    assert set(board.Tags()["scalars"]) >= SCALARS
    assert board.Scalars("bit_accuracy/good")[-1].value == pytest.approx(0.8)
    assert board.Scalars("loss")[-1].value == pytest.approx(lines[-1]["loss"])
    assert "custom_scalars__config__" in board.Tags()["tensors"]
    with Image.open(config.output / "curves.png") as curves:
        assert min(curves.size) > 300


def test_lines_from_before_a_kill_are_dropped(tmp_path: Path) -> None:
    config = tiny_config(tmp_path)
    (tmp_path / "metrics.jsonl").write_text('{"step": 1}\n{"step": 2}\n{"step": 3}\n{"st')
    Journal(config, step=2).write(3, {"loss": 1.0})
    assert read_metrics(tmp_path) == [{"step": 1}, {"step": 2}, {"step": 3, "loss": 1.0}]


def test_samples_are_files_and_tensorboard_images(tmp_path: Path) -> None:
    journal = Journal(tiny_config(tmp_path, logging={"tensorboard": True}), step=0)
    journal.show(7, ["a-cat_0"], [Image.new("RGB", (8, 8), "red")])
    journal.close()
    assert (tmp_path / "samples" / "step_0000007_a-cat_0.png").is_file()
    board = EventAccumulator(str(tmp_path / "tensorboard"))
    board.Reload()
    assert board.Tags()["images"] == ["samples/a-cat_0"]


class Service:
    """trackio's and wandb's functions; keeps what it is given."""

    def __init__(self, fails: bool = False) -> None:
        self.fails = fails
        self.begun: list[dict[str, Any]] = []
        self.logged: list[tuple[int, Any]] = []

    def init(self, **given: Any) -> None:
        if self.fails:
            raise RuntimeError("no API key")
        self.begun.append(given)

    def log(self, metrics: dict[str, Any], step: int) -> None:
        self.logged.append((step, metrics))

    def Image(self, image: Image.Image) -> str:
        return f"{image.size}"

    def finish(self) -> None:
        self.logged.append((-1, "finished"))


@pytest.mark.parametrize("name", ["trackio", "wandb"])
def test_services_get_the_same_numbers_and_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    service = Service()
    monkeypatch.setitem(sys.modules, name, service)
    for step in (0, 1):  # a run that is continued is the same one there
        journal = Journal(tiny_config(tmp_path, logging={name: True}), step=step)
    journal.write(1, {"bit_accuracy": 0.7, "bit_accuracy_scale_2": 0.6})
    journal.show(1, ["a-cat_0"], [Image.new("RGB", (8, 6))])
    journal.close()
    told = {"bit_accuracy": 0.7, "bit_accuracy/scale_02": 0.6, "bit_accuracy/good": 0.8}
    assert service.logged == [(1, told), (1, {"samples/a-cat_0": "(8, 6)"}), (-1, "finished")]
    first, second = service.begun
    assert first == second and first["name"] == tmp_path.name and first["resume"] == "allow"
    assert (name == "wandb") == bool(first.get("id"))


@pytest.mark.parametrize("name", ["trackio", "wandb"])
def test_service_that_is_missing_or_does_not_begin_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    config = tiny_config(tmp_path, logging={name: True})
    for module, sentence in ((None, f"pip install {name}"), (Service(fails=True), "no API key")):
        monkeypatch.setitem(sys.modules, name, module)
        with pytest.raises(ResourceError, match=sentence):
            Journal(config, step=0)


def test_nan_stops_the_run_and_names_the_samples_of_the_step(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = tiny_config(tmp_path / "run")
    with pytest.raises(DivergenceError, match=r"Stopped at step 3: the loss became nan") as caught:
        run(config, build_tiny_step, poisoned_batches)
    assert isinstance(caught.value, InfinityError)
    assert ", ".join(f"3/{position}" for position in range(8)) in caplog.text
    assert whole_steps(config.output / "checkpoints") == [2]
    train_alone(config)  # with good data it goes on from there
    assert read_metrics(config.output)[-1]["step"] == 6


def test_nan_stops_all_processes_with_the_last_save_whole(tmp_path: Path) -> None:
    config = tiny_config(tmp_path / "run", parallel={"shard": "full"})
    assert finish(start(config, 2, batches=poisoned_batches)) == ["exit code 2"] * 2
    for rank in range(2):
        assert "Stopped at step 3" in (tmp_path / f"error_{rank}").read_text()
    assert whole_steps(config.output / "checkpoints") == [2]
    train_alone(config)
    assert read_metrics(config.output)[-1]["step"] == 6


@pytest.mark.parametrize("error", [KeyboardInterrupt, ResourceError])
def test_run_that_ends_by_an_error_finishes_the_save_under_way(
    tmp_path: Path, error: type[BaseException]
) -> None:
    def stopped_batches(*args, **kwargs):
        for batch in tiny_batches(*args, **kwargs):
            if batch.step == 2:
                raise error("stopped")
            yield batch

    config = tiny_config(tmp_path / "run")
    with pytest.raises(error):
        run(config, build_tiny_step, stopped_batches)
    assert [path.name for path in (config.output / "checkpoints").iterdir()] == ["step_2"]


def guarded(losses: list[float], gradient_norm: float = 1.0, scaled: bool = False) -> list:
    guard = Guard()
    return [
        guard.reason(step, loss, gradient_norm, scaled=scaled, watched=True)
        for step, loss in enumerate(losses)
    ]


def test_loss_that_runs_away_is_stopped_and_a_spike_is_not() -> None:
    steady = [0.5] * FIRST_STEPS
    assert not any(guarded([*steady, *([5.0] * (PATIENCE - 1)), 0.5, *([5.0] * 5)]))
    found = guarded([*steady, *([5.0] * PATIENCE)])
    assert not any(found[:-1]) and "stayed above" in found[-1]


def test_falling_or_early_losses_are_never_stopped() -> None:
    assert not any(guarded([100.0 / (1 + step) for step in range(400)]))
    assert not any(guarded([float(step) for step in range(FIRST_STEPS)]))


def test_infinite_gradient_stops_a_run_unless_a_loss_scaler_skips_it() -> None:
    assert "gradient norm" in guarded([0.5], gradient_norm=math.inf)[0]
    assert guarded([0.5], gradient_norm=math.inf, scaled=True) == [None]
