"""The straight-through quantizer gives the tokenizer's bits, for any d."""

from __future__ import annotations

import pytest
import torch

from infinity.config import TokenizerConfig
from infinity.schedule import ScaleSchedule
from infinity.tokenizer.quantizer import encode_scales
from tests.training.steps.helpers import generators
from training.steps.quantize import draw_kept_scales, straight_through

SCHEDULE = ScaleSchedule([(1, 1), (2, 3), (4, 6)])


def features(d: int, patch: int = 1) -> torch.Tensor:
    random = torch.Generator().manual_seed(d)
    return torch.randn(3, d, 4 * patch, 6 * patch, generator=random).requires_grad_()


@pytest.mark.parametrize("patchify", [False, True])
@pytest.mark.parametrize("d", [8, 24, 64])
def test_quantized_sum_is_the_tokenizers(d: int, patchify: bool) -> None:
    config = TokenizerConfig(bits=d, patchify=patchify)
    inputs = features(d, config.patch)
    found = straight_through(inputs, config, SCHEDULE)
    expected = encode_scales(inputs, config, SCHEDULE).latent_Bdyx
    torch.testing.assert_close(found.latent_Bdyx, expected, rtol=0, atol=1e-6)


def test_gradients_pass_the_signs_to_the_features() -> None:
    inputs = features(8)
    found = straight_through(inputs, TokenizerConfig(bits=8), SCHEDULE)
    target = torch.randn(found.latent_Bdyx.shape, generator=torch.Generator().manual_seed(1))
    (found.latent_Bdyx * target).sum().backward()
    assert inputs.grad is not None and (inputs.grad.abs() > 0).float().mean() > 0.9
    # The features alone are not on the sphere, so their length gets no gradient from one scale.
    single = features(8)
    straight_through(single, TokenizerConfig(bits=8), ScaleSchedule([(4, 6)])).latent_Bdyx.mul(
        target
    ).sum().backward()
    assert single.grad is not None
    assert (single.grad * single).sum(1).abs().max() < 1e-5


def test_commitment_is_zero_on_a_code_only() -> None:
    config, schedule = TokenizerConfig(bits=4), ScaleSchedule([(1, 1)])
    code = torch.tensor([0.5, -0.5, 0.5, 0.5]).view(1, 4, 1, 1)
    assert straight_through(code, config, schedule).commitment_B.item() == pytest.approx(
        0, abs=1e-12
    )
    assert straight_through(3 * code, config, schedule).commitment_B.item() == pytest.approx(
        0, abs=1e-12
    )
    off = torch.tensor([1.0, 0.0, 0.0, 0.0]).view(1, 4, 1, 1)
    assert straight_through(off, config, schedule).commitment_B.item() == pytest.approx(0.25)


def test_left_out_scales_add_nothing_and_the_last_is_always_kept() -> None:
    config, inputs = TokenizerConfig(bits=8), features(8)
    kept = torch.ones(3, 3)
    kept[:2, 1] = 0
    found = straight_through(inputs, config, SCHEDULE, kept)
    whole = straight_through(inputs, config, SCHEDULE)
    torch.testing.assert_close(found.latent_Bdyx[[0, 2]], whole.latent_Bdyx[[0, 2]])
    alone = straight_through(inputs[1:2], config, ScaleSchedule([SCHEDULE[-1]]))
    torch.testing.assert_close(found.latent_Bdyx[1:2], alone.latent_Bdyx)
    torch.testing.assert_close(found.commitment_B[1:2], alone.commitment_B)
    drawn = draw_kept_scales(generators(range(200)), 3, 0.5, 0.0)
    assert drawn[-1].all()
    assert 0.4 < drawn[:-1].mean() < 0.6
    assert draw_kept_scales(generators(), 3, 0.0, 0.0).all()


def test_some_codes_end_before_the_last_scale() -> None:
    drawn = draw_kept_scales(generators(range(400)), 4, 0.0, 0.3)
    lengths = drawn.sum(dim=0)
    assert torch.equal(drawn, (torch.arange(4)[:, None] < lengths).float())
    assert 0.2 < (lengths < 4).float().mean() < 0.4
    assert set(lengths.tolist()) == {1, 2, 3, 4}
    both = draw_kept_scales(generators(range(400)), 4, 0.5, 0.3)
    assert both.any(dim=0).all()
    single = draw_kept_scales(generators(), 1, 0.0, 1.0)
    assert single.all()


def test_draws_of_a_sample_do_not_depend_on_its_neighbors() -> None:
    together = draw_kept_scales(generators(range(4)), 5, 0.5, 0.5)
    alone = draw_kept_scales(generators([2]), 5, 0.5, 0.5)
    assert torch.equal(together[:, 2:3], alone)


def test_entropy_penalty_weighs_the_mean_code() -> None:
    found = straight_through(features(8), TokenizerConfig(bits=8), SCHEDULE)
    plain = found.entropy_penalty_B(0.0)
    torch.testing.assert_close(plain, found.code_entropy_B / 100)
    diverse = found.entropy_penalty_B(2.0)
    torch.testing.assert_close(plain - diverse, (2 * found.mean_code_entropy / 100).expand(3))
