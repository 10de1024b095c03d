"""A tiny training run: a real transformer step on made-up latents, a pure function of the step.

``start`` runs it in processes of its own, forked from a server that has imported everything once, so
that tests can join four of them by gloo, or kill one, in a second.
"""

from __future__ import annotations

import math
import multiprocessing
import os
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import torch

from infinity.errors import InfinityError
from infinity.model.transformer import InfinityTransformer
from tests.tiny import SPEC
from training.config.settings import TrainingConfig
from training.data.records import Batch
from training.engine.loop import run, train
from training.steps.transformer_step import TransformerStep

RATIO, WIDE = "1:1", "3:2"
HELD_OUT_STEP = 10**6


def tiny_config(output: object, **changes: dict[str, Any]) -> TrainingConfig:
    """``changes``: section -> settings; the tiny model of tests/tiny.py, six steps of eight."""
    sections: dict[str, dict[str, Any]] = {
        "optimization": {
            "steps": 6,
            "batch_size": 8,
            "learning_rate": 1e-3,
            "warmup": 2,
            "ema_decay": 0.9,
            "clip": 1.0,
        },
        "logging": {"log_every": 1, "save_every": 2, "curves": False, "tensorboard": False},
        "self_correction": {"strength": 0.2, "scales": 3},
        "parallel": {},
        "data": {"schedules": {name: SPEC.schedules[name] for name in (RATIO, WIDE)}},
    }
    for section, settings in changes.items():
        sections[section] = {**sections[section], **settings}
    return TrainingConfig.model_validate(
        {
            "output": str(output),
            "model": SPEC.transformer,
            "tokenizer": {"model": SPEC.tokenizer},
            "text_encoder": {"source": "none-is-read", "max_length": 24},
            **sections,
        }
    )


def build_tiny_step(config: TrainingConfig) -> TransformerStep:
    transformer = InfinityTransformer(config.transformer)
    transformer.init_weights(torch.Generator().manual_seed(config.seed))
    with torch.no_grad():
        for block in transformer.blocks:
            block.modulation[:2].fill_(0.5)  # else the blocks hardly count at first
    return TransformerStep(config, transformer, None, None)


def tiny_batches(
    config: TrainingConfig, *, start_step: int = 0, rank: int = 0, world_size: int = 1
) -> Iterator[Batch]:
    share = config.optimization.batch_size // world_size
    for step in range(start_step, config.optimization.steps):
        yield tiny_batch(step, range(rank * share, (rank + 1) * share))


def tiny_batch(step: int, positions: range, ratio: str = RATIO) -> Batch:
    generators = [torch.Generator().manual_seed(1000 * step + p) for p in positions]
    size = (SPEC.tokenizer.bits, *SPEC.schedules[ratio].latent_size(-1, patch=1))
    latents = [torch.randn(size, generator=g) for g in generators]
    return Batch(
        step=step,
        aspect_ratio=ratio,
        captions=("a shape",) * len(positions),
        keys=tuple(f"{step}/{p}" for p in positions),
        positions=tuple(positions),
        latents=torch.stack(latents),
        features=tuple(
            torch.randn(5, SPEC.transformer.text_width, generator=g) for g in generators
        ),
    )


def tiny_held_out(
    config: TrainingConfig, *, rank: int = 0, world_size: int = 1
) -> list[tuple[Batch, bool]]:
    """Four square samples that no step has, and a wide one, which only one process has."""
    parts = []
    for start, stop, ratio in ((0, 4, RATIO), (4, 5, WIDE)):
        first, last = (start + (rank + one) * (stop - start) // world_size for one in range(2))
        counts = first < last
        places = range(first, last) if counts else range(start, start + 1)
        parts.append((tiny_batch(HELD_OUT_STEP, places, ratio), counts))
    return parts


def poisoned_batches(*args: Any, **kwargs: Any) -> Iterator[Batch]:
    """The tiny batches, with text that is no number at step 3."""
    for batch in tiny_batches(*args, **kwargs):
        assert batch.features is not None
        factor = math.nan if batch.step == 3 else 1.0
        yield replace(batch, features=tuple(features * factor for features in batch.features))


def train_alone(config: TrainingConfig) -> None:
    """In this process."""
    run(config, build_tiny_step, tiny_batches, open_held_out=tiny_held_out)


def start(
    config: TrainingConfig,
    processes: int = 1,
    pause_s: float = 0.0,
    batches: Callable[..., Iterator[Batch]] = tiny_batches,
) -> list[Any]:
    """Start a run in processes of its own; ``pause_s`` makes its steps slower."""
    return _start(processes, _tiny_run, config, pause_s, batches)


def start_training(config: TrainingConfig, processes: int = 1) -> list[Any]:
    """The same for a run of its own data and models, as ``training.train`` makes it."""
    return _start(processes, train, config)


def _start(processes: int, work: Callable[..., None], config: TrainingConfig, *given: Any) -> list:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    started: list[ForkServerProcess] = []
    for rank in range(processes):
        arguments = (rank, processes, port, work, config, *given)
        process = context.Process(target=_child, args=arguments)
        process.start()
        started.append(process)
    return started


def finish(processes: list[Any]) -> list[str]:
    """Wait for a run; the sentences its processes ended with, none where all is well."""
    for process in processes:
        process.join(timeout=300)
    return [f"exit code {process.exitcode}" for process in processes if process.exitcode != 0]


def train_together(config: TrainingConfig, processes: int) -> None:
    problems = finish(start(config, processes))
    told = [path.read_text() for path in Path(config.output).parent.glob("error_*")]
    assert not problems, "\n".join(problems + told)


def _child(
    rank: int,
    world_size: int,
    port: int,
    work: Callable[..., None],
    config: TrainingConfig,
    *given: Any,
) -> None:
    os.environ |= {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(world_size),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }
    torch.set_num_threads(1)
    try:
        work(config, *given)
    except InfinityError as error:
        (config.output.parent / f"error_{rank}").write_text(str(error))
        raise SystemExit(2) from error


def _tiny_run(
    config: TrainingConfig, pause_s: float, batches: Callable[..., Iterator[Batch]]
) -> None:
    def slow_batches(*args: Any, **kwargs: Any) -> Iterator[Batch]:
        for batch in batches(*args, **kwargs):
            time.sleep(pause_s)
            yield batch

    run(config, build_tiny_step, slow_batches, open_held_out=tiny_held_out)
