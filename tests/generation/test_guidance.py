import pytest
import torch

from infinity.errors import RequestError
from infinity.generation.sampling import (
    block_guidance,
    check_layers,
    guide,
    guided_length,
)
from infinity.request import SamplingParams


def test_guide_moves_away_from_the_unconditional_half():
    rows = torch.tensor([[1.0], [2.0], [0.5], [4.0]])
    torch.testing.assert_close(guide(rows, 3.0), torch.tensor([[2.0], [-2.0]]))
    assert torch.equal(guide(rows, 1.0), rows[:2])
    assert torch.equal(guide(rows, 0.0), rows[2:])


@pytest.mark.parametrize(
    ("guidance", "guided_scales", "length"),
    [
        (1.0, None, 0),
        (3.0, None, 5),
        (3.0, 2, 2),
        (3.0, 0, 0),
        ((1.0, 3.0, 1.0), None, 2),
        ((1.0, 1.0), None, 0),
        ((1.0, 3.0), None, 5),
        ((2.0, 1.0, 0.0, 1.0), None, 3),
        (3.0, 99, 5),
    ],
)
def test_guided_length_ends_with_the_last_guided_scale(guidance, guided_scales, length):
    sampling = SamplingParams(guidance=guidance, guided_scales=guided_scales)
    assert guided_length(sampling, 5) == length


def test_block_guidance_counts_blocks_from_the_end_and_mixes_both_halves():
    sampling = SamplingParams(guidance=(1.0, 2.0), guidance_layers=(0, -1, -3))
    assert block_guidance(sampling, 0, depth=4) == {}
    hooks = block_guidance(sampling, 1, depth=4)
    assert sorted(hooks) == [1, 3]
    hidden = torch.randn(6, 2, 4)
    mixed = hooks[3](hidden)
    assert torch.equal(mixed[:3], mixed[3:])
    torch.testing.assert_close(mixed[:3], 2 * hidden[:3] - hidden[3:])


def test_layer_the_model_does_not_have_is_refused_with_its_range():
    check_layers(SamplingParams(guidance_layers=(0, -4)), depth=4)
    with pytest.raises(RequestError, match=r"guidance layer -5 does not exist.*-1 to -4"):
        check_layers(SamplingParams(guidance_layers=(-5,)), depth=4)
