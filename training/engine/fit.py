"""Before anything is loaded: how many samples at once fit, or which settings would make a run fit.

As a script, the table of docs/scaling.md: what the paper's sizes take on many GPUs.

    python -m training.engine.fit --sizes 2b 8b --gpus 8 64 256 --resolution 1024
"""

import argparse
import itertools
import logging
import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from infinity.devices import memory_of
from infinity.errors import ResourceError
from training.config.command_line import put
from training.config.errors import SettingsError
from training.config.load import load_config
from training.config.settings import RESOLUTIONS, TrainingConfig
from training.config.sources import SIZES
from training.engine.memory import GB, Needs, needs
from training.engine.processes import Processes

logger = logging.getLogger(__name__)

FILLED = 0.9
"""Share of the memory that is filled with samples where their number is left to the run."""
MOST_PROCESSES = 1024
GPUS_A_NODE = 8
HEADINGS = (
    "size", "GPUs", "shard", "state", "frozen", "gathered", "activations", "a GPU holds",
    "sent inside a group", "sent between copies",
)  # fmt: skip

Changes = dict[str, Any]
"""A setting's name -> its value."""


def fitted(config: TrainingConfig, processes: Processes) -> TrainingConfig:
    """The same run with the micro-batch that fits this process's memory; logs what it will take.

    The same on the same machine, so that a run that is continued computes as before.

    Raises:
        ResourceError: it cannot fit, with the settings that would.
    """
    count, device = processes.world_size, processes.device
    memory = memory_of(device)
    if memory is None or config.optimization.batch_size % count:
        return config
    free, total = memory
    sharing = count if device.type == "cpu" else 1
    sharing = int(os.environ.get("LOCAL_WORLD_SIZE", sharing)) if sharing > 1 else 1
    free, total = free // sharing, total // sharing
    config, need = with_micro_batch(config, count, device.type, total)
    place = f"{total / GB:.1f} GB of {'a process' if sharing > 1 else device}"
    if need.memory > total:
        raise ResourceError(
            f"The run needs about {need}, more than the {place}; {_advice(config, processes, total)}"
        )
    logger.info("A process needs about %s of the %s", need, place)
    if need.memory > free:
        logger.warning(
            "only %.1f GB are free now: other programs hold the rest, and the run may end for it",
            free / GB,
        )
    return config


def with_micro_batch(
    config: TrainingConfig, processes: int, device: str, total: int
) -> tuple[TrainingConfig, Needs]:
    """With the most samples at once that fit, where it is not set; at least one."""
    need = needs(config, processes, device)
    optimization = config.optimization
    if optimization.micro_batch_size is not None or need.memory <= FILLED * total:
        return config, need
    share = optimization.batch_size // processes
    need = needs(changed(config, {"optimization.micro_batch_size": 1}), processes, device)
    room = (FILLED * total - need.memory) // need.sample + 1
    micro = max(n for n in range(1, share + 1) if share % n == 0 and n <= max(1, room))
    config = changed(config, {"optimization.micro_batch_size": micro})
    return config, replace(need, micro_batch=micro)


def changed(config: TrainingConfig, changes: Changes) -> TrainingConfig:
    """With other settings, by their names.

    Raises:
        SettingsError: they contradict the rest.
    """
    tree: dict[str, Any] = config.model_dump(mode="json")
    for name, value in changes.items():
        put(tree, name, value)
    return load_config(overrides=tree)


def ways_out(
    config: TrainingConfig, processes: int, device: str, total: int
) -> list[tuple[Changes, Needs]]:
    """Changes that make a run fit, as few as will do; there may be several ways."""
    optimization = config.optimization
    steps: Changes = {}
    if (optimization.micro_batch_size or 1) > 1:
        steps["optimization.micro_batch_size"] = 1
    if not optimization.activation_checkpointing:
        steps["optimization.activation_checkpointing"] = True
    if optimization.dtype == "float32":
        steps["optimization.dtype"] = "bfloat16"
    if processes > 1 and config.parallel.shard == "none":
        steps["parallel.shard"] = "full"
    if config.task == "transformer" and config.start_from is not None and config.lora is None:
        steps["lora.rank"] = 16
    for count in range(1, len(steps) + 1):
        ways = [dict(some) for some in itertools.combinations(steps.items(), count)]
        tried = [(way, _need_with(config, way, processes, device, total)) for way in ways]
        if found := [(way, need) for way, need in tried if need and need.memory <= total]:
            return found
    return []


def _need_with(
    config: TrainingConfig, changes: Changes, processes: int, device: str, total: int
) -> Needs | None:
    """None where the changes contradict the rest."""
    try:
        return with_micro_batch(changed(config, changes), processes, device, total)[1]
    except SettingsError:
        return None


def _advice(config: TrainingConfig, processes: Processes, total: int) -> str:
    count, device = processes.world_size, processes.device.type
    found = ways_out(config, count, device, total)[:2]
    if found:
        told = [f"with {as_options(way)} ({need.memory / GB:.1f} GB)" for way, need in found]
        return f"it fits {', or '.join(told)}."
    whole = {"optimization.activation_checkpointing": True, "parallel.shard": "full"}
    while device == "cuda" and count < MOST_PROCESSES:
        count *= 2
        more = whole | {"optimization.batch_size": max(count, config.optimization.batch_size)}
        need = _need_with(config, more, count, device, total)
        if need and need.memory <= total:
            return f"it fits {count} such processes with {as_options(whole)}."
    return "no setting makes it fit here; take a smaller model, or a larger machine."


def as_options(changes: Changes) -> str:
    """As they are written on the command line."""
    return " ".join(f"--{name} {str(value).lower()}" for name, value in changes.items())


def table(sizes: Sequence[str], gpus: Sequence[int], resolution: str) -> list[str]:
    """Lines of a Markdown table, figures in GB: sizes x GPUs x (hybrid within a node, full), for one
    square picture a GPU and step, and averaged weights."""
    lines = [_row(HEADINGS), _row(["---"] * len(HEADINGS))]
    for size, count in itertools.product(sizes, gpus):
        settings: dict[str, Any] = {
            "preset": f"{size}-{resolution}",
            "output": "runs/computed",
            "data": {"aspect_ratios": ["1:1"]},
            "optimization": {
                "batch_size": count,
                "ema_decay": 0.9999,
                "activation_checkpointing": True,
            },
        }
        for group in sorted({min(GPUS_A_NODE, count), count}):
            way = ("full",) if group == count else ("hybrid", group)
            settings["parallel"] = dict(zip(("shard", "shard_size"), way, strict=False))
            found = needs(load_config(overrides=settings), count)
            figures = (
                found.state, found.frozen, found.gathered, found.activations, found.memory,
                found.inside, found.between,
            )  # fmt: skip
            rounded = (f"{figure / GB:.1f}" for figure in figures)
            lines.append(_row([size, str(count), " ".join(map(str, way)), *rounded]))
    return lines


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description="What the paper's sizes take on many GPUs.")
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=["2b", "8b"])
    parser.add_argument("--gpus", nargs="+", type=int, default=[8, 64, 256])
    parser.add_argument("--resolution", choices=RESOLUTIONS, default="1024")
    given = parser.parse_args()
    sys.stdout.write("\n".join(table(given.sizes, given.gpus, given.resolution)) + "\n")


if __name__ == "__main__":
    main()
