"""What a card makes of the released shapes: ``python -m tests.bench.gpu --output gpu.json``.

Random weights, no network. Without ``--part`` every part runs in a process of its own, and all are joined in one
JSON; a part takes under eight minutes. ``--against FOLDER`` times a checkout of the public reference beside it.
``--tiny`` runs all of it on a CPU with tiny models, which tells nothing but that it runs. The parts of 125M take
``--device cpu`` too.

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
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from infinity.console import home_path
from infinity.estimate import chosen_memory_mode
from infinity.events import Done
from infinity.generation.generate import generate, leading, text_condition
from infinity.generation.graphs import GraphMode, ScaleGraphs
from infinity.generation.sampling import seeded_generator
from infinity.generation.scale import TEXT_STEP, Plan
from infinity.memory_modes import BUDGETS
from infinity.model.transformer import InfinityTransformer
from infinity.pipeline import InfinityPipeline
from infinity.presets import presets
from infinity.registry import TEXT_ENCODER_PARAMETERS, TEXT_ENCODER_REPOSITORY
from infinity.request import GenerationRequest, PreviewPolicy
from infinity.schedule import schedule_for
from infinity.spec import ModelSpec
from tests.bench.gpu_diffusion import time_diffusion
from tests.bench.gpu_models import Machine, build, graphs, needed_flops, save_memory
from tests.bench.gpu_reference import time_reference
from tests.replayer import Replayer
from tests.tiny import WordsEncoder

PROMPT = " ".join(["apple"] * 19)
"""20 tokens with the end."""
TEXT = TEXT_ENCODER_PARAMETERS[TEXT_ENCODER_REPOSITORY]
LAUNCHES = ("cudaLaunchKernel", "cudaLaunchKernelExC", "cuLaunchKernel", "cudaGraphLaunch")


@dataclass(frozen=True)
class Variant:
    """A way to draw.

    Args:
        preset, settings: of the request.
        memory: a memory mode; its parts for the text encoder, which is not there, change nothing.
    """

    graphs: GraphMode = "exact"
    pictures: int = 1
    previews: PreviewPolicy = "off"
    preset: str = "balanced"
    settings: Mapping[str, Any] = field(default_factory=dict)
    memory: str = "none"


EXACT = {
    "eager": Variant("off"),
    "graphs": Variant(),
    "graphs, live previews": Variant(previews="live"),
    "graphs, 4 pictures": Variant(pictures=4),
}
FUSED = {"fused": Variant("fused"), "fused, 4 pictures": Variant("fused", pictures=4)}
APPROXIMATIONS = {
    "fused": Variant("fused"),
    "fused, preset fast": Variant("fused", preset="fast"),
    "fused, preset turbo": Variant("fused", preset="turbo"),
    "fused, fp8 products at the last 2": Variant("fused", settings={"fp8_scales": 2}),
    "fused, pruning 0.3": Variant("fused", settings={"pruning": 0.3}),
}
SAVINGS, SAVERS = (
    {"fused": Variant("fused")}
    | {f"fused, {name}": Variant("fused", memory=name) for name in names}
    for names in (BUDGETS, ("int8-weights", "fp8-weights", "int8-cache", "strips"))
)


def measure(size: str, variants: Mapping[str, Variant], machine: Machine) -> dict[str, Any]:
    """Every variant of a size: name -> figures."""
    spec, rows = machine.spec(size), {}
    tflops = machine.matmul_tflops()
    for name, variant in variants.items():
        rows[name] = {"matmul_tflops": round(tflops, 3), **measured(spec, variant, machine, tflops)}
        machine.reset_memory()
    return rows


def measured(spec: ModelSpec, variant: Variant, machine: Machine, tflops: float) -> dict[str, Any]:
    transformer, tokenizer = build(spec, machine, machine.dtype)
    card = torch.device("cuda")
    mode = chosen_memory_mode(variant.memory, spec, card, torch.bfloat16, TEXT)
    save_memory(transformer, tokenizer, mode)
    machine.reset_memory()
    encoder = WordsEncoder(spec.text_encoder.width, spec.text_encoder.max_length)
    pipeline = InfinityPipeline(spec, transformer, tokenizer, encoder, graphs="off")  # type: ignore[arg-type]
    drawing = pipeline._drawing
    how = "off" if "no-graphs" in mode.parts else variant.graphs
    drawing.is_on_gpu, drawing.graphs = True, graphs(transformer, machine, how)
    asked = GenerationRequest(prompt=PROMPT, num_images=variant.pictures, **variant.settings)
    request = asked.resolved(presets(spec, "1:1")[variant.preset].sampling)
    sampling = request.sampling(spec.sampling)

    def draw() -> Done:
        *_, done = pipeline.stream(request, previews=variant.previews)
        assert isinstance(done, Done)
        return done

    span = machine.clock()
    plan = Plan.of(spec.schedule("1:1"), variant.pictures, sampling, TEXT_STEP)
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
        "settings": asdict(sampling),
        "memory_parts": str(mode),
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


PARTS: dict[str, Callable[[Machine], dict[str, Any]]] = {
    f"{work} {size}": run
    for size in ("2b", "8b")
    for work, run in {
        "speed": partial(measure, size, EXACT),
        "fused": partial(measure, size, FUSED),
        "approximations": partial(measure, size, APPROXIMATIONS),
        "savings": partial(measure, size, SAVINGS),
        "savers": partial(measure, size, SAVERS),
        "parity": partial(parity, size),
    }.items()
} | {
    f"speed {size}": partial(measure, size, {"eager": EXACT["eager"]})
    for size in ("125m 256", "125m 512", "125m 1024")
} | {"diffusion": lambda machine: {"SD3 shape": time_diffusion(machine)}}  # fmt: skip


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", choices=PARTS, help="one alone; default: all")
    parser.add_argument(
        "--output", type=Path, default=Path("gpu.json"), help="joined with what it has"
    )
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--against", type=home_path, help="checkout of the public reference")
    options = parser.parse_args(arguments)
    if options.part is None and not options.tiny:
        for part in PARTS:
            again = [*(arguments or sys.argv[1:]), "--part", part]
            subprocess.run([sys.executable, "-m", "tests.bench.gpu", *again], check=False)
        return
    device = torch.device("cpu" if options.tiny else options.device)
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
            schedule = schedule_for("1:1", "0.06M") if machine.is_tiny else spec.schedule("1:1")
            joined[part]["reference"] = time_reference(options.against, spec, schedule, machine)
        options.output.write_text(json.dumps(joined, indent=1) + "\n")


if __name__ == "__main__":
    main()
