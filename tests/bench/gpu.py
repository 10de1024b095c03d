"""What a card makes of the released shapes: ``python -m tests.bench.gpu --output gpu.json``.

Random weights, no network. Without ``--part`` every part runs in a process of its own, and all are joined in one
JSON; a part takes under eight minutes. ``--against FOLDER`` times a checkout of the public reference beside it.
``--tiny`` runs all of it on a CPU with tiny models, which tells nothing but that it runs.

Seconds are the median of ``--repeats`` pictures of 1024x1024 after a warm-up, guidance on the logits, a prompt of
20 tokens, text encoder not counted. ``share_of_limit`` is the time that the needed matrix products take at the
run's own speed of a matrix product, of the transformer's time.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from infinity.console import home_path
from infinity.events import Done
from infinity.generation.clock import Span
from infinity.generation.generate import generate, leading, text_condition
from infinity.generation.graphs import GraphMode, ScaleGraphs, graphs_of
from infinity.generation.sampling import seeded_generator
from infinity.generation.scale import TEXT_STEP, Plan
from infinity.model.transformer import InfinityTransformer
from infinity.pipeline import InfinityPipeline
from infinity.registry import get_spec
from infinity.request import GenerationRequest, PreviewPolicy
from infinity.spec import ModelSpec
from infinity.tokenizer.tokenizer import Tokenizer
from tests.bench.gpu_reference import time_reference
from tests.replayer import Replayer
from tests.tiny import SPEC, WordsEncoder

PROMPT = " ".join(["apple"] * 19)
"""20 tokens with the end."""
LAUNCHES = ("cudaLaunchKernel", "cudaLaunchKernelExC", "cuLaunchKernel", "cudaGraphLaunch")


@dataclass(frozen=True)
class Variant:
    """A way to draw.

    Args:
        settings: of the request.
        prepare: changes a pipeline first.
    """

    graphs: GraphMode = "exact"
    pictures: int = 1
    previews: PreviewPolicy = "off"
    settings: Mapping[str, Any] = field(default_factory=dict)
    prepare: Callable[[InfinityPipeline], None] = lambda pipeline: None


VARIANTS = {
    "eager": Variant("off"),
    "graphs": Variant(),
    "fused": Variant("fused"),
    "graphs, live previews": Variant(previews="live"),
    "graphs, 4 pictures": Variant(pictures=4),
    "fused, 4 pictures": Variant("fused", pictures=4),
    "graphs, guidance off at the last two scales": Variant(settings={"guided_scales": -2}),
}
"""Savings and approximations are further rows."""


@dataclass(frozen=True)
class Machine:
    device: torch.device
    dtype: torch.dtype
    repeats: int
    is_tiny: bool

    def spec(self, size: str) -> ModelSpec:
        return SPEC if self.is_tiny else get_spec(f"infinity-{size}")

    def clock(self) -> Span:
        return Span(self.device)

    def matmul_tflops(self) -> float:
        size = 256 if self.is_tiny else 8192
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


def graphs(
    transformer: InfinityTransformer, machine: Machine, mode: GraphMode
) -> ScaleGraphs | None:
    if machine.is_tiny and mode == "exact":
        return ScaleGraphs(transformer, Replayer(), mode)
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


def measure(size: str, names: list[str], machine: Machine) -> dict[str, Any]:
    """Every variant of a size: name -> figures."""
    spec, rows = machine.spec(size), {}
    tflops = machine.matmul_tflops()
    for name in names:
        variant = VARIANTS[name]
        if machine.is_tiny and variant.graphs == "fused":
            continue  # compiling for a CPU takes minutes
        rows[name] = {"matmul_tflops": round(tflops, 3), **measured(spec, variant, machine, tflops)}
        machine.reset_memory()
    return rows


def measured(spec: ModelSpec, variant: Variant, machine: Machine, tflops: float) -> dict[str, Any]:
    machine.reset_memory()
    transformer, tokenizer = build(spec, machine, machine.dtype)
    encoder = WordsEncoder(spec.text_encoder.width, spec.text_encoder.max_length)
    pipeline = InfinityPipeline(spec, transformer, tokenizer, encoder, graphs="off")  # type: ignore[arg-type]
    drawing = pipeline._drawing
    drawing.is_on_gpu, drawing.graphs = True, graphs(transformer, machine, variant.graphs)
    variant.prepare(pipeline)
    settings = dict(variant.settings)
    num_scales = len(spec.schedule("1:1"))
    if settings.get("guided_scales", 0) < 0:
        settings["guided_scales"] += num_scales
    request = GenerationRequest(prompt=PROMPT, num_images=variant.pictures, **settings)

    def draw() -> Done:
        *_, done = pipeline.stream(request, previews=variant.previews)
        assert isinstance(done, Done)
        return done

    span = machine.clock()
    plan = Plan.of(
        spec.schedule("1:1"), variant.pictures, request.sampling(spec.sampling), TEXT_STEP
    )
    recorded = drawing.graphs is None or drawing.graphs.warm_up(plan)
    warm_up_s = span.end().seconds
    for _ in range(2):
        draw()
    totals, runs = [], []
    for _ in range(machine.repeats):
        span = machine.clock()
        runs.append(draw())
        totals.append(span.end().seconds - runs[-1].text_seconds)
    model_s = statistics.median(run.model_seconds for run in runs)
    limit_s = needed_flops(spec, plan.guided, variant.pictures) / (tflops * 1e12)
    return {
        "recorded": recorded,
        "warm_up_s": round(warm_up_s, 2),
        "total_s": round(statistics.median(totals), 4),
        "transformer_s": round(model_s, 4),
        "decoder_s": round(statistics.median(run.decode_seconds for run in runs), 4),
        "previews_s": round(statistics.median(run.preview_seconds for run in runs), 4),
        "launches": launches(draw) if machine.device.type == "cuda" else None,
        "limit_s": round(limit_s, 6),
        "share_of_limit": round(limit_s / model_s, 3),
        **machine.memory(),
    }


def launches(draw: Callable[[], Done]) -> int:
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as profiled:
        draw()
    return sum(each.count for each in profiled.key_averages() if each.key in LAUNCHES)


@torch.inference_mode()
def parity(size: str, machine: Machine) -> dict[str, Any]:
    """Eager mode's own bits forced: share of each scale's likelier bits that are the same, and how far logits
    are from float32's, relative to their spread."""
    spec = machine.spec(size)
    schedule, sampling = spec.schedule("1:1"), spec.sampling
    features = (
        WordsEncoder(spec.text_encoder.width, spec.text_encoder.max_length).encode(PROMPT).features
    )

    def logits(
        transformer: InfinityTransformer, mode: GraphMode, bits: list[torch.Tensor] | None
    ) -> list[torch.Tensor]:
        prompt = features.to(machine.device)
        condition = text_condition(transformer, [prompt], [None], sampling, len(schedule))
        own = graphs(transformer, machine, mode) or ScaleGraphs(
            transformer, Replayer(), eager_runs=10**9
        )
        if mode != "off":
            own.warm_up(Plan.of(schedule, 1, sampling, TEXT_STEP))
        revise = None if bits is None else leading(bits)
        sources = [seeded_generator(0)]
        options = {"revise": revise, "keep_logits": True, "graphs": own}
        steps = generate(
            transformer, spec.tokenizer, condition, schedule, sampling, sources, **options
        )
        drawn.clear()
        found = []
        for step in steps:
            drawn.append(step.bits_BlD)
            found.append(step.logits_BlD2.cpu())  # type: ignore[union-attr]
        return found

    drawn: list[torch.Tensor] = []
    modes: list[GraphMode] = ["exact"] if machine.is_tiny else ["exact", "fused"]
    transformer, _ = build(spec, machine, machine.dtype)
    found = {"off": logits(transformer, "off", None)}
    bits = [each[0] for each in drawn]
    found |= {mode: logits(transformer, mode, bits) for mode in modes}
    del transformer
    machine.reset_memory()
    precise = logits(build(spec, machine, torch.float32)[0], "off", bits)
    rows: dict[str, Any] = {}
    for mode, scales in found.items():
        pairs = list(zip(scales, found["off"], strict=True))
        rows[mode] = {
            "equal_to_the_last_bit": all(torch.equal(one, eager) for one, eager in pairs),
            "bits_equal": [round(float((one.diff() > 0).eq(eager.diff() > 0).float().mean()), 5) for one, eager in pairs],
            "off_float32": [
                round(float((one - exact).std() / exact.std()), 5)
                for one, exact in zip(scales, precise, strict=True)
            ],
        }  # fmt: skip
    return rows


EXACT = [name for name, variant in VARIANTS.items() if variant.graphs != "fused"]
FUSED = [name for name in VARIANTS if name not in EXACT]
PARTS: dict[str, Callable[[Machine], dict[str, Any]]] = {
    f"{work} {size}": run
    for size in ("2b", "8b")
    for work, run in {
        "speed": lambda machine, size=size: measure(size, EXACT, machine),
        "fused": lambda machine, size=size: measure(size, FUSED, machine),
        "parity": lambda machine, size=size: parity(size, machine),
    }.items()
}


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", choices=PARTS, help="one alone; default: all")
    parser.add_argument(
        "--output", type=Path, default=Path("gpu.json"), help="joined with what it has"
    )
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--against", type=home_path, help="checkout of the public reference")
    options = parser.parse_args(arguments)
    if options.part is None and not options.tiny:
        for part in PARTS:
            again = [*(arguments or sys.argv[1:]), "--part", part]
            subprocess.run([sys.executable, "-m", "tests.bench.gpu", *again], check=False)
        return
    device = torch.device("cpu" if options.tiny else "cuda")
    dtype = torch.float32 if options.tiny else torch.bfloat16
    machine = Machine(device, dtype, options.repeats, options.tiny)
    joined = json.loads(options.output.read_text()) if options.output.exists() else {}
    joined["machine"] = {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "torch": torch.__version__,
    }
    for part in [options.part] if options.part else PARTS:
        joined[part] = PARTS[part](machine)
        if options.against is not None and part.startswith("speed"):
            spec = machine.spec(part.removeprefix("speed "))
            joined[part]["reference"] = time_reference(options.against, spec, machine)
        options.output.write_text(json.dumps(joined, indent=1) + "\n")


if __name__ == "__main__":
    main()
