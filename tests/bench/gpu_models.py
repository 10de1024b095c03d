"""What the bench for a card runs on and what it draws with: released shapes with random weights."""

from dataclasses import dataclass, replace

import torch

from infinity.generation.clock import Span
from infinity.generation.graphs import GraphMode, ScaleGraphs, graphs_of
from infinity.memory_modes import MemoryMode
from infinity.model.transformer import InfinityTransformer
from infinity.quantized import quantize_layers
from infinity.registry import get_spec, released_schedules
from infinity.spec import ModelSpec
from infinity.tokenizer.strips import STRIP_ELEMENTS
from infinity.tokenizer.tokenizer import Tokenizer
from tests.replayer import Replayer
from tests.tiny import SPEC

BUDGETS = {"256": "0.06M", "512": "0.25M", "1024": "1M"}


@dataclass(frozen=True)
class Machine:
    device: torch.device
    dtype: torch.dtype
    repeats: int
    is_tiny: bool

    def spec(self, size: str) -> ModelSpec:
        name, *pixels = size.split()
        spec = SPEC if self.is_tiny else get_spec(f"infinity-{name}")
        if self.is_tiny or not pixels:
            return spec
        return replace(spec, schedules=released_schedules(BUDGETS[pixels[0]]))

    def clock(self) -> Span:
        return Span(self.device)

    def matmul_tflops(self) -> float:
        size = 256 if self.is_tiny else 8192 if self.device.type == "cuda" else 1024
        left, right = torch.randn(2, size, size, device=self.device).to(self.dtype)
        seconds = []
        for _ in range(10):
            span = self.clock()
            left @ right
            seconds.append(span.end().seconds)
        return 2 * size**3 / min(seconds) / 1e12

    def reset_memory(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(self.device)

    def memory(self) -> dict[str, float]:
        if self.device.type != "cuda":
            return {}
        peaks = torch.cuda.max_memory_allocated, torch.cuda.max_memory_reserved
        return {f"{peak.__name__}_gb": round(peak(self.device) / 1e9, 2) for peak in peaks}


def build(
    spec: ModelSpec, machine: Machine, dtype: torch.dtype
) -> tuple[InfinityTransformer, Tokenizer]:
    """Random weights that let text and earlier bits matter."""
    generator = torch.Generator(machine.device).manual_seed(0)
    with torch.device("meta"):
        transformer, tokenizer = InfinityTransformer(spec.transformer), Tokenizer(spec.tokenizer)
    transformer.to_empty(device=machine.device).init_weights(generator)
    tokenizer.to_empty(device=machine.device)
    with torch.no_grad():
        for block in transformer.blocks:
            block.modulation[:2].fill_(0.1)
        transformer.head.weight.mul_(500)
        for parameter in tokenizer.parameters():
            scale = parameter[0].numel() ** -0.5 if parameter.ndim > 1 else 0.0
            parameter.normal_(generator=generator).mul_(scale)
        for module in tokenizer.modules():
            if isinstance(module, torch.nn.GroupNorm):
                module.reset_parameters()
    parts = (part.to(dtype).eval().requires_grad_(False) for part in (transformer, tokenizer))
    return tuple(parts)  # type: ignore[return-value]


def save_memory(transformer: InfinityTransformer, tokenizer: Tokenizer, mode: MemoryMode) -> None:
    """As ``load_model`` does for weights that it reads."""
    if mode.weights:
        dense = {
            name: each.weight
            for name, each in transformer.blocks.named_modules()
            if isinstance(each, torch.nn.Linear)
        }
        quantize_layers(transformer.blocks, mode.weights)
        for name, weight in dense.items():
            transformer.blocks.get_submodule(name).quantize(weight)  # type: ignore[operator]
    transformer.int8_cache = "int8-cache" in mode.parts
    tokenizer.strip_elements = STRIP_ELEMENTS if "strips" in mode.parts else None


def graphs(
    transformer: InfinityTransformer, machine: Machine, mode: GraphMode
) -> ScaleGraphs | None:
    if machine.is_tiny and mode != "off":  # compiling for a CPU takes minutes
        return ScaleGraphs(transformer, Replayer())
    return graphs_of(transformer, mode)


def needed_flops(spec: ModelSpec, guided: int, pictures: int) -> float:
    """Multiplications and additions of the matrix products that one request's scales cannot do without."""
    schedule, config = spec.schedule("1:1"), spec.transformer
    with torch.device("meta"):
        blocks = InfinityTransformer(config).blocks
    weights = sum(p.numel() for p in blocks.parameters() if p.ndim > 1)
    total = 0.0
    for index, scale in enumerate(schedule):
        rows = pictures * (2 if index < guided else 1) * scale.tokens
        seen = schedule.span(index).stop
        total += rows * (2 * weights + 4 * config.depth * config.width * seen)
    return total
