"""Bits, codes and tokens: one converter each way.

Legend: B batch, l tokens of a scale, d bits a latent, D bits a token (d, or 4d with patchify),
h w token grid, y x latent grid (y = h * patch).
"""

import math

import torch
from einops import rearrange
from torch import Tensor


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
