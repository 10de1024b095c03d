"""What the training loop asks of a task: modules, losses by phase, and how to slice and shard them.

The loop owns the order of things (accumulation, optimizers, clipping, averages, checkpoints) and
knows nothing of pictures or bits; a step owns the losses and knows nothing of sharding or files.

Legend: B samples of a slice of the global batch.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from training.config.settings import TrainingConfig
from training.data.records import Batch

MODEL = "model"
DISCRIMINATOR = "discriminator"

Metrics = dict[str, Tensor]
"""Name -> (2,) float64 on the loss's device, without a graph: a sum and its count.

Sums and counts add over slices and ranks; sum / count is the mean to log.
"""


@dataclass(frozen=True)
class StepResult:
    """What one slice of a batch gave.

    Attributes:
        loss: scalar with a graph, float32 or float64: the mean over the slice's samples. Slices
            join by their share of the samples: the sum of ``loss * samples / batch_size``.
    """

    loss: Tensor
    metrics: Metrics


def ratio(values: Tensor) -> Tensor:
    """(2,) float64: the sum of ``values`` and how many they are."""
    values = values.detach().double()
    return torch.stack((values.sum(), values.new_tensor(float(values.numel()))))


def means(metrics: Mapping[str, Tensor]) -> dict[str, float]:
    """Name -> mean of added sums and counts; names without a count are left out."""
    pairs = {name: pair.tolist() for name, pair in metrics.items()}
    return {name: total / count for name, (total, count) in pairs.items() if count}


def added_metrics(parts: Iterable[Mapping[str, Tensor]]) -> Metrics:
    """The metrics of several slices, added."""
    joined: Metrics = {}
    for part in parts:
        for name, pair in part.items():
            joined[name] = joined[name] + pair if name in joined else pair
    return joined


def pictures_as_floats(pictures_u8: Tensor, device: torch.device) -> Tensor:
    """uint8 0..255 -> float32 in [-1, 1] on the device, rounded as ``infinity.images`` does."""
    unit = pictures_u8.to(device, non_blocking=True).float() / 255
    return unit + unit - 1


class Step(ABC):
    """One task. Every random draw of a sample comes from that sample's generator.

    Attributes:
        modules: what is trained and saved, by name; float32 master weights. Each is a root to shard.
        frozen: parts that are needed but neither trained nor saved; never to be sharded.
        phases: in the order they run in a step: ("model",) or ("model", "discriminator"). Each has
            parameters and an optimizer of its own.
        base: fingerprint of the model that an adapter is trained on, whose weights no checkpoint
            holds; None without an adapter.
    """

    phases: tuple[str, ...] = (MODEL,)
    base: str | None = None

    def __init__(self, config: TrainingConfig) -> None:
        self.config = config
        self.schedules = config.schedules
        self.modules = nn.ModuleDict()
        self.frozen = nn.ModuleDict()

    def cast(self, device: torch.device) -> torch.autocast:
        """Products in the configured dtype, of float32 weights."""
        dtype = self.config.optimization.dtype
        return torch.autocast(device.type, getattr(torch, dtype), enabled=dtype != "float32")

    def phases_at(self, step: int) -> tuple[str, ...]:
        """The phases to run at ``step`` (from 0): a discriminator may start late."""
        return self.phases

    @property
    def trained(self) -> Mapping[str, nn.Module]:
        """The entries of ``modules`` that a model folder needs (a discriminator is not)."""
        return {name: part for name, part in self.modules.items() if name != DISCRIMINATOR}

    @abstractmethod
    def parameter_groups(self, phase: str) -> list[dict[str, Any]]:
        """Optimizer groups: ``params``, their ``names``, ``decays`` and ``weight_decay``.

        ``rate`` is a group's learning rate over the run's. Call it after sharding, which replaces
        parameters.
        """

    @abstractmethod
    def loss(
        self, phase: str, batch: Batch, generators: Sequence[torch.Generator], step: int
    ) -> StepResult:
        """Loss of a slice; casts to the configured dtype itself, and moves the batch to its device.

        Args:
            generators: one on the CPU a sample, in the batch's order, fresh for every phase.
            step: counted from 0.
        """

    @abstractmethod
    def validation(self, batch: Batch) -> Metrics:
        """Metrics of a slice as trained weights have them: nothing dropped, nothing corrupted."""

    @abstractmethod
    def blocks(self) -> list[nn.Module]:
        """Units, outside in, for sharding, activation checkpointing and compilation."""
