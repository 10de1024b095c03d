"""Products in fp8: as near as their 8 bits, only where they are asked for, and none where no card has them."""

import logging

import pytest
import torch
import torch.nn.functional as F

from infinity.model.fp8 import Fp8Products, fp8_products, has_fp8_products, in_fp8, written_out
from infinity.request import SamplingParams
from tests.generation.test_generate import bits_of, run

CPU = torch.device("cpu")
FLOATS = (torch.float32, torch.bfloat16)
needs_card = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA card")


def operands() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes = ((2, 8, 256), (128, 256), (128,))
    x, weight, bias = (torch.randn(shape, generator=generator) for shape in shapes)
    return x, weight, bias


def test_rows_have_scales_of_their_own():
    rows = torch.tensor([[1.0, -2.0], [1000.0, 500.0], [0.0, 0.0]])
    whole, scale = in_fp8(rows)
    assert whole.dtype == torch.float8_e4m3fn
    torch.testing.assert_close(whole.float() * scale, rows, rtol=0.05, atol=0)


@pytest.mark.parametrize("dtype", FLOATS)
def test_product_is_near_and_in_the_inputs_dtype(dtype):
    x, weight, bias = (part.to(dtype) for part in operands())
    expected = F.linear(x, weight, bias)
    with Fp8Products(written_out, FLOATS):
        found = F.linear(x, weight, bias)
    assert found.dtype == dtype
    error = (found - expected).float().norm() / expected.float().norm()
    assert 0.01 < error < 0.06
    assert torch.equal(F.linear(x, weight, bias), expected)


def test_float32_layers_and_odd_widths_stay_as_they_are():
    x, weight, bias = operands()
    narrow = x[..., :-1].bfloat16(), weight[:, :-1].bfloat16()
    with Fp8Products(written_out):
        kept, odd = F.linear(x, weight, bias), F.linear(*narrow)
    assert torch.equal(kept, F.linear(x, weight, bias))
    assert torch.equal(odd, F.linear(*narrow))


def test_machine_without_them_says_so_once_and_draws_exactly(caplog):
    has_fp8_products.cache_clear()
    exact = list(run())
    with caplog.at_level(logging.WARNING):
        asked = list(run(SamplingParams(guidance=3.0, fp8_scales=3)))
    assert torch.equal(bits_of(exact), bits_of(asked))
    assert [record.message for record in caplog.records if "fp8" in record.message] == [
        "no fp8 products on cpu, they are taken in the usual precision: only CUDA cards have them"
    ]


def test_only_the_last_scales_multiply_in_fp8(monkeypatch):
    asked: list[bool] = []

    def seen(device, **options):
        asked.append(options["asked"])
        return fp8_products(device, asked=False)

    monkeypatch.setattr("infinity.model.transformer.fp8_products", seen)
    list(run(SamplingParams(guidance=3.0, fp8_scales=1)))
    assert asked == [False] * 9 + [True] * 3  # four scales of three blocks


@needs_card
def test_card_multiplies_as_written_out():
    card = torch.device("cuda")
    if not has_fp8_products(card):
        pytest.skip("this card has no fp8 products")
    x, weight, bias = (part.to(card, torch.bfloat16) for part in operands())
    with fp8_products(card, asked=True):
        found = F.linear(x, weight, bias)
    with Fp8Products(written_out):
        expected = F.linear(x, weight, bias)
    torch.testing.assert_close(found, expected, rtol=0.02, atol=0.1)
