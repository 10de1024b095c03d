import numpy as np
import pytest
import torch

from infinity.errors import RequestError
from infinity.packing import pack_bits, pack_region, unpack_bits, unpack_region
from tests.tiny import PATCHIFY_SPEC, SPEC


@pytest.mark.parametrize("spec", [SPEC, PATCHIFY_SPEC], ids=lambda spec: spec.name)
@pytest.mark.parametrize("ratio", list(SPEC.schedules))
def test_bits_come_back_as_they_were(spec, ratio):
    schedule, count = spec.schedules[ratio], spec.tokenizer.bits_per_token
    generator = torch.Generator().manual_seed(1)
    bits = [torch.rand(scale.tokens, count, generator=generator) < 0.5 for scale in schedule]
    again = unpack_bits(pack_bits(bits), schedule, count)
    assert all(torch.equal(a, b) for a, b in zip(bits, again, strict=True))


@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (8, 8), (64, 37)])
def test_region_comes_back_as_it_was(shape):
    region = np.random.default_rng(1).random(shape) < 0.5
    assert np.array_equal(unpack_region(pack_region(region)), region)


@pytest.mark.parametrize("text", ["", "AA", "not base64", "A" * 10_000, "=", "é"])
def test_wrong_bits_are_refused_in_a_sentence(text):
    with pytest.raises(RequestError, match="bits are"):
        unpack_bits(text, SPEC.schedules["1:1"], 8)


@pytest.mark.parametrize(
    "text",
    ["", "8x8", "8x8:", "8x8:AA==", "0x4:", "99999x99999:AA==", "1x1:?", "-1x1:gA==", "8x8:===="],
)
def test_wrong_region_is_refused_in_a_sentence(text):
    with pytest.raises(RequestError, match="region"):
        unpack_region(text)
