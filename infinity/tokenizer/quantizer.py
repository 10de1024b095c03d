"""Multi-scale residual binary spherical quantization (paper section 3.2), with self-correction.

A residual is projected onto the unit sphere and every coordinate keeps its sign: d bits, a
vocabulary of 2^d that is never enumerated. ``encode_scales`` is also the paper's bitwise
self-correction: labels are always the true bits of a residual that contains earlier flips.

Legend: B batch, l tokens of a scale, d bits a latent, D bits a token, L tokens of all scales.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from infinity.config import TokenizerConfig
from infinity.schedule import ScaleSchedule
from infinity.tokenizer.bits import tokens_from_latent
from infinity.tokenizer.canvas import ResidualCanvas

FlipRule = Callable[[int, Tensor], Tensor | None]
"""(scale index, true bits (B, l, D)) -> mask of bits to flip, same shape, bool; None flips none."""


@dataclass(frozen=True)
class EncodedScales:
    """A batch of encoded pictures.

    Attributes:
        bits: per scale (B, l, D) bool: the labels.
        inputs_BLD: (B, L - l_0, D) float: the transformer's inputs for scales 1 and up.
        latent_Bdyx: (B, d, y, x) float: the sum of all (flipped) codes.
    """

    bits: tuple[Tensor, ...]
    inputs_BLD: Tensor
    latent_Bdyx: Tensor

    @property
    def labels_BLD(self) -> Tensor:
        """(B, L, D) bool: the labels of all scales."""
        return torch.cat(self.bits, dim=1)


def quantize(residual_Bdyx: Tensor) -> Tensor:
    """Nearest code on the sphere: (B, d, y, x) float -> the same shape, bool (zero -> False)."""
    return residual_Bdyx > 0


@torch.no_grad()
def encode_scales(
    features_Bdyx: Tensor,
    config: TokenizerConfig,
    schedule: ScaleSchedule,
    flip: FlipRule | None = None,
) -> EncodedScales:
    """Quantize encoder features scale by scale.

    Args:
        features_Bdyx: (B, d, y, x) float at the latent size of the last scale.
        flip: which bits to flip after each scale's labels were taken (self-correction).

    Raises:
        ValueError: the features do not have the schedule's latent size.
    """
    canvas = ResidualCanvas(
        config, schedule, len(features_Bdyx), features_Bdyx.device, features_Bdyx.dtype
    )
    if features_Bdyx.shape[1:] != canvas.latent_Bdyx.shape[1:]:
        raise ValueError(
            f"features {tuple(features_Bdyx.shape)} do not fit the schedule's latent "
            f"{tuple(canvas.latent_Bdyx.shape)}"
        )
    labels: list[Tensor] = []
    inputs: list[Tensor] = []
    for index in range(len(schedule)):
        bits_BlD = tokens_from_latent(quantize(canvas.residual(features_Bdyx)), config.patch)
        labels.append(bits_BlD)
        mask = flip(index, bits_BlD) if flip is not None else None
        next_input = canvas.add(bits_BlD if mask is None else bits_BlD ^ mask)
        if next_input is not None:
            inputs.append(next_input)
    first = labels[0]
    inputs_BLD = (
        torch.cat(inputs, dim=1)
        if inputs
        else features_Bdyx.new_zeros(len(first), 0, config.bits_per_token)
    )
    return EncodedScales(tuple(labels), inputs_BLD, canvas.latent_Bdyx)
