import math

import pytest
import torch

from infinity.model.rope import rope_table, rotate_
from infinity.schedule import ScaleSchedule, schedule_for

MODES = ("nearest", "bilinear", "corner")


@pytest.mark.parametrize("mode", MODES)
def test_table_has_a_row_a_token_and_a_column_a_pair(mode):
    schedule = schedule_for("3:2", "0.06M")
    assert rope_table(schedule, 16, mode).shape == (schedule.total_tokens, 8)


@pytest.mark.parametrize("mode", MODES)
def test_table_of_a_prefix_is_a_prefix_of_the_table(mode):
    schedule = schedule_for("2:3", "0.25M")
    prefix = rope_table(schedule.prefix(5), 8, mode)
    assert torch.equal(prefix, rope_table(schedule, 8, mode)[: len(prefix)])


def test_nearest_angles_are_those_of_the_grid_position():
    schedule = ScaleSchedule([(1, 1), (2, 3)], rope_grid=(8, 12))
    frequencies = [1.0, 10000 ** (-2 / 4)]
    table = rope_table(schedule, 8, "nearest")
    for token, (row, column) in enumerate(
        [(0, 0)] + [(y * 4, x * 4) for y in (0, 1) for x in (0, 1, 2)]
    ):
        angles = [row * f for f in frequencies] + [column * f for f in frequencies]
        expected = torch.tensor([complex(math.cos(a), math.sin(a)) for a in angles])
        torch.testing.assert_close(table[token], expected.to(torch.complex64))


def test_rotateturns_interleaved_pairs():
    x = torch.tensor([1.0, 0.0, 0.0, 2.0])
    table = torch.tensor([complex(0, 1), complex(-1, 0)], dtype=torch.complex64)
    torch.testing.assert_close(rotate_(x, table), torch.tensor([0.0, 1.0, 0.0, -2.0]))


def test_rotatemakes_products_depend_on_differences_of_position_only():
    generator = torch.Generator().manual_seed(0)
    q, k = torch.randn(2, 16, generator=generator)
    table = rope_table(ScaleSchedule([(9, 9)]), 16, "corner").view(9, 9, 8)
    near = rotate_(q.clone(), table[1, 2]) @ rotate_(k.clone(), table[3, 5])
    far = rotate_(q.clone(), table[5, 4]) @ rotate_(k.clone(), table[7, 7])
    torch.testing.assert_close(near, far, atol=1e-4, rtol=1e-4)


def test_table_made_while_generating_serves_training():
    schedule = ScaleSchedule([(1, 1), (2, 5)])
    with torch.inference_mode():
        rope_table(schedule, 12, "nearest")
    x = torch.ones(11, 12, requires_grad=True)
    (x[:, 0] * rope_table(schedule, 12, "nearest")[:, 0]).real.sum().backward()
    assert x.grad is not None
