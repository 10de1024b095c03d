"""The loss of bits, self-correction's flips, and the text tokenizer of a small encoder."""

from __future__ import annotations

import pytest
import torch

from infinity.schedule import ScaleSchedule
from training import text_encoder
from training.losses import bit_loss, token_weights
from training.steps.draws import SampleFlips

SCHEDULE = ScaleSchedule([(1, 1), (2, 2)])


def test_bit_loss_equals_cross_entropy() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 5, 8, 2, generator=generator)
    labels = torch.rand(2, 5, 8, generator=generator) < 0.5
    expected = torch.nn.functional.cross_entropy(logits.flatten(0, 2), labels.flatten().long())
    result = bit_loss(logits, labels, SCHEDULE, reweight=False)
    torch.testing.assert_close(result.loss, expected)
    assert torch.equal(result.correct_BLD, logits.argmax(-1).bool() == labels)


def test_token_weights_fall_with_the_side_of_a_scale_and_sum_to_one() -> None:
    weights = token_weights(SCHEDULE, reweight=True)
    assert weights.sum() == pytest.approx(1)
    assert weights[0] == pytest.approx(2 * weights[1].item())


@pytest.mark.parametrize("strength", [0.0, 0.3])
def test_random_flips_stay_under_their_strength(strength: float) -> None:
    flips = SampleFlips(strength, 2, [torch.Generator().manual_seed(i) for i in range(4)])
    bits = torch.zeros(4, 50, 64, dtype=torch.bool)
    drawn = [flips(0, bits).float().mean((1, 2)).tolist() for _ in range(10)]  # type: ignore[union-attr]
    rates = [rate for of_samples in drawn for rate in of_samples]
    assert max(rates) <= strength + 0.02
    assert (max(rates) > 0.15) == (strength > 0)
    assert flips(2, bits) is None


def test_text_tokenizer_ignores_case_and_ends_every_prompt() -> None:
    text = text_encoder.train_tokenizer(["a red apple", "two blue cars"] * 20, 60, 16)
    ids = text("A Red APPLE")["input_ids"]
    assert ids == text("a red apple")["input_ids"]
    assert ids[-1] == text.eos_token_id
