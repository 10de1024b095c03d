"""Rates of a step, clipping, the average, accumulation, loss scaling."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from infinity.errors import RequestError
from tests.training.engine.tiny_run import build_tiny_step, tiny_batch, tiny_config
from tests.training.steps import helpers
from training.config.settings import OptimizationSettings
from training.engine.loop import Trainer, sample_generators
from training.engine.optimization import Average, learning_rate, weight_decay
from training.engine.parallelize import device_mesh
from training.engine.processes import Processes
from training.steps.build import build_step


def settings(**changes: object) -> OptimizationSettings:
    return OptimizationSettings.model_validate(
        {"steps": 100, "learning_rate": 1.0, "warmup": 10, "cooldown": 0.2, **changes}
    )


def trainer(folder: Path, **optimization: object) -> Trainer:
    config = tiny_config(folder, optimization=optimization)
    return Trainer(config, Processes(), build_tiny_step(config))


def weights(trained: Trainer) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in trained.whole.named_parameters()}


def test_trapezoid_rises_stays_and_falls_to_zero() -> None:
    rates = [learning_rate(settings(), step) for step in range(101)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[9:80] == [1.0] * 71
    assert rates[90] == pytest.approx(0.5)
    assert rates[100] == 0


def test_constant_and_cosine_follow_their_shapes() -> None:
    assert learning_rate(settings(schedule="constant"), 99) == pytest.approx(1.0)
    cosine = settings(schedule="cos", warmup=0, end=0.1)
    assert learning_rate(cosine, 0) == pytest.approx(1.0)
    assert learning_rate(cosine, 99) == pytest.approx(0.1)


def test_weight_decay_stays_or_moves_to_its_end() -> None:
    assert weight_decay(settings(weight_decay=0.1), 99) == 0.1
    moving = settings(weight_decay=0.1, weight_decay_end=0.3)
    assert [weight_decay(moving, step) for step in (0, 99)] == pytest.approx([0.1, 0.3])


def test_average_follows_and_swaps_back() -> None:
    layer = nn.Linear(2, 1, bias=False)
    average = Average([layer.weight], decay=0.5)
    start = layer.weight.detach().clone()
    with torch.no_grad():
        layer.weight.add_(1.0)
    average.update(step=0)  # (1 + 0) / (10 + 0) of the old, the rest of the new
    torch.testing.assert_close(average.tensors[layer.weight], start + 0.9)
    average.update(step=1000)
    torch.testing.assert_close(average.tensors[layer.weight], start + 0.95)
    average.swap()
    torch.testing.assert_close(layer.weight.detach(), start + 0.95)
    average.swap()
    torch.testing.assert_close(layer.weight.detach(), start + 1.0)


def test_slices_of_a_batch_draw_the_same_for_every_sample() -> None:
    def draws(positions: range) -> list[float]:
        generators = sample_generators(3, 5, "model", positions)
        return [torch.rand((), generator=generator).item() for generator in generators]

    whole = draws(range(4))
    assert draws(range(0, 2)) + draws(range(2, 4)) == whole
    assert len(set(whole)) == 4
    assert (
        sample_generators(3, 6, "model", [0])[0].initial_seed()
        != sample_generators(3, 5, "model", [0])[0].initial_seed()
    )


def test_clipping_bounds_the_step_and_reports_the_norm_before(tmp_path: Path) -> None:
    trained = trainer(tmp_path, clip=1e-3)
    optimizer = trained.optimizers["model"]
    for parameter in optimizer.parameters:
        parameter.grad = torch.ones_like(parameter)
    count = sum(parameter.numel() for parameter in optimizer.parameters)
    assert optimizer.clip() == pytest.approx(count**0.5, rel=1e-4)
    clipped = torch.cat([p.grad.flatten() for p in optimizer.parameters if p.grad is not None])
    assert clipped.norm().item() == pytest.approx(1e-3, rel=1e-3)


def test_unused_parameter_gets_a_gradient_of_zero(tmp_path: Path) -> None:
    trained = trainer(tmp_path, text_dropout=0.0)
    before = weights(trained)
    trained.train_step(tiny_batch(0, range(8)), 0)
    after = weights(trained)
    name = "transformer.unconditional"
    assert torch.equal(before[name], after[name])
    assert not torch.equal(before["transformer.head.weight"], after["transformer.head.weight"])


def test_micro_batches_change_neither_loss_nor_weights(tmp_path: Path) -> None:
    whole, sliced = trainer(tmp_path), trainer(tmp_path, micro_batch_size=2)
    batch = tiny_batch(0, range(8))
    losses = [t.train_step(batch, 0)["loss"][0].item() for t in (whole, sliced)]
    assert losses[0] == pytest.approx(losses[1], abs=1e-6)
    for name, weight in weights(whole).items():
        torch.testing.assert_close(weights(sliced)[name], weight, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_reduced_precision_learns_like_float32(tmp_path: Path, dtype: str) -> None:
    exact, reduced = trainer(tmp_path), trainer(tmp_path, dtype=dtype)
    for step in range(3):
        batch = tiny_batch(step, range(4))
        pair = [t.train_step(batch, step)["loss"] for t in (exact, reduced)]
        exact_loss, loss = [(total / count).item() for total, count in pair]
        assert loss == pytest.approx(exact_loss, abs=5e-3)
    assert reduced.scaler.is_enabled() == (dtype == "float16")


def test_muon_moves_hidden_matrices_alike_in_all_directions_and_adamw_the_rest(
    tmp_path: Path,
) -> None:
    trained = trainer(tmp_path, optimizer="muon", warmup=0, text_dropout=0.0, clip=None)
    twin = trainer(tmp_path, warmup=0, text_dropout=0.0, clip=None)
    before = weights(trained)
    for each in (trained, twin):
        each.train_step(tiny_batch(0, range(8)), 0)
    after, with_adamw = weights(trained), weights(twin)
    name = "transformer.blocks.0.feed_forward.up.weight"
    spread, spread_of_adamw = (
        torch.linalg.svdvals(moved[name] - before[name]) for moved in (after, with_adamw)
    )
    assert spread.median() > 0.5 * spread[0]
    assert spread_of_adamw.median() < 0.4 * spread_of_adamw[0]
    for rest in ("transformer.head.weight", "transformer.token_embedding.weight"):
        assert torch.equal(after[rest], with_adamw[rest])
    told = trained.state()["optimizer"]["model"]
    assert set(told) == set(before)
    assert set(told[name]) == {"momentum_buffer"}
    assert set(told["transformer.head.weight"]) == {"step", "exp_avg", "exp_avg_sq"}


def test_muon_moves_a_tokenizers_kernels_alike_in_all_directions(tmp_path: Path) -> None:
    config = helpers.tiny_config(
        "tokenizer",
        optimization={"optimizer": "muon", "warmup": 0, "clip": None, "learning_rate": 1e-2},
        tokenizer_losses={"scale_dropout": 0.0},
    ).model_copy(update={"output": tmp_path})
    trained = Trainer(config, Processes(), build_step(config))
    before = weights(trained)
    trained.train_step(helpers.picture_batch(), 0)
    after = weights(trained)
    name = next(n for n in before if n.endswith("decoder.middle.0.conv1.weight"))
    spread = torch.linalg.svdvals((after[name] - before[name]).flatten(1))
    assert spread.median() > 0.5 * spread[0]
    told = trained.state()["optimizer"]["model"]
    assert set(told[name]) == {"momentum_buffer"}
    assert set(told[name.replace("weight", "bias")]) == {"step", "exp_avg", "exp_avg_sq"}


def test_infinite_float16_gradients_skip_the_step_and_lower_the_scale(tmp_path: Path) -> None:
    trained = trainer(tmp_path, dtype="float16")
    before = weights(trained)
    optimizer = trained.optimizers["model"]
    optimizer.scaler.scale(torch.ones(()))  # as a backward would have begun with
    for parameter in optimizer.parameters:
        parameter.grad = torch.full_like(parameter, float("inf"))
    scale = optimizer.scaler.get_scale()
    optimizer.clip()
    optimizer.step(0)
    optimizer.scaler.update()
    assert optimizer.scaler.get_scale() < scale
    assert all(torch.equal(weight, before[name]) for name, weight in weights(trained).items())


def test_processes_that_do_not_divide_are_refused(tmp_path: Path) -> None:
    config = tiny_config(tmp_path, parallel={"shard": "hybrid", "shard_size": 4})
    with pytest.raises(RequestError, match="6 processes do not divide into groups"):
        device_mesh(config.parallel, Processes(world_size=6))
    with pytest.raises(RequestError, match="does not divide among 3 processes"):
        Trainer(config, Processes(world_size=3), build_tiny_step(config))
