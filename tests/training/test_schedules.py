"""Learning rate, weight decay and parameter groups."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from training.optimizer import parameter_groups
from training.schedules import learning_rate, weight_decay

SHAPES = ("cos", "lin", "lin0", "lin00", "lin0.3", "exp")


@pytest.mark.parametrize("shape", SHAPES)
def test_learning_rate_warms_up_peaks_and_ends_as_asked(shape):
    def rate(iteration):
        return learning_rate(
            iteration, peak=2.0, max_iterations=101, warmup_iterations=10, shape=shape, end=0.1
        )

    assert rate(0) == pytest.approx(2.0 * 0.005)
    assert rate(10) == pytest.approx(2.0)
    assert rate(100) == pytest.approx(0.2)
    assert rate(1000) == pytest.approx(0.2)
    falling = [rate(i) for i in range(10, 101)]
    assert falling == sorted(falling, reverse=True)


@pytest.mark.parametrize("shape", SHAPES)
@given(warmup=st.integers(0, 50), iterations=st.integers(1, 200), data=st.data())
def test_learning_rate_stays_between_its_bounds(shape, warmup, iterations, data):
    iteration = data.draw(st.integers(0, iterations))
    value = learning_rate(
        iteration,
        peak=1.0,
        max_iterations=iterations,
        warmup_iterations=warmup,
        shape=shape,
        end=0.01,
    )
    assert math.isfinite(value)
    assert 0.005 - 1e-12 <= value <= 1.0 + 1e-12


@pytest.mark.parametrize("shape", ["linear", "lin2", "lin-1"])
def test_learning_rate_refuses_an_unknown_shape(shape):
    with pytest.raises(ValueError, match=r"knee|float"):
        learning_rate(1, peak=1.0, max_iterations=10, shape=shape)


def test_weight_decay_goes_from_start_to_end():
    values = [weight_decay(i, start=0.05, end=0.01, max_iterations=11) for i in range(12)]
    assert values[0] == pytest.approx(0.05)
    assert values[5] == pytest.approx(0.03)
    assert values[10] == values[11] == pytest.approx(0.01)


class _Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 4)
        self.convolution = nn.Conv2d(3, 4, 3)
        self.norm = nn.LayerNorm(4)
        self.embedding = nn.Embedding(5, 4)
        self.query = nn.Parameter(torch.randn(1, 2, 4))
        self.frozen = nn.Parameter(torch.randn(4, 4), requires_grad=False)


def test_parameter_groups_decay_the_matrices_only():
    still, decaying = parameter_groups(_Model(), 0.05)
    assert decaying["names"] == ["linear.weight", "convolution.weight"]
    assert still["names"] == [
        "query",
        "linear.bias",
        "convolution.bias",
        "norm.weight",
        "norm.bias",
        "embedding.weight",
    ]
    assert (still["weight_decay"], decaying["weight_decay"]) == (0.0, 0.05)
