"""What a model will need before any of it is read: bytes, phase by phase, and seconds on a GPU; and which
memory mode fits a card.

Weights and cache are counted exactly, on the meta device; working memory is an upper estimate that
tests hold against what a tiny model really allocates.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import combinations

import torch

from infinity.checkpoints.fit import stays_float32
from infinity.config import REFINE_PATCH, TokenizerConfig, TransformerConfig
from infinity.generation.graphs import MOST_PLANS, chosen_mode
from infinity.generation.sampling import guided_length
from infinity.int8 import KINDS
from infinity.memory_modes import BUDGETS, NO_SAVING, MemoryMode, get_memory_mode
from infinity.model.transformer import InfinityTransformer
from infinity.quantized import quantize_layers
from infinity.request import GenerationRequest
from infinity.schedule import ScaleSchedule
from infinity.spec import ModelSpec
from infinity.tokenizer.strips import STRIP_ELEMENTS
from infinity.tokenizer.tokenizer import Tokenizer

MAPS_AT_ONCE = 4
"""Feature maps alive together while a picture is decoded whole: a block's input, normed, result, sum."""
MAPS_IN_STRIPS = 2
STRIPS_AT_ONCE = 6
GRAPH_BYTES = 2**17
"""What a card's driver keeps of the kernels of one block at one scale in a captured graph; not measured."""
ROWS_WIDE = 4
"""Widths C of numbers a token holds while it passes a block, besides the feed-forward's."""
PRECISE_BYTES = 4
PROMPT_TOKENS = 64
TEXT_VOCABULARY = 32128
"""Rows of T5's embedding, which stays in the compute precision."""

USABLE_SHARE, DRIVER_BYTES = 0.95, 4 * 10**8
"""A card's memory less what its driver takes; the rest is lost in the allocator's gaps."""
PRICES = {
    "int8-text": 1,
    "int8-cache": 2,
    "int8-weights": 4,
    "text-on-cpu": 5,
    "bfloat16": 5,
    "strips": 6,
    "no-graphs": 8,
    "text-from-disk": 9,
}
"""What a part costs in bits and seconds together, for the choice of a memory mode."""

USEFUL_FLOPS = 6e13
"""Multiplications and additions a second that a hosted GPU can be relied on for, in bfloat16."""
START_SECONDS = 8.0


@dataclass(frozen=True, kw_only=True)
class MemoryNeed:
    """Bytes. ``device`` and ``host`` are the most at one time; the rest are its parts.

    On a CPU both are the same memory: ``host`` is then 0. ``graphs`` is what the pools of captured graphs
    hold beside the rest.
    """

    transformer: int
    tokenizer: int
    text_encoder: int
    cache: int
    working: int
    graphs: int = 0
    device: int
    host: int

    @property
    def weights(self) -> int:
        return self.transformer + self.tokenizer


@lru_cache(maxsize=256)
def weight_bytes(
    transformer: TransformerConfig, tokenizer: TokenizerConfig, dtype: torch.dtype, kind: str = ""
) -> tuple[int, int]:
    """(transformer, tokenizer) bytes as ``load_model`` loads them.

    Args:
        kind: of the blocks' matrices: "int8", "fp8" or "", which is ``dtype``.
    """
    with torch.device("meta"):
        parts = InfinityTransformer(transformer), Tokenizer(tokenizer)
    if kind:
        quantize_layers(parts[0].blocks, kind)
    kept = {*(dtype for dtype, _ in KINDS.values())}
    sizes = [
        sum(
            tensor.nbytes
            if tensor.dtype in kept or name.endswith(".scale")
            else tensor.numel() * (PRECISE_BYTES if stays_float32(name) else dtype.itemsize)
            for name, tensor in part.state_dict().items()
        )
        for part in parts
    ]
    return sizes[0], sizes[1]


def cache_bytes(
    spec: ModelSpec,
    schedule: ScaleSchedule,
    rows: int,
    dtype: torch.dtype,
    *,
    in_int8: bool = False,
) -> int:
    """Keys and values, as ``KVCache`` allocates them."""
    config = spec.transformer
    tokens = 2 * config.depth * rows * (schedule.total_tokens - schedule[-1].tokens)
    if in_int8:
        return tokens * (config.width + config.num_heads * dtype.itemsize)
    return tokens * config.width * dtype.itemsize


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
    parts, is_cpu = memory_mode.parts, device.type == "cpu"
    transformer, tokenizer = weight_bytes(
        spec.transformer, spec.tokenizer, dtype, memory_mode.weights
    )
    text = text_parameters * dtype.itemsize
    if "int8-text" in parts:
        kept = min(text_parameters, TEXT_VOCABULARY * spec.text_encoder.width)
        text = text_parameters + kept * (dtype.itemsize - 1)
    largest = max(spec.schedules.values(), key=lambda schedule: schedule.total_tokens)
    rows = 2 if guided_length(spec.sampling, len(largest)) else 1
    pictures = 1 if is_cpu else num_images
    cache = num_images * cache_bytes(spec, largest, rows, dtype, in_int8="int8-cache" in parts)
    drawing = drawing_bytes(spec, largest, pictures * rows, dtype, bool(memory_mode.weights))
    decoding = decode_bytes(spec.tokenizer, largest, dtype, "strips" in parts)
    working = max(drawing, decoding)
    captured = 0
    if graphs and device.type == "cuda" and "no-graphs" not in parts:
        captured = MOST_PLANS * GRAPH_BYTES * spec.transformer.depth * len(largest) + drawing
    on_cpu = "text-on-cpu" in parts and not is_cpu
    resident = 0 if memory_mode.release_text or on_cpu else text
    peak = max(0 if on_cpu else text, resident + cache + working + captured)
    return MemoryNeed(
        transformer=transformer,
        tokenizer=tokenizer,
        text_encoder=text,
        cache=cache,
        working=working,
        graphs=captured,
        device=transformer + tokenizer + peak,
        host=text if on_cpu else 0,
    )


def drawing_bytes(
    spec: ModelSpec, schedule: ScaleSchedule, rows: int, dtype: torch.dtype, quantized: bool
) -> int:
    """The most that the last scale holds beside weights and cache: activations, one block's keys and values
    of all tokens, what the prompt gave every block, and one matrix taken out of its 8 bits."""
    config = spec.transformer
    hidden = ROWS_WIDE * config.width + 2 * config.feed_forward_width
    a_token = hidden * dtype.itemsize + 4 * config.bits_per_token * PRECISE_BYTES
    attended = 2 * schedule.total_tokens * config.width * dtype.itemsize
    prompt = 2 * config.depth * PROMPT_TOKENS * config.width * dtype.itemsize
    matrix = config.width * config.feed_forward_width * dtype.itemsize if quantized else 0
    return rows * (schedule[-1].tokens * a_token + attended + prompt) + matrix


def decode_bytes(
    config: TokenizerConfig, schedule: ScaleSchedule, dtype: torch.dtype, strips: bool
) -> int:
    """Bytes while a picture is decoded, its weights aside."""
    widest = max(_map_elements(config, schedule))
    if not strips:
        return MAPS_AT_ONCE * widest * dtype.itemsize
    strip = min(STRIP_ELEMENTS, widest)
    return MAPS_IN_STRIPS * widest * dtype.itemsize + STRIPS_AT_ONCE * strip * PRECISE_BYTES


def chosen_memory_mode(
    name: str | MemoryMode,
    spec: ModelSpec,
    device: torch.device,
    dtype: torch.dtype,
    text_parameters: int,
) -> MemoryMode:
    """A memory mode by name; for a budget the cheapest that fits it, else the one that needs least.

    Raises:
        RequestError: an unknown name.
    """
    if isinstance(name, MemoryMode) or name not in BUDGETS:
        return get_memory_mode(name)
    modes = _modes(device, dtype)

    def need(mode: MemoryMode) -> int:
        precision = torch.bfloat16 if mode.dtype else dtype
        graphs = chosen_mode() != "off"
        return memory_need(spec, mode, device, precision, text_parameters, graphs=graphs).device

    usable = USABLE_SHARE * BUDGETS[name] - DRIVER_BYTES
    chosen = next((mode for mode in modes if need(mode) <= usable), None)
    if chosen is not None:
        return replace(chosen, title=name, info=chosen.costs)
    least = min(modes, key=need)
    told = f"It takes {need(least) / 1e9:.1f} GB even so. {least.costs}"
    return replace(least, title=name, info=told)


def _modes(device: torch.device, dtype: torch.dtype) -> list[MemoryMode]:
    """Every combination of parts that can save memory here, the cheapest first."""
    useless = {"text-on-cpu"} if device.type == "cpu" else set()
    useless |= {"no-graphs"} if device.type != "cuda" else set()
    useless |= {"bfloat16"} if dtype == torch.bfloat16 else set()
    known = [part for part in PRICES if part not in useless]
    chosen = [parts for count in range(len(known) + 1) for parts in combinations(known, count)]
    chosen.sort(key=lambda parts: sum(map(PRICES.__getitem__, parts)))
    return [MemoryMode(parts=frozenset(parts)) for parts in chosen]


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
        memory_mode: name of the memory mode it is for; ``mode`` is what that is for this model.
        free, total: bytes of the device's memory, what keeping other models takes counted as free;
            None where the system does not tell.
        download: bytes to fetch first; None where that is not known.
        obstacle: why it cannot be loaded now, in one sentence; empty if it can.
    """

    name: str
    memory_mode: str
    mode: MemoryMode = NO_SAVING
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
