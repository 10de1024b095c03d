"""What a step draws for each sample of a slice, from that sample's own generator.

Legend: B samples.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from infinity.tokenizer.quantizer import FlipRule
from training.self_correction import SampleFlips


@dataclass(frozen=True)
class TransformerDraws:
    """Draws of one slice.

    Attributes:
        dropped: samples trained without their text.
        branch_factors: (depth, 2, B, 1, 1) float32 for drop path, or None without it.
        flips: self-correction, or None without it.
    """

    dropped: tuple[bool, ...]
    branch_factors: Tensor | None = None
    flips: FlipRule | None = None


def draw_for_transformer(
    generators: Sequence[torch.Generator],
    *,
    text_dropout: float,
    drop_path: float,
    depth: int,
    flip_strength: float,
    flip_scales: int,
) -> TransformerDraws:
    """Draws of the samples the generators belong to; the flips are drawn when they are used.

    Args:
        text_dropout: chance of a sample to lose its text.
        drop_path: chance of the last block's branches to be skipped; linear from 0 at the first.
        flip_strength, flip_scales: see SampleFlips.
    """
    dropped = tuple(bool(torch.rand((), generator=g) < text_dropout) for g in generators)
    factors = _branch_factors(generators, drop_path, depth) if drop_path else None
    corrupts = flip_strength > 0 and flip_scales > 0
    flips = SampleFlips(flip_strength, flip_scales, generators) if corrupts else None
    return TransformerDraws(dropped, factors, flips)


def _branch_factors(generators: Sequence[torch.Generator], drop_path: float, depth: int) -> Tensor:
    kept_l = 1 - torch.linspace(0, drop_path, depth)[:, None, None]
    drawn_l2B = torch.stack([torch.rand(depth, 2, generator=g) for g in generators], dim=-1)
    return ((drawn_l2B < kept_l) / kept_l)[..., None, None]
