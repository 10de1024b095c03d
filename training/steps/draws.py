"""What a transformer's step draws for each sample of a slice, from that sample's own generator.

Legend: B samples, l tokens of a scale, D bits a token.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from infinity.tokenizer.quantizer import FlipRule
from training.config.settings import TrainingConfig


@dataclass(frozen=True)
class SampleFlips:
    """Bitwise self-correction (paper section 3.4): random flips that the model learns to repair.

    A flip rule for ``infinity.tokenizer.quantizer.encode_scales``: for each of the first ``scales``
    scales a sample draws one rate, uniformly among 0, 0.01, ..., ``strength``, and flips every bit
    with that chance, whatever is beside it in the batch.

    Args:
        strength: highest flip rate, 0..1 (released recipe: 0.3).
        scales: how many scales, from the coarsest, are corrupted (released recipe: 13).
        generators: source of every draw, one a sample, in the batch's order.
    """

    strength: float
    scales: int
    generators: Sequence[torch.Generator]

    def __call__(self, index: int, bits_BlD: Tensor) -> Tensor | None:
        if index >= self.scales:
            return None
        masks = []
        for bits, generator in zip(bits_BlD, self.generators, strict=True):
            percent = torch.randint(0, round(100 * self.strength) + 1, (), generator=generator)
            masks.append(torch.rand(bits.shape, generator=generator) < int(percent) / 100)
        return torch.stack(masks).to(bits_BlD.device)


@dataclass(frozen=True)
class TransformerDraws:
    """Draws of one slice.

    Attributes:
        dropped: samples trained without their text.
        branch_factors: (depth, 2, B, 1, 1) float32 for drop path, or None without it.
        flips: self-correction, drawn when it is used, or None without it.
    """

    dropped: tuple[bool, ...]
    branch_factors: Tensor | None = None
    flips: FlipRule | None = None


def draw_for_transformer(
    config: TrainingConfig, generators: Sequence[torch.Generator]
) -> TransformerDraws:
    """Draws of the samples the generators belong to, as the run's settings have them."""
    optimization, correction = config.optimization, config.self_correction
    dropped = [bool(torch.rand((), generator=g) < optimization.text_dropout) for g in generators]
    factors = flips = None
    if optimization.drop_path:
        depth = config.transformer.depth
        kept_l = 1 - torch.linspace(0, optimization.drop_path, depth)[:, None, None]
        drawn_l2B = torch.stack([torch.rand(depth, 2, generator=g) for g in generators], dim=-1)
        factors = ((drawn_l2B < kept_l) / kept_l)[..., None, None]
    if correction.requantize and correction.strength > 0 and correction.scales > 0:
        flips = SampleFlips(correction.strength, correction.scales, generators)
    return TransformerDraws(tuple(dropped), factors, flips)
