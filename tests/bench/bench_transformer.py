"""Seconds and memory of the transformer alone, beside the speed of a matrix product.

    python -m tests.bench.bench_transformer --sizes 125m --pixels 256 1024 --dtype bfloat16

One JSON object a line. Weights are random, guidance doubles the batch, the prompt has 12 tokens.
Compare runs by ``seconds`` times ``gemm_gflops`` only: machines drift. ``cpu_s`` counts all threads.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import platform
import resource
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor

import torch

from infinity.config import TransformerConfig
from infinity.model.cache import KVCache
from infinity.model.transformer import InfinityTransformer
from infinity.schedule import ScaleSchedule, schedule_for

SIZES = {
    "default": TransformerConfig(
        depth=6, width=320, num_heads=5, bits_per_token=24, text_width=256
    ),
    "125m": TransformerConfig(depth=12, width=768, num_heads=8, bits_per_token=32),
    "2b": TransformerConfig(depth=32, width=2048, num_heads=16, bits_per_token=32),
}
SCHEDULES = {
    "192": ScaleSchedule([(side, side) for side in (1, 2, 3, 4, 6, 9, 12)]),
    "256": schedule_for("1:1", "0.06M"),
    "512": schedule_for("1:1", "0.25M"),
    "1024": schedule_for("1:1", "1M"),
}
ROWS = 2
PROMPT_TOKENS = 12


def gemm_gflops(dtype: torch.dtype, size: int = 1024, repeats: int = 20) -> float:
    """Best speed of a square matrix product."""
    left, right = torch.randn(2, size, size).to(dtype)
    best = min(_timed(lambda: left @ right)[0] for _ in range(repeats))
    return 2 * size**3 / best / 1e9


def build(config: TransformerConfig, dtype: torch.dtype) -> InfinityTransformer:
    with torch.device("meta"):
        model = InfinityTransformer(config)
    model = model.to(dtype).to_empty(device="cpu").eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.uniform_(-0.02, 0.02, generator=generator)
    return model


@torch.inference_mode()
def generate(model: InfinityTransformer, schedule: ScaleSchedule) -> list[float]:
    """Seconds a scale; the bits are not drawn, inputs are constant."""
    config = model.config
    started_s = time.perf_counter()
    condition = model.encode_text([torch.ones(PROMPT_TOKENS, config.text_width)] * ROWS)
    cache = KVCache(config, schedule, ROWS, model.compute_dtype)
    seconds = []
    for index, scale in enumerate(schedule):
        inputs = torch.ones(ROWS, scale.tokens, config.bits_per_token) if index else None
        model.logits(model.forward_scale(inputs, condition, cache, index), condition)
        seconds.append(time.perf_counter() - started_s)
        started_s = time.perf_counter()
    return seconds


def measure(size: str, pixels: str, dtype_name: str, threads: int, repeats: int) -> dict:
    torch.set_num_threads(threads)
    dtype = getattr(torch, dtype_name)
    gflops = gemm_gflops(dtype)
    model, schedule = build(SIZES[size], dtype), SCHEDULES[pixels]
    before_bytes = _peak_bytes()
    runs = []
    for _ in range(repeats):
        cpu_s = time.process_time()
        scale_s = generate(model, schedule)
        runs.append((sum(scale_s), time.process_time() - cpu_s, scale_s))
    seconds, cpu_s, scale_s = min(runs)
    return {
        "size": size,
        "pixels": pixels,
        "dtype": dtype_name,
        "threads": threads,
        "seconds": round(seconds, 4),
        "cpu_s": round(cpu_s, 4),
        "scale_s": [round(value, 4) for value in scale_s],
        "gemm_gflops": round(max(gflops, gemm_gflops(dtype)), 1),
        "peak_bytes": _peak_bytes(),
        "peak_bytes_over_weights": _peak_bytes() - before_bytes,
        "machine": platform.processor() or platform.machine(),
        "torch": torch.__version__,
    }


def _timed(work: Callable[[], object]) -> tuple[float, object]:
    started_s = time.perf_counter()
    result = work()
    return time.perf_counter() - started_s, result


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=["default", "125m"])
    parser.add_argument("--pixels", nargs="+", choices=SCHEDULES, default=["256"])
    parser.add_argument("--dtype", choices=["bfloat16", "float32"], default="bfloat16")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    spawn = multiprocessing.get_context("spawn")
    for size in arguments.sizes:
        for pixels in arguments.pixels:
            with ProcessPoolExecutor(max_workers=1, mp_context=spawn) as pool:
                case = (size, pixels, arguments.dtype, arguments.threads, arguments.repeats)
                sys.stdout.write(json.dumps(pool.submit(measure, *case).result()) + "\n")
                sys.stdout.flush()


if __name__ == "__main__":
    main()
