"""Where the time of a request goes: ``python -m tests.bench.generation [--threads N]``, JSON out.

Random weights in the shape of the shipped model unless ``--model`` names another one. Every figure
is the best of ``--repeats`` runs; compare machines by ``gemm_gflops`` of the same run.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import time
from collections.abc import Callable

import torch

from infinity.config import TextEncoderConfig, TokenizerConfig, TransformerConfig
from infinity.events import Done
from infinity.generation.sampling import sample_bits, seeded_generator
from infinity.pipeline import InfinityPipeline
from infinity.registry import get_spec
from infinity.request import GenerationRequest, SamplingParams
from infinity.schedule import ScaleSchedule
from infinity.spec import ModelSpec
from tests.tiny import WordsEncoder, tiny_tokenizer, tiny_transformer

SMALL = ModelSpec(
    name="small",
    title="The shipped model's shape",
    transformer=TransformerConfig(
        depth=6, width=320, num_heads=5, bits_per_token=24, text_width=256, text_max_length=64
    ),
    tokenizer=TokenizerConfig(
        bits=24, base_channels=48, channel_multipliers=(1, 2, 4), num_res_blocks=1, stem_patch=4
    ),
    text_encoder=TextEncoderConfig(width=256, max_length=64),
    schedules={"1:1": ScaleSchedule([(s, s) for s in (1, 2, 3, 4, 6, 9, 12)])},
    sampling=SamplingParams(guidance=3.0),
)


def best_s(work: Callable[[], object], repeats: int) -> float:
    work()
    times = []
    for _ in range(repeats):
        started_s = time.perf_counter()
        work()
        times.append(time.perf_counter() - started_s)
    return min(times)


def gemm_gflops(dtype: torch.dtype, size: int = 1024) -> float:
    a, b = torch.randn(size, size).to(dtype), torch.randn(size, size).to(dtype)
    return 2 * size**3 / best_s(lambda: a @ b, 10) / 1e9


def stream(pipeline: InfinityPipeline, request: GenerationRequest, previews: str) -> Done:
    *_, done = pipeline.stream(request, previews=previews)  # type: ignore[arg-type]
    assert isinstance(done, Done)
    return done


def measure(pipeline: InfinityPipeline, repeats: int) -> dict[str, object]:
    request = GenerationRequest(prompt="a red apple on a sandy beach with a blue sky behind it")
    figures: dict[str, object] = {}
    for previews in ("off", "live", "full"):
        stream(pipeline, request, previews)
        runs = [stream(pipeline, request, previews) for _ in range(repeats)]
        done = min(runs, key=lambda run: run.model_seconds + run.decode_seconds)
        work_s = done.model_seconds + done.decode_seconds
        figures[f"previews {previews}"] = {
            "model_s": round(done.model_seconds, 4),
            "decode_s": round(done.decode_seconds, 4),
            "preview_s": round(done.preview_seconds, 4),
            "preview_share": round(done.preview_seconds / work_s, 3),
        }
    *shown, _ = pipeline.stream(request)
    figures["live previews"] = [
        {"pixels": event.images[0].width, "is_exact": event.is_exact} for event in shown
    ]
    started_s = time.perf_counter()
    stream_of = pipeline.stream(request)
    next(event for event in stream_of if event.images)
    figures["first_preview_s"] = round(time.perf_counter() - started_s, 4)
    return figures


def measure_batches(pipeline: InfinityPipeline, repeats: int, pictures: int) -> dict[str, float]:
    request = GenerationRequest(prompt="a red apple on a sandy beach", num_images=pictures)
    alone_s = best_s(lambda: pipeline.generate(request), repeats)
    together_s = best_s(lambda: pipeline.generate_batch([request]), repeats)
    return {
        "each_in_its_own_rows_s": round(alone_s, 4),
        "in_one_pass_s": round(together_s, 4),
        "ratio": round(alone_s / together_s, 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--model", help="registered shape; random weights; default: the shipped one"
    )
    parser.add_argument("--aspect-ratio", default="1:1")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--pictures", type=int, default=8, help="of the batch; 0: no batch")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    spec = get_spec(options.model) if options.model else SMALL
    dtype = getattr(torch, options.dtype)
    transformer, tokenizer = tiny_transformer(spec).to(dtype), tiny_tokenizer(spec).to(dtype)
    encoder = WordsEncoder(spec.text_encoder.width, spec.text_encoder.max_length)
    pipeline = InfinityPipeline(spec, transformer, tokenizer, encoder)  # type: ignore[arg-type]
    logits = torch.randn(1, 64 * 64, 32, 2)
    generator = seeded_generator(0)
    figures: dict[str, object] = {
        "machine": platform.processor() or platform.machine(),
        "torch": torch.__version__,
        "commit": subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
        ).stdout.strip(),
        "threads": options.threads,
        "model": spec.name,
        "dtype": options.dtype,
        "gemm_gflops": {
            "float32": round(gemm_gflops(torch.float32)),
            "bfloat16": round(gemm_gflops(torch.bfloat16)),
        },
        "draw_64x64x32_bits_s": round(
            best_s(lambda: sample_bits(logits, 1.0, 900, 0.97, [generator]), 10), 4
        ),
        **measure(pipeline, options.repeats),
    }
    if options.pictures:
        figures["batch"] = measure_batches(pipeline, options.repeats, options.pictures)
    sys.stdout.write(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
