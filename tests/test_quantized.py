"""Layers in 8 bits against the float ones: error a layer, bits that stay, and files that are 8 bits already."""

import pytest
import torch
from torch import nn

from infinity.checkpoints.adapter import LowRank
from infinity.checkpoints.fit import empty_transformer, fill
from infinity.generation.generate import generate, leading, text_condition
from infinity.generation.sampling import seeded_generator
from infinity.int8 import dequantized, quantized
from infinity.quantized import QuantizedLinear, quantize_layers
from infinity.weights import Weights
from tests.tiny import SPEC, TEXT_WIDTH, tiny_transformer

CPU = torch.device("cpu")
SCHEDULE = SPEC.schedule("1:1")
LARGEST_ERROR = {"int8": 0.012, "fp8": 0.035}
"""Root mean square of a product's error over the product's, Gaussian weights."""


def layer_of(kind: str, dtype: torch.dtype, *, bias: bool = True) -> tuple[nn.Linear, nn.Linear]:
    torch.manual_seed(0)
    layer = nn.Linear(256, 128, bias=bias).requires_grad_(False)
    layer.weight.normal_()
    whole = QuantizedLinear(layer, kind)
    whole.quantize(layer.weight)
    return layer, whole.to(dtype=dtype) if dtype == torch.float32 else whole


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("kind", ["int8", "fp8"])
def test_product_is_as_near_as_its_8_bits(kind, bias):
    layer, whole = layer_of(kind, torch.float32, bias=bias)
    assert isinstance(whole, QuantizedLinear)
    x = torch.randn(64, 256)
    expected, found = layer(x), whole(x)
    error = float((found - expected).square().mean().sqrt() / expected.square().mean().sqrt())
    assert LARGEST_ERROR[kind] / 4 < error < LARGEST_ERROR[kind]
    dense = nn.functional.linear(x, whole.dense(), layer.bias)
    torch.testing.assert_close(found, dense, rtol=1e-4, atol=1e-4)


def test_bfloat16_input_gives_bfloat16_output_and_an_owners_bias_counts():
    _, whole = layer_of("int8", torch.bfloat16, bias=False)
    x, bias = torch.randn(4, 256).bfloat16(), torch.full((128,), 3.0).bfloat16()
    assert whole(x).dtype == torch.bfloat16
    torch.testing.assert_close(whole(x, bias), whole(x) + 3, rtol=0.02, atol=0.1)


def loaded(blocks: str, state: dict[str, torch.Tensor] | None = None):
    state = dict(tiny_transformer().state_dict()) if state is None else state
    weights = Weights(state, SPEC.name)  # type: ignore[arg-type]
    return fill(
        empty_transformer(SPEC.transformer, weights), weights, CPU, torch.float32, blocks=blocks
    )


def agreement(kind: str, in_int8: bool = False) -> float:
    """Share of bits that are the same with the float model's bits forced."""

    def drawn(transformer, revise):
        text = torch.randn(3, TEXT_WIDTH, generator=torch.Generator().manual_seed(0))
        condition = text_condition(transformer, [text], [None], SPEC.sampling, len(SCHEDULE))
        seen = []

        def hook(index, bits, logits):
            seen.append(bits)
            return bits if revise is None else leading(revise)(index, bits, logits)

        sources = [seeded_generator(0)]
        arguments = transformer, SPEC.tokenizer, condition, SCHEDULE, SPEC.sampling, sources
        list(generate(*arguments, revise=hook))
        return seen

    bits = drawn(loaded(""), None)
    other = loaded(kind)
    other.int8_cache = in_int8
    same = [one == two for one, two in zip(bits, drawn(other, bits), strict=True)]
    return float(torch.cat([part.flatten() for part in same]).float().mean())


@pytest.mark.parametrize(
    ("kind", "in_int8", "least"),
    [("", False, 1.0), ("int8", False, 0.97), ("fp8", False, 0.93), ("", True, 0.97)],
)
def test_most_bits_stay(kind, in_int8, least):
    share = agreement(kind, in_int8)
    assert share >= least
    assert (share < 1) == bool(kind)


def test_cache_of_few_levels_changes_bits(monkeypatch):
    """A tiny model hides 127 levels, but not 3."""
    assert agreement("", in_int8=True) > 0.97
    monkeypatch.setattr("infinity.model.cache.MOST", 3)
    assert agreement("", in_int8=True) < 1


def test_matrices_of_the_blocks_alone_are_kept_in_8_bits():
    model = loaded("int8")
    kinds = {name: part.dtype for name, part in model.named_parameters()}
    whole = {name for name, dtype in kinds.items() if dtype == torch.int8}
    assert whole and all(name.startswith("blocks.") for name in whole)
    assert len(whole) == 7 * SPEC.transformer.depth
    assert model.compute_dtype == torch.float32


def test_weights_of_8_bits_in_a_file_stay_as_they_are(tmp_path, monkeypatch):
    """So a model that is kept in int8 in its file loses nothing by it."""
    monkeypatch.setattr("infinity.int8.LARGE", 2)
    kept = quantized(tiny_transformer().state_dict())
    model = loaded("int8", dequantized(kept, tmp_path))
    name = "blocks.1.feed_forward.up"
    layer = model.get_submodule(name)
    assert torch.equal(layer.weight, kept[f"{name}.weight"])
    assert torch.equal(layer.scale, kept[f"{name}.weight.scale"])


def test_adapter_is_merged_into_8_bits():
    layer, whole = layer_of("int8", torch.bfloat16)
    change = LowRank(torch.randn(2, 256), torch.randn(128, 2), 0.5)
    change.merge(layer)
    change.merge(whole)
    step = layer.weight.abs().amax(1, keepdim=True) / 127
    assert ((whole.dense() - layer.weight).abs() <= 2 * step).all()


def test_text_encoder_in_8_bits_says_nearly_the_same(tmp_path):
    from infinity.config import TextEncoderConfig
    from infinity.text import TextEncoder
    from tests.t5_folder import write_t5_folder

    folder = write_t5_folder(tmp_path / "t5", 128, 0)
    config = TextEncoderConfig(width=128, max_length=24)
    plain, small = TextEncoder(folder, config), TextEncoder(folder, config, in_int8=True)
    one, two = plain.encode("a red fox").features, small.encode("a red fox").features
    assert 0 < (one - two).norm() / one.norm() < 0.03
    assert small.nbytes < 0.6 * plain.nbytes


def test_only_linear_layers_are_replaced():
    module = nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4), nn.Sequential(nn.Linear(4, 2)))
    quantize_layers(module, "int8")
    found = [type(part).__name__ for part in module.modules()]
    assert found == ["Sequential", "QuantizedLinear", "LayerNorm", "Sequential", "QuantizedLinear"]
