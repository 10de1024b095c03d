"""Bitwise self-correction (paper section 3.4): random flips the model learns to repair."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class RandomFlips:
    """A flip rule for :func:`infinity.tokenizer.quantizer.encode_scales`.

    Each of the first ``scales`` scales draws one rate for the whole batch, uniformly among
    0, 0.01, ..., ``strength``, and flips every bit with that probability.

    Args:
        strength: highest flip rate, 0..1 (released recipe: 0.3).
        scales: how many scales, from the coarsest, are corrupted (released recipe: 13).
        generator: source of every draw.
    """

    strength: float
    scales: int
    generator: torch.Generator

    def __call__(self, index: int, bits_BlD: Tensor) -> Tensor | None:
        if index >= self.scales:
            return None
        highest = round(100 * self.strength)
        rate = int(torch.randint(0, highest + 1, (), generator=self.generator)) / 100
        return torch.rand(bits_BlD.shape, generator=self.generator).to(bits_BlD.device) < rate


@dataclass(frozen=True)
class SampleFlips:
    """The same rule with a source of draws, and so a rate, for each sample of a batch.

    What happens to a sample does not depend on the others beside it.

    Args:
        strength, scales: see :class:`RandomFlips`.
        generators: one a sample, in the batch's order.
    """

    strength: float
    scales: int
    generators: Sequence[torch.Generator]

    def __call__(self, index: int, bits_BlD: Tensor) -> Tensor | None:
        if index >= self.scales:
            return None
        rules = [RandomFlips(self.strength, self.scales, source) for source in self.generators]
        masks = [rule(index, bits) for rule, bits in zip(rules, bits_BlD, strict=True)]
        return torch.stack([mask for mask in masks if mask is not None])
