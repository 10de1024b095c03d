"""Multi-scale residual binary spherical quantization (paper section 3.2), with self-correction.

A picture is a sum of codes, one scale after another: each scale explains what the sum so far lacks.
The residual is projected onto the unit sphere and every coordinate keeps its sign: d bits, a
vocabulary of 2^d that is never enumerated. Encoding, generation, self-correction, previews and
editing all go through :class:`ResidualCanvas`. ``encode_scales`` is also the paper's bitwise
self-correction: labels are always the true bits of a residual that contains earlier flips.
Resizing is upstream's: trilinear with one frame (bilinear differs by 5e-7, enough to flip a bit).

Legend: B batch, l tokens of a scale, L tokens of all scales, d bits a latent, D bits a token (d, or
4d with patchify), h w token grid, y x latent grid (y = h * patch).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from infinity.config import TokenizerConfig
from infinity.schedule import ScaleSchedule

FlipRule = Callable[[int, Tensor], Tensor | None]
"""(scale index, true bits (B, l, D)) -> mask of bits to flip, same shape, bool; None flips none."""


def codes_from_bits(bits: Tensor, bits_per_latent: int, dtype: torch.dtype) -> Tensor:
    """Bits of any layout, bool -> codes of the same shape: +-1/sqrt(d), so that d of them have norm 1."""
    magnitude = 1.0 / math.sqrt(bits_per_latent)
    return torch.where(bits, magnitude, -magnitude).to(dtype)


def tokens_from_latent(latent_Bcyx: Tensor, patch: int) -> Tensor:
    """(B, c, y, x) -> tokens (B, h*w, c*patch^2), row-major; channel = c, then patch row, column."""
    return rearrange(
        latent_Bcyx, "b c (h p) (w q) -> b (h w) (c p q)", p=patch, q=patch
    ).contiguous()


def latent_from_tokens(tokens_Blc: Tensor, height: int, width: int, patch: int) -> Tensor:
    """Inverse of :func:`tokens_from_latent` for a token grid of ``height`` x ``width``."""
    return rearrange(
        tokens_Blc, "b (h w) (c p q) -> b c (h p) (w q)", h=height, w=width, p=patch, q=patch
    ).contiguous()


def quantize(residual_Bdyx: Tensor) -> Tensor:
    """Nearest code on the sphere: (B, d, y, x) float -> the same shape, bool (zero -> False)."""
    return residual_Bdyx > 0


def resize_latent(latent_Bdyx: Tensor, size: tuple[int, int]) -> Tensor:
    """Linear resize without antialiasing, the same for up and down; identity at the same size."""
    if latent_Bdyx.shape[-2:] == size:
        return latent_Bdyx
    return F.interpolate(latent_Bdyx.unsqueeze(2), size=(1, *size), mode="trilinear").squeeze(2)


class ResidualCanvas:
    """The running sum of codes of a batch of pictures.

    Attributes:
        latent_Bdyx: the sum so far at the last scale's latent size, float.
        index: the scale to be added next; ``len(schedule)`` when finished.
    """

    def __init__(
        self,
        config: TokenizerConfig,
        schedule: ScaleSchedule,
        batch: int,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.config = config
        self.schedule = schedule
        self.index = 0
        self.size = schedule.latent_size(len(schedule) - 1, config.patch)
        self.latent_Bdyx = torch.zeros(batch, config.bits, *self.size, device=device, dtype=dtype)

    def add(self, bits_BlD: Tensor) -> Tensor | None:
        """Add one scale's bits; return the transformer's input for the next scale.

        Args:
            bits_BlD: (B, l, D) bool, the tokens of scale ``index``.

        Returns:
            (B, l_next, D) float, or None after the last scale.

        Raises:
            ValueError: every scale has been added, or the bits do not fit the scale.
        """
        if self.index >= len(self.schedule):
            raise ValueError("every scale has been added to this canvas")
        scale = self.schedule[self.index]
        if bits_BlD.shape[1:] != (scale.tokens, self.config.bits_per_token):
            raise ValueError(
                f"bits of shape {tuple(bits_BlD.shape)} do not fit scale {self.index} "
                f"({scale.tokens} tokens of {self.config.bits_per_token} bits)"
            )
        bits_Bdyx = latent_from_tokens(bits_BlD, scale.height, scale.width, self.config.patch)
        codes_Bdyx = codes_from_bits(bits_Bdyx, self.config.bits, self.latent_Bdyx.dtype)
        self.latent_Bdyx = self.latent_Bdyx + resize_latent(codes_Bdyx, self.size)
        self.index += 1
        if self.index == len(self.schedule):
            return None
        size = self.schedule.latent_size(self.index, self.config.patch)
        return tokens_from_latent(resize_latent(self.latent_Bdyx, size), self.config.patch)

    def residual(self, features_Bdyx: Tensor) -> Tensor:
        """What scale ``index`` has to explain of ``features``: (B, d, y_i, x_i), area-averaged."""
        residual = features_Bdyx - self.latent_Bdyx
        size = self.schedule.latent_size(self.index, self.config.patch)
        return residual if size == self.size else F.adaptive_avg_pool2d(residual, size)


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
    inputs = [features_Bdyx.new_zeros(len(features_Bdyx), 0, config.bits_per_token)]
    for index in range(len(schedule)):
        bits_BlD = tokens_from_latent(quantize(canvas.residual(features_Bdyx)), config.patch)
        labels.append(bits_BlD)
        mask = flip(index, bits_BlD) if flip is not None else None
        next_input = canvas.add(bits_BlD if mask is None else bits_BlD ^ mask)
        if next_input is not None:
            inputs.append(next_input)
    return EncodedScales(tuple(labels), torch.cat(inputs, dim=1), canvas.latent_Bdyx)
