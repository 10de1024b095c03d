"""The transformer's step: what a sample's loss depends on, and what its gradients reach."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from infinity.errors import InfinityError
from infinity.schedule import ScaleSchedule
from infinity.tokenizer.quantizer import encode_scales
from tests.training.steps.helpers import (
    RATIO,
    SCHEDULE,
    TOKENIZER,
    generators,
    picture_batch,
    tiny_config,
    transformer_step,
)
from training.config.sections import LoraSettings
from training.data.records import Batch
from training.finetune.lora import add_lora, is_adapter
from training.losses import bit_loss
from training.steps.draws import TransformerDraws
from training.steps.step import MODEL, added_metrics, means, pictures_as_floats
from training.steps.transformer_step import TransformerStep, bit_metrics

EVERYTHING = {"text_dropout": 0.5, "drop_path": 0.4}
CLEAN = TransformerDraws((False,) * 6)


def gradients(step: TransformerStep) -> dict[str, torch.Tensor]:
    return {
        name: parameter.grad.clone()
        for name, parameter in step.modules.named_parameters()
        if parameter.grad is not None
    }


def latent_batch(step: TransformerStep, *, bits: bool = False) -> Batch:
    """The picture batch as prepared data."""
    batch = picture_batch()
    assert step.tokenizer is not None and batch.pictures_u8 is not None
    with torch.no_grad():
        features = step.tokenizer.features(
            pictures_as_floats(batch.pictures_u8, torch.device("cpu"))
        )
    if bits:
        labels = encode_scales(features, TOKENIZER, SCHEDULE).bits
        return replace(batch, pictures_u8=None, bits=labels)
    return replace(batch, pictures_u8=None, latents=features)


@pytest.mark.parametrize("size", [1, 2, 4])
def test_slices_add_up_to_the_whole_batch(size: int) -> None:
    step = transformer_step(tiny_config(optimization=EVERYTHING))
    batch = picture_batch()
    whole = step.loss(MODEL, batch, generators(), 0)
    whole.loss.backward()
    expected = gradients(step)
    step.modules.zero_grad()
    parts, total = [], 0.0
    for start in range(0, 6, size):
        part = batch.slice(start, min(start + size, 6))
        result = step.loss(MODEL, part, generators(part.positions), 0)
        (result.loss * (len(part) / 6)).backward()
        total += result.loss.item() * len(part) / 6
        parts.append(result)
    assert total == pytest.approx(whole.loss.item(), abs=1e-5)
    found = gradients(step)
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-3, atol=1e-5, msg=name)
    together = means(added_metrics(part.metrics for part in parts))
    for name, value in means(whole.metrics).items():
        assert together[name] == pytest.approx(value, abs=1e-5), name


def test_metrics_are_means_over_samples_of_what_was_counted_by_hand() -> None:
    """Two bits a token; wrong are 3 of the square sample's 10 and 1 of the wide one's 6 bits."""
    square, wide = ScaleSchedule([(1, 1), (2, 2)]), ScaleSchedule([(1, 1), (1, 2)])
    counted = {square: [(0, 0), (1, 1), (4, 0)], wide: [(2, 1)]}
    parts = []
    for schedule, wrong in counted.items():
        labels = torch.zeros(1, schedule.total_tokens, 2, dtype=torch.bool)
        logits = torch.zeros(*labels.shape, 2)
        logits[..., 0] = 1.0  # every bit is predicted to be False
        for token, bit in wrong:
            labels[0, token, bit] = True
        for reduction in ("mean", "sum"):
            result = bit_loss(logits, labels, schedule, reduction=reduction)
            metrics = bit_metrics(result, schedule)
        parts.append(metrics)
    found = means(added_metrics(parts))
    right, missed = math.log(1 + math.exp(-1)), math.log(1 + math.exp(1))
    expected = {
        "bit_accuracy": (7 / 10 + 5 / 6) / 2,
        "bit_accuracy_scale_1": (1 / 2 + 1) / 2,
        "bit_accuracy_scale_2": (6 / 8 + 3 / 4) / 2,
        "token_accuracy": (2 / 5 + 2 / 3) / 2,
        "bit_loss": right + (missed - right) * (3 / 10 + 1 / 6) / 2,
        "bit_loss_scale_2": right + (missed - right) * (2 / 8 + 1 / 4) / 2,
        # A scale of 1 token weighs 2 to 1 against each of 4, and sqrt(2) to 1 against each of 2;
        # of the objective each bit is a whole one, as "sum" says.
        "loss": (
            2 * right + (missed - right) * (2 * 1 + 2) / (2 + 4)
            + 2 * right + (missed - right) * 1 / (math.sqrt(2) + 2)
        ) / 2,
    }  # fmt: skip
    assert {name: found[name] for name in expected} == pytest.approx(expected, abs=1e-6)


def test_prepared_latents_and_bits_give_the_loss_of_the_pictures() -> None:
    step = transformer_step(tiny_config(self_correction={"strength": 0.0}))
    expected = step.loss(MODEL, picture_batch(), generators(), 0).loss.item()
    for bits in (False, True):
        found = step.loss(MODEL, latent_batch(step, bits=bits), generators(), 0).loss.item()
        assert found == pytest.approx(expected, abs=1e-6)


def test_prepared_latents_give_the_loss_of_the_pictures_with_self_correction() -> None:
    step = transformer_step(tiny_config())
    expected = step.loss(MODEL, picture_batch(), generators(), 0).loss.item()
    found = step.loss(MODEL, latent_batch(step), generators(), 0).loss.item()
    assert found == pytest.approx(expected, abs=1e-6)


def test_prepared_bits_alone_refuse_self_correction() -> None:
    step = transformer_step(tiny_config())
    with pytest.raises(InfinityError, match=r"self_correction\.strength"):
        step.loss(MODEL, latent_batch(step, bits=True), generators(), 0)


def test_prepared_text_gives_the_loss_of_the_captions_and_is_left_alone() -> None:
    step = transformer_step(tiny_config(optimization=EVERYTHING), trained_text=False)
    batch = picture_batch()
    expected = step.loss(MODEL, batch, generators(), 0).loss.item()
    assert step.captions is not None
    features = tuple(step.captions(batch.captions))
    kept = [text.clone() for text in features]
    step.captions = None
    found = step.loss(MODEL, replace(batch, features=features), generators(), 0)
    assert found.loss.item() == pytest.approx(expected, abs=1e-6)
    assert all(torch.equal(a, b) for a, b in zip(kept, features, strict=True))
    with pytest.raises(InfinityError, match="text encoder"):
        step.loss(MODEL, batch, generators(), 0)


def test_trained_text_encoder_reads_captions_even_beside_prepared_text() -> None:
    step = transformer_step(tiny_config())
    expected = step.bit_loss(picture_batch(), CLEAN).loss.item()
    stale = replace(picture_batch(), features=tuple(torch.zeros(3, 128) for _ in range(6)))
    assert step.bit_loss(stale, CLEAN).loss.item() == pytest.approx(expected, abs=1e-6)


def test_adapters_are_trained_alone_and_their_dropout_is_the_steps_own() -> None:
    lora = {"rank": 2, "dropout": 0.5}
    config = tiny_config(optimization={"text_dropout": 0.0}).model_copy(
        update={"lora": LoraSettings(**lora)}
    )
    step = transformer_step(config, trained_text=False)
    assert config.lora is not None
    add_lora(step.transformer, config.lora, seed=0)
    for name, parameter in step.transformer.named_parameters():
        if ".lora_B." in name:
            torch.nn.init.constant_(parameter, 0.1)
    losses = []
    for number in (0, 0, 1):
        result = step.loss(MODEL, picture_batch(), generators(step=number), number)
        losses.append(result.loss.item())
    assert losses[0] == losses[1] != losses[2]
    result.loss.backward()
    touched = {name for name, p in step.transformer.named_parameters() if p.grad is not None}
    assert touched == {name for name, _ in step.transformer.named_parameters() if is_adapter(name)}
    held = [name for group in step.parameter_groups(MODEL) for name in group["names"]]
    assert set(held) == touched


@pytest.mark.parametrize(
    "settings",
    [{"strength": 0.0}, {"scales": 0}, {"requantize": False}],
    ids=["strength", "scales", "requantize"],
)
def test_self_correction_can_be_turned_off(settings: dict) -> None:
    losses = []
    for changes in (settings, {"strength": 0.3}):
        config = tiny_config(optimization={"text_dropout": 0.0}, self_correction=changes)
        losses.append(transformer_step(config).loss(MODEL, picture_batch(), generators(), 0).loss)
    clean = transformer_step(tiny_config()).bit_loss(picture_batch(), CLEAN).loss
    assert losses[0].item() == pytest.approx(clean.item(), abs=1e-6)
    assert losses[1].item() != pytest.approx(clean.item(), abs=1e-4)


def test_flips_change_later_labels_but_not_the_first() -> None:
    step = transformer_step(tiny_config())

    def flip_first(index: int, bits: torch.Tensor) -> torch.Tensor | None:
        return torch.ones_like(bits) if index == 0 else None

    labels = []
    for flips in (None, flip_first):
        draws = TransformerDraws(CLEAN.dropped, None, flips)
        labels.append(step._encoded(picture_batch(), SCHEDULE, draws).labels_BLD)
    assert torch.equal(labels[0][:, :1], labels[1][:, :1])
    assert not torch.equal(labels[0][:, 1:], labels[1][:, 1:])


@pytest.mark.parametrize("trained", [True, False])
def test_gradients_reach_what_is_trained_and_only_that(trained: bool) -> None:
    config = tiny_config(optimization={"text_dropout": 0.0})
    step = transformer_step(config, trained_text=trained)
    assert ("text_encoder" in step.modules) == trained
    step.bit_loss(picture_batch(), CLEAN).loss.backward()
    assert step.captions is not None
    text = [parameter.grad is not None for parameter in step.captions.model.parameters()]
    assert all(text) if trained else not any(text)
    assert all(parameter.grad is None for parameter in step.frozen.parameters())
    missing = {name for name, p in step.transformer.named_parameters() if p.grad is None}
    assert missing <= {"unconditional"}  # nothing was dropped


def test_only_dropped_texts_train_the_unconditional_text() -> None:
    step = transformer_step(tiny_config(), trained_text=True)
    step.bit_loss(picture_batch(), TransformerDraws((True,) * 6)).loss.backward()
    assert step.captions is not None
    longest = max(len(text) for text in step.captions(picture_batch().captions))
    gradient = step.transformer.unconditional.grad
    assert gradient is not None
    rows = gradient.abs().sum(dim=1) > 0
    assert rows[:longest].all() and not rows[longest:].any()
    touched = [p.grad for p in step.captions.model.parameters() if p.grad is not None]
    assert not any(gradient.abs().sum() > 0 for gradient in touched)


def test_dropped_branches_are_as_if_their_gain_were_zero() -> None:
    step = transformer_step(tiny_config())
    factors = torch.ones(3, 2, 6, 1, 1)
    factors[1] = 0
    skipped = step.bit_loss(picture_batch(), TransformerDraws(CLEAN.dropped, factors)).loss
    plain = step.bit_loss(picture_batch(), CLEAN).loss
    condition = step.transformer.share_text(step.captions(picture_batch().captions), factors)  # type: ignore[misc]
    block = step.transformer.blocks[1]
    assert block.condition(condition.blocks[1]).modulation[:2].abs().max() == 0  # type: ignore[operator]
    assert skipped.item() != pytest.approx(plain.item(), abs=1e-6)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_reduced_precision_stays_near_float32(dtype: str) -> None:
    results = []
    for name in ("float32", dtype):
        step = transformer_step(tiny_config(optimization={"dtype": name}))
        loss = step.loss(MODEL, picture_batch(), generators(), 0).loss
        loss.backward()
        assert all(p.dtype == torch.float32 for p in step.modules.parameters())
        results.append(loss.item())
    assert results[1] == pytest.approx(results[0], rel=0.02)
    assert results[1] != results[0]


def test_parameter_groups_hold_every_trained_parameter_once() -> None:
    step = transformer_step(tiny_config(optimization={"weight_decay": 0.1}))
    groups = step.parameter_groups(MODEL)
    held = [id(parameter) for group in groups for parameter in group["params"]]
    assert sorted(held) == sorted(id(parameter) for parameter in step.modules.parameters())
    own, all_of_them = {id(p) for p in step.transformer.parameters()}, groups
    groups = [group for group in all_of_them if id(group["params"][0]) in own]
    assert [group["weight_decay"] for group in groups if group["decays"]] == [0.1]
    assert all(group["decays"] == (group["weight_decay"] > 0) for group in groups)
    text = step.config.text_encoder
    assert {g["weight_decay"] for g in all_of_them if g not in groups} == {0.0, text.weight_decay}


def test_validation_drops_and_corrupts_nothing() -> None:
    step = transformer_step(tiny_config(optimization={"text_dropout": 1.0}))
    found = means(step.validation(picture_batch()))
    expected = step.bit_loss(picture_batch(), CLEAN).loss.item()
    assert found["loss"] == pytest.approx(expected, abs=1e-6)


def test_a_few_steps_lower_the_loss() -> None:
    step = transformer_step(tiny_config(self_correction={"strength": 0.1}))
    optimizer = torch.optim.AdamW(step.parameter_groups(MODEL), lr=3e-3)
    losses = []
    for number in range(12):
        result = step.loss(MODEL, picture_batch(), generators(step=number), number)
        optimizer.zero_grad()
        result.loss.backward()
        optimizer.step()
        losses.append(result.loss.item())
    assert losses[-1] < 0.8 * losses[0]


def test_blocks_are_the_units_of_what_is_trained() -> None:
    assert len(transformer_step(tiny_config(), trained_text=False).blocks()) == 3
    assert len(transformer_step(tiny_config(), trained_text=True).blocks()) == 4
    assert RATIO in transformer_step(tiny_config()).schedules
