"""What the training loop costs over a plain loop of the same model, and what checkpointing saves.

    python -m tests.bench.training_step --size default --batch-sizes 4 8 16

One JSON object a line. ``framework_cost``: share by which our step (slices, generators, clipping,
guard, metrics) takes longer than a plain loop of loss, backward, clip and AdamW on the same batches;
the two take turns, so that what else the machine does hits both alike, and the median of the ratios
counts (of processor time too, which other processes hardly touch). ``peak_memory``: of three steps
at three batch sizes, with and without activation checkpointing, each in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import torch

from infinity.config import TokenizerConfig, TransformerConfig
from infinity.model.transformer import InfinityTransformer
from infinity.schedule import ScaleSchedule, schedule_for
from training.config.settings import TrainingConfig
from training.data.records import Batch
from training.engine.loop import Trainer, sample_generators
from training.engine.processes import Processes
from training.steps.transformer_step import TransformerStep

SIZES = {
    "default": TransformerConfig(
        depth=6, width=320, num_heads=5, bits_per_token=24, text_width=256
    ),
    "125m": TransformerConfig(depth=12, width=768, num_heads=8, bits_per_token=32),
}
SCHEDULES = {
    "default": ScaleSchedule([(side, side) for side in (1, 2, 3, 4, 6, 9, 12)]),
    "125m": schedule_for("1:1", "0.06M"),
}
TEXT_TOKENS = 16
WARM_UP_STEPS = 2


def configuration(size: str, batch_size: int, dtype: str, **changes: object) -> TrainingConfig:
    model = SIZES[size]
    tokenizer = TokenizerConfig(bits=model.bits_per_token)
    return TrainingConfig.model_validate(
        {
            "output": tempfile.mkdtemp(),
            "model": model,
            "tokenizer": {"model": tokenizer},
            "text_encoder": {"source": "features-are-given"},
            "data": {"schedules": {"1:1": SCHEDULES[size]}},
            "optimization": {"steps": 1000, "batch_size": batch_size, "dtype": dtype, **changes},
        }
    )


def build(config: TrainingConfig) -> TransformerStep:
    transformer = InfinityTransformer(config.transformer)
    transformer.init_weights(torch.Generator().manual_seed(0))
    return TransformerStep(config, transformer, None, None)


def batch_of(config: TrainingConfig, step: int) -> Batch:
    generator = torch.Generator().manual_seed(step)
    count, model = config.optimization.batch_size, config.transformer
    side = config.schedules["1:1"][-1].height
    return Batch(
        step=step,
        aspect_ratio="1:1",
        captions=("",) * count,
        keys=("",) * count,
        positions=tuple(range(count)),
        latents=torch.randn(count, model.bits_per_token, side, side, generator=generator),
        features=tuple(
            torch.randn(TEXT_TOKENS, model.text_width, generator=generator) for _ in range(count)
        ),
    )


def plain_loop(config: TrainingConfig) -> Callable[[int], None]:
    """Loss, backward, clip, AdamW; nothing else."""
    step_of, settings = build(config), config.optimization
    groups = [
        {key: value for key, value in group.items() if key != "names"}
        for group in step_of.parameter_groups("model")
    ]
    adamw = torch.optim.AdamW(
        groups, lr=settings.learning_rate, betas=settings.betas, eps=1e-8, fused=True
    )
    parameters = [p for group in adamw.param_groups for p in group["params"]]

    def run(step: int) -> None:
        batch = batch_of(config, step)
        generators = sample_generators(config.seed, step, "model", batch.positions)
        step_of.loss("model", batch, generators, step).loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, settings.clip or 1e9)
        adamw.step()
        adamw.zero_grad()

    return run


def our_loop(config: TrainingConfig) -> Callable[[int], None]:
    trainer = Trainer(config, Processes(), build(config))

    def run(step: int) -> None:
        trainer.train_step(batch_of(config, step), step)

    return run


def framework_cost(size: str, batch_size: int, dtype: str, steps: int) -> dict[str, Any]:
    config = configuration(size, batch_size, dtype)
    plain, ours = plain_loop(config), our_loop(config)
    ratios, cpu_ratios, plain_s, ours_s = [], [], [], []
    for step in range(WARM_UP_STEPS + steps):
        first, second = (plain, ours) if step % 2 else (ours, plain)
        times, cpu_times = {}, {}
        for loop in (first, second):
            cpu_s = time.process_time()
            times[loop] = _seconds(loop, step)
            cpu_times[loop] = time.process_time() - cpu_s
        if step >= WARM_UP_STEPS:
            plain_s.append(times[plain])
            ours_s.append(times[ours])
            ratios.append(times[ours] / times[plain])
            cpu_ratios.append(cpu_times[ours] / cpu_times[plain])
    return {
        "measure": "framework_cost",
        "size": size,
        "dtype": dtype,
        "batch_size": batch_size,
        "steps": steps,
        "plain_samples_per_s": round(batch_size / statistics.median(plain_s), 3),
        "our_samples_per_s": round(batch_size / statistics.median(ours_s), 3),
        "framework_cost": round(statistics.median(ratios) - 1, 4),
        "framework_cost_cpu_time": round(statistics.median(cpu_ratios) - 1, 4),
    }


def peak(size: str, batch_size: int, dtype: str, loop: str, checkpointing: bool) -> dict[str, Any]:
    """Peak memory of three steps above what the process held before them."""
    config = configuration(size, batch_size, dtype, activation_checkpointing=checkpointing)
    run = (plain_loop if loop == "plain" else our_loop)(config)
    before = _peak_bytes()
    seconds = [_seconds(run, step) for step in range(3)]
    return {
        "measure": "peak_memory",
        "size": size,
        "dtype": dtype,
        "batch_size": batch_size,
        "loop": loop,
        "activation_checkpointing": checkpointing,
        "peak_mb": round(_peak_bytes() / 1e6),
        "peak_mb_above_start": round((_peak_bytes() - before) / 1e6),
        "samples_per_s": round(batch_size / min(seconds), 3),
        "torch": torch.__version__,
    }


def _seconds(run: Callable[[int], None], step: int) -> float:
    started_s = time.perf_counter()
    run(step)
    return time.perf_counter() - started_s


def _peak_bytes() -> int:
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--size", choices=SIZES, default="default")
    parser.add_argument("--batch-sizes", nargs="+", type=int, default=[4, 8, 16])
    parser.add_argument("--dtype", choices=["bfloat16", "float32"], default="float32")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--output", type=Path, help="write the lines there as well")
    given = parser.parse_args()
    largest = max(given.batch_sizes)
    cases: list[tuple[Callable[..., dict[str, Any]], tuple[Any, ...]]] = [
        (framework_cost, (given.size, largest, given.dtype, given.steps)),
        (peak, (given.size, largest, given.dtype, "plain", False)),
    ]
    for batch_size in given.batch_sizes:
        for checkpointing in (False, True):
            cases.append((peak, (given.size, batch_size, given.dtype, "ours", checkpointing)))
    spawn, lines = multiprocessing.get_context("spawn"), []
    for measure, case in cases:
        with ProcessPoolExecutor(
            max_workers=1,
            mp_context=spawn,
            initializer=torch.set_num_threads,
            initargs=(given.threads,),
        ) as pool:
            lines.append(json.dumps(pool.submit(measure, *case).result()))
        sys.stdout.write(lines[-1] + "\n")
        sys.stdout.flush()
    if given.output is not None:
        given.output.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
