"""What a model will need before any of it is read: bytes, phase by phase, and seconds on a GPU.

Weights and cache are counted exactly, on the meta device; working memory is an upper estimate that
tests hold against what a tiny model really allocates.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import torch

from infinity.checkpoints.fit import stays_float32
from infinity.config import REFINE_PATCH, TokenizerConfig, TransformerConfig
from infinity.generation.graphs import MOST_PLANS
from infinity.generation.sampling import guided_length
from infinity.memory_modes import MemoryMode
from infinity.model.transformer import InfinityTransformer
from infinity.request import GenerationRequest
from infinity.schedule import ScaleSchedule
from infinity.spec import ModelSpec
from infinity.tokenizer.strips import STRIP_ELEMENTS
from infinity.tokenizer.tokenizer import Tokenizer

MAPS_AT_ONCE = 4
"""Feature maps alive together while a picture is decoded whole: a block's input, normed, result, sum."""
STRIPS_AT_ONCE = 6
GRAPH_BYTES = 2**17
"""What a card's driver keeps of the kernels of one block at one scale in a captured graph; not measured."""
ROWS_WIDE = 8
"""Widths C of numbers a token holds while it passes a block, besides the feed-forward's."""
PRECISE_BYTES = 4

USEFUL_FLOPS = 6e13
"""Multiplications and additions a second that a hosted GPU can be relied on for, in bfloat16."""
START_SECONDS = 8.0


@dataclass(frozen=True, kw_only=True)
class MemoryNeed:
    """Bytes. ``device`` and ``host`` are the most at one time; the rest are its parts.

    On a CPU both are the same memory: ``host`` is then 0.
    """

    transformer: int
    tokenizer: int
    text_encoder: int
    cache: int
    working: int
    device: int
    host: int
    graphs: int = 0

    @property
    def weights(self) -> int:
        return self.transformer + self.tokenizer


@lru_cache(maxsize=64)
def weight_bytes(
    transformer: TransformerConfig, tokenizer: TokenizerConfig, dtype: torch.dtype
) -> tuple[int, int]:
    """(transformer, tokenizer) bytes as ``load_model`` loads them."""
    with torch.device("meta"):
        parts = InfinityTransformer(transformer), Tokenizer(tokenizer)
    sizes = [
        sum(
            tensor.numel() * (PRECISE_BYTES if stays_float32(name) else dtype.itemsize)
            for name, tensor in part.state_dict().items()
        )
        for part in parts
    ]
    return sizes[0], sizes[1]


def cache_bytes(spec: ModelSpec, schedule: ScaleSchedule, rows: int, dtype: torch.dtype) -> int:
    """Keys and values of all tokens, as ``KVCache`` allocates them."""
    config = spec.transformer
    return 2 * config.depth * rows * schedule.total_tokens * config.width * dtype.itemsize


def memory_need(
    spec: ModelSpec,
    memory_mode: MemoryMode,
    device: torch.device,
    dtype: torch.dtype,
    text_parameters: int,
    num_images: int = 1,
    graphs: bool = True,
) -> MemoryNeed:
    """The most a model takes while it draws ``num_images`` of its largest pictures.

    Args:
        dtype: of transformer and tokenizer (``memory_mode.dtype`` is the caller's to apply).
        text_parameters: of the text encoder.
        graphs: whether a CUDA card keeps captured graphs: what they compute in is then their own.
    """
    transformer, tokenizer = weight_bytes(spec.transformer, spec.tokenizer, dtype)
    text = text_parameters * dtype.itemsize
    largest = max(spec.schedules.values(), key=lambda schedule: schedule.total_tokens)
    rows = 2 if guided_length(spec.sampling, len(largest)) else 1
    cache = num_images * cache_bytes(spec, largest, rows, dtype)
    config = spec.transformer
    hidden = ROWS_WIDE * config.width + 2 * config.feed_forward_width
    a_token = hidden * dtype.itemsize + 4 * config.bits_per_token * PRECISE_BYTES
    is_cpu = device.type == "cpu"
    pictures = 1 if is_cpu else num_images
    drawing = pictures * rows * largest[-1].tokens * a_token
    kept = MOST_PLANS * GRAPH_BYTES * config.depth * len(largest) + drawing
    captured = kept if graphs and device.type == "cuda" else 0
    on_device, on_host = decode_bytes(spec.tokenizer, largest, dtype, memory_mode.strips)
    working = max(drawing, on_device + on_host * is_cpu)
    resident = 0 if memory_mode.release_text or (memory_mode.text_on_cpu and not is_cpu) else text
    reading = text if is_cpu or not memory_mode.text_on_cpu else 0
    peak = transformer + tokenizer + max(reading, resident + cache + working + captured)
    host = 0 if is_cpu else max(text if memory_mode.text_on_cpu else 0, on_host)
    return MemoryNeed(
        transformer=transformer,
        tokenizer=tokenizer,
        text_encoder=text,
        cache=cache,
        working=working,
        device=peak,
        host=host,
        graphs=captured,
    )


def decode_bytes(
    config: TokenizerConfig, schedule: ScaleSchedule, dtype: torch.dtype, strips: bool
) -> tuple[int, int]:
    """(device, host) bytes while a picture is decoded, its weights aside."""
    widest = max(_map_elements(config, schedule))
    if not strips:
        return MAPS_AT_ONCE * widest * dtype.itemsize, 0
    strip = min(STRIP_ELEMENTS, widest)
    return STRIPS_AT_ONCE * strip * PRECISE_BYTES, 3 * widest * dtype.itemsize


def gpu_seconds(spec: ModelSpec, request: GenerationRequest) -> int:
    """An upper estimate of how long a request keeps a GPU: what a shared one is booked for."""
    schedule = spec.schedule(request.aspect_ratio)
    guided = guided_length(request.sampling(spec.sampling), len(schedule))
    tokens = schedule.total_tokens + sum(scale.tokens for scale in schedule.scales[:guided])
    parameters = weight_bytes(spec.transformer, spec.tokenizer, torch.float32)[0] / PRECISE_BYTES
    attention = 2 * spec.transformer.depth * spec.transformer.width * schedule.total_tokens
    flops = request.num_images * tokens * 2 * (parameters + attention)
    decoding = request.num_images * 60 * sum(_map_elements(spec.tokenizer, schedule)) * 9 * 128
    return round(START_SECONDS + (flops + decoding) / USEFUL_FLOPS)


def _map_elements(config: TokenizerConfig, schedule: ScaleSchedule) -> Iterator[int]:
    """Numbers of the widest feature map of each of the decoder's resolutions."""
    height, width = schedule.latent_size(len(schedule) - 1, config.patch)
    channels = [config.base_channels * m for m in config.channel_multipliers]
    for level in range(len(channels)):
        scale = 2 ** (len(channels) - 1 - level)
        wide = max(channels[min(level + 1, len(channels) - 1)], channels[level])
        yield wide * height * width * scale**2
    if config.refine_blocks:
        yield config.refine_channels * height * width * (config.stride // REFINE_PATCH) ** 2


@dataclass(frozen=True, kw_only=True)
class LoadPlan:
    """What loading a model needs, and why it may be impossible.

    Attributes:
        memory_mode: name of the memory mode it is for.
        free, total: bytes of the device's memory, what keeping other models takes counted as free;
            None where the system does not tell.
        download: bytes to fetch first; None where that is not known.
        obstacle: why it cannot be loaded now, in one sentence; empty if it can.
    """

    name: str
    memory_mode: str
    device: str
    dtype: str
    need: MemoryNeed
    free: int | None
    total: int | None
    download: int | None = None
    obstacle: str = ""

    @property
    def fits(self) -> bool:
        """Whether the memory is enough, as far as one can tell."""
        return self.free is None or self.need.device <= self.free
