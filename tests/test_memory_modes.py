"""Memory modes: what they are called, which one fits a card, and that records replay them."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from infinity.errors import RequestError
from infinity.estimate import PRICES, chosen_memory_mode, drawing_bytes, memory_need
from infinity.generation.generate import generate, text_condition
from infinity.generation.sampling import seeded_generator
from infinity.memory_modes import BUDGETS, MEMORY_MODES, PARTS, MemoryMode, get_memory_mode
from infinity.metadata import read_record
from infinity.model.cache import KVCache
from infinity.pipeline import InfinityPipeline
from infinity.quantized import QuantizedLinear, quantize_layers
from infinity.registry import TEXT_ENCODER_PARAMETERS, TEXT_ENCODER_REPOSITORY, get_spec
from infinity.request import GenerationRequest
from infinity.schedule import ScaleSchedule
from tests.test_estimate import Allocations
from tests.tiny import SPEC, tiny_folder, tiny_transformer

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
TEXT = TEXT_ENCODER_PARAMETERS[TEXT_ENCODER_REPOSITORY]
REQUEST = GenerationRequest(prompt="a red fox")


def chosen(name: str, model: str, device: torch.device = CUDA) -> tuple[MemoryMode, int]:
    """(mode, bytes it takes)."""
    spec = get_spec(model)
    dtype = torch.bfloat16 if device == CUDA else torch.float32
    mode = chosen_memory_mode(name, spec, device, dtype, TEXT)
    precision = torch.bfloat16 if mode.dtype else dtype
    return mode, memory_need(spec, mode, device, precision, TEXT).device


@pytest.mark.parametrize("name", [*MEMORY_MODES, "int8-cache,strips", "fp8-weights"])
def test_mode_is_read_again_from_its_parts(name):
    mode = get_memory_mode(name)
    again = get_memory_mode(str(mode) or "none")
    assert again.parts == mode.parts
    assert again.costs == mode.costs


@pytest.mark.parametrize("name", ["much", "", "strips,much", "int8-weights,fp8-weights", "9GB"])
def test_unknown_mode_is_refused(name):
    with pytest.raises(RequestError, match="memory mode"):
        get_memory_mode(name)


@pytest.mark.parametrize(
    ("name", "model", "most"),
    [
        ("8GB", "infinity-2b", 7.2e9), ("12GB", "infinity-2b", 11e9), ("16GB", "infinity-8b", 14.8e9),
        ("24GB", "infinity-8b", 22.4e9), ("8GB", "infinity-125m", 7.2e9),
    ],
)  # fmt: skip
def test_card_holds_what_was_chosen_for_it(name, model, most):
    mode, need = chosen(name, model)
    assert need <= most
    cheaper = [mode.parts - {part} for part in mode.parts]
    for parts in cheaper:  # nothing is given up for nothing
        left = memory_need(get_spec(model), MemoryMode(parts=parts), CUDA, torch.bfloat16, TEXT)
        assert left.device > most


@pytest.mark.parametrize("model", ["infinity-2b", "infinity-8b"])
@pytest.mark.parametrize("device", [CPU, CUDA])
def test_larger_memory_costs_no_more(model, device):
    modes = [chosen(name, model, device)[0] for name in BUDGETS]
    prices = [sum(PRICES[part] for part in mode.parts) for mode in modes]
    assert prices == sorted(prices, reverse=True)
    assert device == CUDA or all("text-on-cpu" not in mode.parts for mode in modes)
    assert all(mode.info.endswith(".") for mode in modes)


def test_card_that_is_too_small_gets_the_least_and_is_told():
    mode, need = chosen("8GB", "infinity-8b")
    assert mode.info.startswith(f"It takes {need / 1e9:.1f} GB even so. ")
    assert {"int8-cache", "int8-weights", "strips"} <= mode.parts


def test_every_part_has_a_price_or_is_never_chosen():
    assert PARTS.keys() - PRICES.keys() == {"fp8-weights"}


@pytest.mark.parametrize(
    "parts", [(), ("int8-weights",), ("int8-cache",), ("int8-weights", "int8-cache")]
)
def test_drawing_allocates_what_was_told(parts):
    """The last scale of a small model with a large schedule; told from above, and not by far."""
    config = replace(SPEC.transformer, width=256, num_heads=4, depth=4)
    schedule = ScaleSchedule([(1, 1), (4, 4), (16, 16), (24, 24)])
    spec = replace(SPEC, transformer=config, schedules={"1:1": schedule})
    transformer = tiny_transformer(spec)
    if "int8-weights" in parts:
        dense = {name: part for name, part in transformer.named_parameters()}
        quantize_layers(transformer.blocks, "int8")
        for name, layer in transformer.named_modules():
            if isinstance(layer, QuantizedLinear):
                layer.quantize(dense[f"{name}.weight"])
    transformer.int8_cache = "int8-cache" in parts
    text = torch.randn(8, config.text_width)
    condition = text_condition(transformer, [text], [None], spec.sampling, len(schedule))
    run = generate(
        transformer, spec.tokenizer, condition, schedule, spec.sampling, [seeded_generator(0)]
    )
    with Allocations() as seen:
        for _ in run:
            pass
    cache = KVCache(config, schedule, 2, in_int8="int8-cache" in parts)
    kept = cache.kept.nbytes + (0 if cache.scales is None else cache.scales.nbytes)
    told = kept + drawing_bytes(spec, schedule, 2, torch.float32, "int8-weights" in parts)
    assert 0.6 * told <= seen.most <= told


@pytest.mark.parametrize("parts", ["int8-text,int8-cache,int8-weights,strips", "fp8-weights"])
def test_pictures_name_their_mode_and_replay_in_it(parts, tmp_path):
    folder = tiny_folder(tmp_path / "tiny")
    first = InfinityPipeline.from_pretrained(folder, "cpu", memory=parts)
    image = first.generate(REQUEST).images[0]
    record = read_record(image)
    assert record.memory == parts
    again = InfinityPipeline.from_pretrained(folder, "cpu", memory=record.memory)
    assert np.array_equal(again.generate(record.request).images[0], image)
    plain = InfinityPipeline.from_pretrained(folder, "cpu")
    assert read_record(plain.generate(REQUEST).images[0]).memory == ""
    assert not np.array_equal(plain.generate(REQUEST).images[0], image)


def test_unknown_mode_is_refused_before_anything_is_read():
    with pytest.raises(RequestError, match="Unknown memory mode"):
        InfinityPipeline.from_pretrained("default", memory="7GB")
