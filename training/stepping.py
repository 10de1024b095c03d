"""What makes a run exactly resumable: examples by index, draws by step, rates by step."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from torch.utils.data import Dataset

T = TypeVar("T")


class IndexedDataset(Dataset[T]):
    """Items ``start`` to ``stop`` of an endless sequence; the same index gives the same item."""

    def __init__(self, item: Callable[[int], T], start: int, stop: int) -> None:
        self.item, self.start, self.stop = item, start, stop

    def __len__(self) -> int:
        return self.stop - self.start

    def __getitem__(self, index: int) -> T:
        return self.item(self.start + index)


def step_generator(seed: int, step: int) -> torch.Generator:
    """The source of every draw of one step."""
    return torch.Generator().manual_seed(seed * 1_000_003 + step)


def trapezoid(step: int, steps: int, warmup: int, cooldown: float, begun: int = 0) -> float:
    """Learning-rate factor: linear warm-up, flat, then linear to zero over the last ``cooldown``.

    Args:
        begun: the step at which the optimizers began.
    """
    return min(1.0, (step - begun + 1) / warmup, (steps - step) / max(1.0, cooldown * steps))
