"""How well the weights as they are do on held-out pictures: metrics named ``validation_...``."""

from collections.abc import Iterable

import torch

from training.data.records import Batch
from training.engine.curves import HELD_OUT
from training.engine.parallelize import Whole
from training.engine.processes import Processes
from training.steps.step import Metrics, Step, added_metrics, means


def validate(
    whole: Whole, step: Step, held_out: Iterable[tuple[Batch, bool]], processes: Processes
) -> dict[str, float]:
    """Means over all held-out samples of all processes, which call it together.

    Args:
        held_out: (slice, whether it counts), as many on every process.
    """
    modes = {module: module.training for module in whole.modules()}
    whole.eval()
    parts: list[Metrics] = []
    with torch.no_grad():
        for batch, counts in held_out:
            metrics = whole(lambda batch=batch: step.validation(batch))
            parts.append({name: pair * counts for name, pair in metrics.items()})
    for module, mode in modes.items():
        module.training = mode
    told = reduced(added_metrics(parts), processes)
    return {HELD_OUT + name: value for name, value in told.items()}


def reduced(metrics: Metrics, processes: Processes) -> dict[str, float]:
    """Means over all processes; every process has the same names."""
    names = sorted(metrics)
    pairs = torch.stack([metrics[name].to(processes.device) for name in names])
    return means(dict(zip(names, processes.total(pairs), strict=True)))
