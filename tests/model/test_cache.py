import pytest
import torch

from infinity.model.cache import KVCache
from tests.model.helpers import CONFIG, SCHEDULE


def test_append_returns_all_tokens_so_far():
    cache = KVCache(CONFIG, SCHEDULE, batch=2)
    stored = []
    for index, scale in enumerate(SCHEDULE):
        part = torch.randn(2, CONFIG.num_heads, scale.tokens, CONFIG.head_width)
        stored.append(part)
        keys, values = cache.append(1, index, part, -part)
        assert torch.equal(keys, torch.cat(stored, dim=2))
        assert torch.equal(values, -keys)


def test_nbytes_is_keys_and_values_of_all_tokens_but_the_last_scales():
    cache = KVCache(CONFIG, SCHEDULE, batch=2, dtype=torch.bfloat16)
    tokens = SCHEDULE.total_tokens - SCHEDULE[-1].tokens
    assert cache.kept.nbytes == 2 * CONFIG.depth * 2 * CONFIG.width * tokens * 2


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_8_bits_keep_every_number_within_a_step_of_its_head_and_token(dtype):
    cache = KVCache(CONFIG, SCHEDULE, batch=2, dtype=dtype, in_int8=True)
    assert cache.kept.element_size() == 1
    generator, stored = torch.Generator().manual_seed(0), []
    for index, scale in enumerate(SCHEDULE):
        shape = (2, CONFIG.num_heads, scale.tokens, CONFIG.head_width)
        stored.append(torch.randn(shape, generator=generator).to(dtype) * (index + 1))
        keys, values = cache.append(0, index, stored[-1], -stored[-1])
        assert keys.dtype == values.dtype == dtype
        exact = torch.cat(stored, dim=2)
        step = exact.float().abs().amax(-1, keepdim=True) / 127
        assert ((keys - exact).float().abs() <= step).all()
        assert torch.equal(values, -keys)
        assert torch.equal(keys[:, :, SCHEDULE.span(index)], stored[-1])


@pytest.mark.parametrize("in_int8", [False, True])
def test_first_rows_are_kept_without_the_last(in_int8):
    cache = KVCache(CONFIG, SCHEDULE, batch=4, in_int8=in_int8)
    part = torch.ones(4, CONFIG.num_heads, 1, CONFIG.head_width)
    cache.append(0, 0, part, part)
    cache = cache.first_rows(2)
    assert cache.kept.shape[2] == 2
    part_2 = torch.randn(2, CONFIG.num_heads, 2, CONFIG.head_width)
    keys, _ = cache.append(0, 1, part_2, part_2)
    assert torch.equal(keys, torch.cat((part[:2], part_2), dim=2))
