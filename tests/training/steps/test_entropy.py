"""The factorised entropy against the definition over all 2^d codes."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from training.steps import quantize
from training.steps.quantize import INVERSE_TEMPERATURE, code_entropy, mean_code_entropy


def unit(*shape: int, seed: int = 0) -> Tensor:
    random = torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return F.normalize(random, dim=1)


def soft_codes(unit_Bdyx: Tensor) -> Tensor:
    """(positions, 2^d) chances of every code, by their distances."""
    d = unit_Bdyx.shape[1]
    codes = torch.tensor(list(itertools.product((-1.0, 1.0), repeat=d)), dtype=unit_Bdyx.dtype)
    positions = unit_Bdyx.movedim(1, -1).reshape(-1, 1, d)
    distances = (positions - codes / math.sqrt(d)).square().sum(-1)
    return (-INVERSE_TEMPERATURE * distances).softmax(-1)


@pytest.mark.parametrize("d", [1, 4, 8])
def test_code_entropy_equals_that_over_all_codes(d: int) -> None:
    features = unit(3, d, 2, 4)
    expected = torch.special.entr(soft_codes(features)).sum(-1).view(3, -1).mean(1)
    torch.testing.assert_close(code_entropy(features), expected)


def test_mean_code_entropy_of_one_position_equals_its_own() -> None:
    features = unit(1, 6, 1, 1)
    torch.testing.assert_close(
        mean_code_entropy(features), code_entropy(features)[0], rtol=1e-4, atol=1e-5
    )


def test_mean_code_entropy_bounds_that_over_all_codes_and_equals_it_for_independent_bits() -> None:
    features = unit(4, 6, 3, 3)
    exact = torch.special.entr(soft_codes(features).mean(0)).sum()
    assert mean_code_entropy(features) >= exact
    corners = torch.tensor(list(itertools.product((-1.0, 1.0), repeat=4)), dtype=torch.float64)
    everything = F.normalize(corners, dim=1)[..., None, None]
    exact = torch.special.entr(soft_codes(everything).mean(0)).sum()
    torch.testing.assert_close(mean_code_entropy(everything), exact)
    assert exact.item() == pytest.approx(4 * math.log(2))


def test_gradient_of_code_entropy_makes_unsure_bits_surer() -> None:
    features = F.normalize(torch.tensor([[0.02, -0.02, 1.0, -1.0]]), dim=1)[..., None, None]
    features.requires_grad_()
    code_entropy(features).sum().backward()
    gradient = features.grad
    assert gradient is not None
    assert gradient[0, 0] < 0 < gradient[0, 1]
    assert gradient[0, 2].abs() < 1e-6


def test_gradient_of_mean_code_entropy_balances_bits() -> None:
    features = F.normalize(torch.tensor([[0.03, 1.0], [0.02, -1.0]]), dim=1)[..., None, None]
    features.requires_grad_()
    (-mean_code_entropy(features)).backward()
    gradient = features.grad
    assert gradient is not None and (gradient[:, 0] > 0).all()


@pytest.mark.parametrize("d", [8, 32, 64])
def test_entropy_of_sure_bits_is_finite_with_finite_gradients(d: int) -> None:
    features = unit(2, d, 3, 3).float().requires_grad_()
    (code_entropy(features).sum() - mean_code_entropy(features)).backward()
    assert features.grad is not None and features.grad.isfinite().all()


def test_mean_code_is_that_of_all_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of two processes sees a part; weighted by samples, their gradients add up."""
    features = unit(6, 4, 2, 2)
    whole = features.clone().requires_grad_()
    expected = mean_code_entropy(whole)
    expected.backward()
    parts = [features[:2].clone().requires_grad_(), features[2:].clone().requires_grad_()]
    chances = [torch.sigmoid(quantize._logits(part)).mean((2, 3)).detach() for part in parts]
    sums = [torch.cat((c.sum(0), c.new_tensor([float(len(c))]))) for c in chances]
    monkeypatch.setattr(quantize.dist, "is_initialized", lambda: True)
    monkeypatch.setattr(quantize.dist, "get_world_size", lambda: 2)
    for part, other in zip(parts, reversed(sums), strict=True):
        monkeypatch.setattr(
            quantize.dist, "all_reduce", lambda tensor, other=other: tensor.add_(other)
        )
        found = mean_code_entropy(part)
        torch.testing.assert_close(found, expected)
        (found * len(part) / 6).backward()
    together = torch.cat([part.grad for part in parts if part.grad is not None])
    torch.testing.assert_close(together, whole.grad)
