"""What the memory modes promise, measured on a card: released shapes with random weights. Skipped without one."""

import pytest
import torch
from torch import nn

from infinity.checkpoints.fit import stays_float32
from infinity.estimate import chosen_memory_mode, memory_need
from infinity.model.transformer import InfinityTransformer
from infinity.pipeline import InfinityPipeline
from infinity.quantized import QuantizedLinear, quantize_layers
from infinity.registry import TEXT_ENCODER_PARAMETERS, TEXT_ENCODER_REPOSITORY, get_spec
from infinity.request import GenerationRequest
from infinity.tokenizer.strips import STRIP_ELEMENTS
from infinity.tokenizer.tokenizer import Tokenizer
from tests.tiny import WordsEncoder

CARD = torch.device("cuda")
TEXT = TEXT_ENCODER_PARAMETERS[TEXT_ENCODER_REPOSITORY]
needs_card = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA card")


def on_card(module: nn.Module, kind: str = "") -> nn.Module:
    """A module of the meta device with random weights on the card, as ``load_model`` places them."""
    if kind:
        quantize_layers(module.get_submodule("blocks"), kind)
    for name, parameter in module.named_parameters():
        owner, _, part = name.rpartition(".")
        layer = module.get_submodule(owner)
        if isinstance(layer, QuantizedLinear) and part == "scale":
            continue  # comes with the weight
        dtype = torch.float32 if stays_float32(name) else torch.bfloat16
        value = torch.empty(parameter.shape, dtype=dtype, device=CARD).uniform_(-0.02, 0.02)
        if isinstance(layer, QuantizedLinear) and part == "weight":
            layer.quantize(value)
        else:
            setattr(layer, part, nn.Parameter(value, requires_grad=False))
    return module.eval().requires_grad_(False)


@needs_card
@pytest.mark.parametrize(
    ("model", "name", "most"), [("infinity-2b", "8GB", 7.2e9), ("infinity-8b", "16GB", 14.8e9)]
)
def test_largest_picture_fits_the_card_and_the_estimate(model, name, most):
    spec = get_spec(model)
    mode = chosen_memory_mode(name, spec, CARD, torch.bfloat16, TEXT)
    assert "text-on-cpu" in mode.parts  # so that no text encoder is missing from the card here
    with torch.device("meta"):
        parts = InfinityTransformer(spec.transformer), Tokenizer(spec.tokenizer)
    torch.cuda.empty_cache()
    transformer, tokenizer = on_card(parts[0], mode.weights), on_card(parts[1])
    transformer.int8_cache = "int8-cache" in mode.parts
    tokenizer.strip_elements = STRIP_ELEMENTS if "strips" in mode.parts else None
    encoder = WordsEncoder(spec.text_encoder.width, spec.text_encoder.max_length)
    pipeline = InfinityPipeline(spec, transformer, tokenizer, encoder, memory_mode=mode)
    ratio = max(spec.schedules, key=lambda ratio: spec.schedules[ratio].total_tokens)
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    for seed in range(3):
        pipeline.generate(GenerationRequest(prompt="a fox " * 10, aspect_ratio=ratio, seed=seed))
    assert torch.cuda.max_memory_reserved() <= most
    told = memory_need(spec, mode, CARD, torch.bfloat16, TEXT)
    assert 0.9 <= told.device / torch.cuda.max_memory_allocated() <= 1.1


@needs_card
@pytest.mark.parametrize("kind", ["int8", "fp8"])
def test_product_of_8_bits_on_the_card_is_that_of_the_cpu(kind):
    torch.manual_seed(0)
    layer = nn.Linear(512, 256).requires_grad_(False)
    whole = QuantizedLinear(layer, kind)
    whole.quantize(layer.weight)
    x = torch.randn(32, 512)
    torch.testing.assert_close(
        whole.to(CARD)(x.to(CARD)).cpu(), whole.cpu()(x), rtol=1e-3, atol=1e-3
    )
