"""What the training loop asks of a task: modules, losses by phase, and how to slice and shard them.

The loop owns the order of things (accumulation, optimizers, clipping, averages, checkpoints) and
knows nothing of pictures or bits; a step owns the losses and knows nothing of sharding or files.

Legend: B samples of a slice of the global batch.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

MODEL = "model"
DISCRIMINATOR = "discriminator"

Metrics = dict[str, Tensor]
"""Name -> (2,) float64: a sum and its count."""


class StepBatch(Protocol):
    """What a step reads of a batch; one aspect ratio, B samples.

    Attributes:
        pictures_u8: (B, 3, H, W) uint8 RGB, or None where the tokenizer's output is prepared.
        latents: prepared features of the pictures, (B, d, y, x) float32, or None. Self-correction
            makes labels of what is left of them, so it needs them or pictures.
        bits: prepared labels of every scale, (B, l, D) bool each, or None; enough for training
            without self-correction.
        features: prepared text features, (T, W) float each, or None.
        captions: B texts.
        aspect_ratio: names the schedule, "3:2".
        positions: places of the samples in the global batch.
    """

    @property
    def pictures_u8(self) -> Tensor | None: ...
    @property
    def latents(self) -> Tensor | None: ...
    @property
    def bits(self) -> Sequence[Tensor] | None: ...
    @property
    def features(self) -> Sequence[Tensor] | None: ...
    @property
    def captions(self) -> tuple[str, ...]: ...
    @property
    def aspect_ratio(self) -> str: ...
    @property
    def positions(self) -> tuple[int, ...]: ...


@dataclass(frozen=True)
class StepResult:
    """What one slice of a batch gave.

    Attributes:
        loss: scalar with a graph, float32 or float64: the mean over the slice's samples. Slices
            join by their share of the samples: the sum of ``loss * samples / batch_size``.
        samples: B of the slice.
        metrics: name -> float64 (2,) on the loss's device, without a graph: a sum and its count.
            Sums and counts add over slices and ranks; sum / count is the mean to log.
    """

    loss: Tensor
    samples: int
    metrics: dict[str, Tensor]


def ratio(values: Tensor) -> Tensor:
    """(2,) float64: the sum of ``values`` and how many they are."""
    values = values.detach().double()
    return torch.stack((values.sum(), values.new_tensor(float(values.numel()))))


def means(metrics: Mapping[str, Tensor]) -> dict[str, float]:
    """Name -> mean of added sums and counts; names without a count are left out."""
    pairs = {name: pair.tolist() for name, pair in metrics.items()}
    return {name: total / count for name, (total, count) in pairs.items() if count}


def added_metrics(parts: Iterable[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """The metrics of several slices, added."""
    joined: dict[str, Tensor] = {}
    for part in parts:
        for name, pair in part.items():
            joined[name] = joined[name] + pair if name in joined else pair
    return joined


class Step(Protocol):
    """One task. Every random draw of a sample comes from that sample's generator.

    Attributes:
        modules: what is trained and saved, by name; float32 master weights. Each is a root to shard.
        frozen: parts that are needed but neither trained nor saved; never to be sharded.
        phases: in the order they run in a step: ("model",) or ("model", "discriminator"). Each has
            parameters and an optimizer of its own.
    """

    modules: nn.ModuleDict
    frozen: nn.ModuleDict
    phases: tuple[str, ...]

    def phases_at(self, step: int) -> tuple[str, ...]:
        """The phases to run at ``step`` (from 0): a discriminator may start late."""
        ...

    def parameter_groups(self, phase: str) -> list[dict[str, Any]]:
        """Optimizer groups: ``params``, their ``names``, ``decays`` and ``weight_decay``.

        ``rate`` is a group's learning rate over the run's. Call it after sharding, which replaces
        parameters.
        """
        ...

    def loss(
        self, phase: str, batch: StepBatch, generators: Sequence[torch.Generator], step: int
    ) -> StepResult:
        """Loss of a slice; casts to the configured dtype itself, and moves the batch to its device.

        Args:
            generators: one on the CPU a sample, in the batch's order, fresh for every phase.
            step: counted from 0.
        """
        ...

    def validation(self, batch: StepBatch) -> dict[str, Tensor]:
        """Metrics of a slice as trained weights have them: nothing dropped, nothing corrupted."""
        ...

    def blocks(self) -> list[nn.Module]:
        """Units, outside in, for sharding, activation checkpointing and compilation."""
        ...

    @property
    def trained(self) -> Mapping[str, nn.Module]:
        """The entries of ``modules`` that a model folder needs (a discriminator is not)."""
        ...
