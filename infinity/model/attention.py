"""The one place that computes attention.

Shapes: B batch, H heads, L tokens, S keys, d head width.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def attend(
    q_BHLd: Tensor,
    k_BHSd: Tensor,
    v_BHSd: Tensor,
    *,
    scale: float = 1.0,
    mask: Tensor | None = None,
) -> Tensor:
    """softmax(scale q k') v, (B, H, L, d). ``mask`` is bool, True where a key may be seen.

    While gradients are wanted on a CPU the products are written out: the backward of the fused CPU
    kernel is slower than three plain products (measured, batch 32, 291 tokens).
    """
    if torch.is_grad_enabled() and q_BHLd.requires_grad and q_BHLd.device.type == "cpu":
        scores = (q_BHLd * scale) @ k_BHSd.transpose(-2, -1)
        if mask is not None:
            scores = scores.masked_fill(~mask, float("-inf"))
        return scores.softmax(dim=-1) @ v_BHSd
    return F.scaled_dot_product_attention(q_BHLd, k_BHSd, v_BHSd, attn_mask=mask, scale=scale)


def attend_scale_causally(
    q_BHLd: Tensor, k_BHLd: Tensor, v_BHLd: Tensor, spans: Sequence[slice]
) -> Tensor:
    """Each token sees its own and all earlier scales: one unmasked product a scale, (B, H, L, d)."""
    parts = [
        attend(q_BHLd[:, :, span], k_BHLd[:, :, : span.stop], v_BHLd[:, :, : span.stop])
        for span in spans
    ]
    return torch.cat(parts, dim=2)
