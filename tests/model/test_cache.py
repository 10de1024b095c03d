import torch

from infinity.model.attention import KVCache
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


def test_nbytes_is_keys_and_values_of_all_tokens():
    cache = KVCache(CONFIG, SCHEDULE, batch=2, dtype=torch.bfloat16)
    elements = CONFIG.depth * 2 * CONFIG.width * SCHEDULE.total_tokens
    assert cache.kept.nbytes == 2 * elements * 2


def test_keep_drops_the_last_rows():
    cache = KVCache(CONFIG, SCHEDULE, batch=4)
    part = torch.randn(4, CONFIG.num_heads, 1, CONFIG.head_width)
    cache.append(0, 0, part, part)
    cache.keep(2)
    assert cache.kept.shape[2] == 2
    part_2 = torch.randn(2, CONFIG.num_heads, 2, CONFIG.head_width)
    keys, _ = cache.append(0, 1, part_2, part_2)
    assert torch.equal(keys, torch.cat((part[:2], part_2), dim=2))
