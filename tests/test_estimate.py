"""Needs told beforehand, held against what is really allocated."""

from __future__ import annotations

import gc
import weakref
from dataclasses import replace

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from infinity.checkpoints.fit import empty_tokenizer, empty_transformer, fill
from infinity.config import TokenizerConfig
from infinity.errors import RequestError
from infinity.estimate import cache_bytes, decode_bytes, gpu_seconds, memory_need, weight_bytes
from infinity.memory_modes import MEMORY_MODES, get_memory_mode
from infinity.model.cache import KVCache
from infinity.registry import TEXT_ENCODER_PARAMETERS, TEXT_ENCODER_REPOSITORY, get_spec
from infinity.request import GenerationRequest
from infinity.weights import Weights
from tests.tiny import SPEC, tiny_tokenizer, tiny_transformer

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
GB = 10**9


class Allocations(TorchDispatchMode):
    """The most bytes alive at once of what was made inside the block."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.most = 0
        self.known: set[int] = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for tensor in torch.utils._pytree.tree_leaves(out):
            if isinstance(tensor, torch.Tensor):
                self._see(tensor.untyped_storage())
        return out

    def _see(self, storage: torch.UntypedStorage) -> None:
        address = storage.data_ptr()
        if not address or address in self.known:
            return
        self.known.add(address)
        size = storage.nbytes()
        self.now += size
        self.most = max(self.most, self.now)
        weakref.finalize(storage, self._forget, address, size)

    def _forget(self, address: int, size: int) -> None:
        self.known.discard(address)
        self.now -= size


@pytest.mark.parametrize("blocks", ["", "int8", "fp8"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_weights_are_counted_as_they_load(dtype, blocks, tmp_path):
    parts = []
    for module, empty, config, kind in (
        (tiny_transformer(), empty_transformer, SPEC.transformer, blocks),
        (tiny_tokenizer(), empty_tokenizer, SPEC.tokenizer, ""),
    ):
        weights = Weights(dict(module.state_dict()), tmp_path)
        parts.append(fill(empty(config, weights), weights, CPU, dtype, blocks=kind))
    expected = tuple(sum(tensor.nbytes for tensor in part.parameters()) for part in parts)
    assert weight_bytes(SPEC.transformer, SPEC.tokenizer, dtype, blocks) == expected


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_cache_is_counted_as_it_is_allocated(dtype):
    schedule = SPEC.schedule("3:2")
    cache = KVCache(SPEC.transformer, schedule, 2, dtype)
    assert cache_bytes(SPEC, schedule, 2, dtype) == cache.kept.nbytes
    cache = KVCache(SPEC.transformer, schedule, 2, dtype, in_int8=True)
    assert cache.scales is not None
    kept = cache.kept.nbytes + cache.scales.nbytes
    assert cache_bytes(SPEC, schedule, 2, dtype, in_int8=True) == kept


def test_text_encoder_of_the_released_models_is_counted_as_it_is():
    from transformers import T5Config, T5EncoderModel

    config = T5Config(
        vocab_size=32128, d_model=2048, d_kv=64, d_ff=5120, num_layers=24, num_heads=32,
        feed_forward_proj="gated-gelu",
    )  # fmt: skip
    with torch.device("meta"):
        encoder = T5EncoderModel(config)
    assert encoder.num_parameters() == TEXT_ENCODER_PARAMETERS[TEXT_ENCODER_REPOSITORY]


@pytest.mark.parametrize("strips", [False, True])
def test_decoding_takes_no_more_than_was_told(strips):
    config = TokenizerConfig(bits=8, base_channels=32, channel_multipliers=(1, 2, 2))
    spec = replace(SPEC, tokenizer=config)
    tokenizer = tiny_tokenizer(spec)
    schedule = SPEC.schedule("1:1")
    height, width = schedule.latent_size(len(schedule) - 1, 1)
    tokenizer.strip_elements = 2**23 if strips else None
    latent = torch.zeros(1, 8, height, width)
    gc.collect()
    with torch.no_grad(), Allocations() as seen:
        tokenizer.decode(latent)
    told = decode_bytes(config, schedule, torch.float32, strips)
    assert 0.3 * told <= seen.most <= told


def test_savings_need_less_and_less():
    spec = get_spec("infinity-2b")
    text = TEXT_ENCODER_PARAMETERS[TEXT_ENCODER_REPOSITORY]
    needs = [
        memory_need(spec, memory_mode, CUDA, torch.bfloat16, text).device
        for memory_mode in MEMORY_MODES.values()
    ]
    assert needs == sorted(needs, reverse=True)
    assert len(set(needs)) == len(needs)
    assert 8 * GB < needs[-1] < needs[0] < 18 * GB


def test_text_encoder_on_the_cpu_takes_the_hosts_memory():
    spec = get_spec("infinity-2b")
    none, some = (
        memory_need(spec, MEMORY_MODES[name], CUDA, torch.bfloat16, 10**9)
        for name in ("none", "some")
    )
    assert none.host == 0
    assert some.host == 2 * 10**9
    assert none.device - some.device == 2 * 10**9


def test_cpu_has_one_memory_for_everything():
    need = memory_need(SPEC, MEMORY_MODES["some"], CPU, torch.float32, 1000)
    assert need.host == 0
    parts = (need.transformer, need.tokenizer, need.text_encoder, need.cache, need.working)
    assert need.device == sum(parts)


def test_more_pictures_need_more_cache():
    one, four = (
        memory_need(SPEC, MEMORY_MODES["none"], CPU, torch.float32, 0, count) for count in (1, 4)
    )
    assert four.cache == 4 * one.cache


def test_captured_graphs_are_a_term_on_a_card_alone():
    spec = get_spec("infinity-2b")

    def need(device, **options):
        return memory_need(spec, MEMORY_MODES["none"], device, torch.bfloat16, 0, **options)

    without, kept = need(CUDA, graphs=False), need(CUDA)
    assert need(CPU).graphs == without.graphs == 0
    assert kept.device - without.device == kept.graphs
    assert 0.5 * GB < kept.graphs < 1.5 * GB


def test_pictures_in_one_pass_work_in_more_memory():
    spec = get_spec("infinity-8b")
    one, four = (
        memory_need(spec, MEMORY_MODES["none"], CUDA, torch.bfloat16, 0, count) for count in (1, 4)
    )
    assert four.graphs > 3 * one.graphs
    assert four.working > one.working


def test_gpu_time_follows_the_request():
    spec = get_spec("infinity-2b")
    asked = GenerationRequest(prompt="a fox")
    one = gpu_seconds(spec, asked)
    four = gpu_seconds(spec, replace(asked, num_images=4))
    unguided = gpu_seconds(spec, replace(asked, num_images=4, guidance=1.0))
    assert one < unguided < four <= 60
    assert gpu_seconds(get_spec("infinity-8b"), replace(asked, num_images=4)) > four


def test_unknown_saving_is_refused_with_those_there_are():
    with pytest.raises(RequestError, match="choose one of none, some, most"):
        get_memory_mode("much")
