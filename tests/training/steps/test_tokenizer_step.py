"""The tokenizer's step: what each term does, and what its gradients reach."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from infinity.errors import InfinityError
from infinity.tokenizer.tokenizer import Tokenizer
from tests.training.steps.helpers import (
    TOKENIZER,
    generators,
    picture_batch,
    small_tokenizer,
    tiny_config,
)
from training.data.records import Batch
from training.steps.networks import PatchDiscriminator, random_network
from training.steps.step import DISCRIMINATOR, MODEL, added_metrics, means
from training.steps.tokenizer_step import TokenizerStep

NOTHING = {
    "l1": 0.0,
    "l2": 0.0,
    "entropy": 0.0,
    "commitment": 0.0,
    "entropy_diversity": 0.0,
}
EVERYTHING = {"gradient": 0.5, "perceptual": 1.0, "adversarial": 0.3, "scale_dropout": 0.5}


def tokenizer_step(losses: dict[str, Any], **optimization: Any) -> TokenizerStep:
    config = tiny_config("tokenizer", tokenizer_losses=losses, optimization=optimization)
    discriminator = None
    if config.tokenizer_losses.adversarial:
        discriminator = PatchDiscriminator(16, channels=16)
        discriminator.init_weights(torch.Generator().manual_seed(0))
    perceptual = random_network() if config.tokenizer_losses.perceptual else None
    return TokenizerStep(config, small_tokenizer(), perceptual, discriminator)


def touched(module: torch.nn.Module) -> bool:
    return any(p.grad is not None and p.grad.abs().sum() > 0 for p in module.parameters())


@pytest.mark.parametrize("size", [1, 4])
@pytest.mark.parametrize("phase", [MODEL, DISCRIMINATOR])
def test_slices_add_up_to_the_whole_batch(phase: str, size: int) -> None:
    step = tokenizer_step({**EVERYTHING, "entropy_diversity": 0.0})
    batch = picture_batch()
    whole = step.loss(phase, batch, generators(), 0)
    parts, total = [], 0.0
    for start in range(0, 6, size):
        part = batch.slice(start, min(start + size, 6))
        parts.append(step.loss(phase, part, generators(part.positions), 0))
        total += parts[-1].loss.item() * len(part) / 6
    assert total == pytest.approx(whole.loss.item(), abs=1e-5)
    together = means(added_metrics(part.metrics for part in parts))
    for name, value in means(whole.metrics).items():
        if name != "mean_code_entropy":  # of a slice's mean code
            assert together[name] == pytest.approx(value, abs=1e-4), name


def test_loss_is_the_weighted_sum_of_its_terms() -> None:
    losses = {"l1": 2.0, "l2": 0.5, "gradient": 0.3, "perceptual": 0.7, "adversarial": 0.1}
    losses |= {"commitment": 0.25, "entropy": 0.4}
    metrics = means(tokenizer_step(losses).loss(MODEL, picture_batch(), generators(), 0).metrics)
    expected = sum(weight * metrics[name] for name, weight in losses.items())
    assert metrics["loss"] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("term", ["l1", "l2", "gradient", "perceptual", "adversarial"])
def test_picture_terms_reach_encoder_and_decoder(term: str) -> None:
    step = tokenizer_step({**NOTHING, term: 1.0})
    step.loss(MODEL, picture_batch(), generators(), 0).loss.backward()
    assert touched(step.tokenizer.encoder) and touched(step.tokenizer.decoder)


@pytest.mark.parametrize("term", ["commitment", "entropy"])
def test_code_terms_reach_the_encoder_alone(term: str) -> None:
    step = tokenizer_step({**NOTHING, term: 1.0})
    step.loss(MODEL, picture_batch(), generators(), 0).loss.backward()
    assert touched(step.tokenizer.encoder) and not touched(step.tokenizer.decoder)


def test_each_phase_trains_its_own_network() -> None:
    step = tokenizer_step(EVERYTHING)
    assert step.discriminator is not None
    step.loss(MODEL, picture_batch(), generators(), 0).loss.backward()
    assert touched(step.tokenizer) and not touched(step.discriminator)
    step.modules.zero_grad()
    step.loss(DISCRIMINATOR, picture_batch(), generators(), 0).loss.backward()
    assert touched(step.discriminator) and not touched(step.tokenizer)
    held = [
        {id(p) for group in step.parameter_groups(phase) for p in group["params"]}
        for phase in step.phases
    ]
    assert held[0] == {id(p) for p in step.tokenizer.parameters()}
    assert held[1] == {id(p) for p in step.discriminator.parameters()}
    assert set(step.trained) == {"tokenizer"}


def test_discriminator_starts_late_and_learns_at_its_own_rate() -> None:
    losses = {"adversarial": 0.3, "adversarial_start": 5, "discriminator_learning_rate": 2e-4}
    step = tokenizer_step(losses, learning_rate=1e-4)
    assert step.phases_at(4) == (MODEL,)
    assert step.phases_at(5) == (MODEL, DISCRIMINATOR)
    early = step.loss(MODEL, picture_batch(), generators(), 4).metrics
    late = step.loss(MODEL, picture_batch(), generators(), 5).metrics
    assert "adversarial" not in early and "adversarial" in late
    assert {group["rate"] for group in step.parameter_groups(DISCRIMINATOR)} == {2.0}
    assert {group["rate"] for group in step.parameter_groups(MODEL)} == {1.0}


def test_discriminator_learns_to_tell_reconstructions() -> None:
    step = tokenizer_step({"adversarial": 0.3})
    optimizer = torch.optim.AdamW(step.parameter_groups(DISCRIMINATOR), lr=2e-3)
    losses = []
    for number in range(12):
        result = step.loss(DISCRIMINATOR, picture_batch(), generators(step=number), number)
        optimizer.zero_grad()
        result.loss.backward()
        optimizer.step()
        losses.append(result.loss.item())
    assert losses[-1] < 0.7 * losses[0]
    found = means(result.metrics)
    assert found["logits_real"] > found["logits_fake"]


@pytest.mark.parametrize("losses", [{}, EVERYTHING], ids=["pixels", "everything"])
def test_a_few_steps_improve_the_pictures(losses: dict[str, Any]) -> None:
    step = tokenizer_step(losses)
    before = means(step.validation(picture_batch()))["psnr"]
    optimizer = torch.optim.AdamW(step.parameter_groups(MODEL), lr=2e-3)
    for number in range(15):
        result = step.loss(MODEL, picture_batch(), generators(step=number), number)
        optimizer.zero_grad()
        result.loss.backward()
        optimizer.step()
    assert means(step.validation(picture_batch()))["psnr"] > before + 1


def test_validation_rebuilds_by_the_tokenizers_own_bits() -> None:
    step = tokenizer_step({"scale_dropout": 0.9, "scale_prefixes": 0.9})
    trained_on = tokenizer_step({}).loss(MODEL, picture_batch(), generators(), 0).metrics
    assert means(step.validation(picture_batch()))["psnr"] == pytest.approx(
        means(trained_on)["psnr"], abs=1e-3
    )


@pytest.mark.parametrize("d", [8, 32, 64])
def test_any_number_of_bits_trains(d: int) -> None:
    config = tiny_config("tokenizer", tokenizer={"model": replace(TOKENIZER, bits=d)})
    step = TokenizerStep(config, Tokenizer(config.tokenizer.model), None, None)
    result = step.loss(MODEL, picture_batch(2), generators(range(2)), 0)
    result.loss.backward()
    assert result.loss.isfinite() and touched(step.tokenizer.encoder)


def test_reduced_precision_stays_near_float32() -> None:
    found = [
        tokenizer_step({}, dtype=dtype).loss(MODEL, picture_batch(), generators(), 0).loss.item()
        for dtype in ("float32", "bfloat16")
    ]
    assert found[1] == pytest.approx(found[0], rel=0.05)


def test_prepared_data_is_refused() -> None:
    batch = Batch(step=0, aspect_ratio="1:1", captions=("",), keys=("",), positions=(0,), bits=())
    with pytest.raises(InfinityError, match="pictures"):
        tokenizer_step({}).loss(MODEL, batch, generators([0]), 0)
