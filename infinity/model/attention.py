"""The one place that computes attention.

Shapes: B batch, H heads, L tokens, S keys, d head width, p channel pairs of a head.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from infinity.model.rope import rotate_

SMALLEST_NORM = 1e-12


def attend(
    q_BHLd: Tensor,
    k_BHSd: Tensor,
    v_BHSd: Tensor,
    *,
    scale: float = 1.0,
    mask: Tensor | None = None,
) -> Tensor:
    """softmax(scale q k') v, (B, H, L, d). ``mask`` is bool, True where a key may be seen."""
    if _needs_plain_products(q_BHLd):
        everything = ((slice(0, q_BHLd.shape[2]), k_BHSd.shape[2]),)
        return _PlainAttention.apply(q_BHLd, k_BHSd, v_BHSd, everything, scale, mask)
    return F.scaled_dot_product_attention(q_BHLd, k_BHSd, v_BHSd, attn_mask=mask, scale=scale)


def attend_scale_causally(
    q_BHLd: Tensor, k_BHLd: Tensor, v_BHLd: Tensor, spans: Sequence[slice]
) -> Tensor:
    """Each token sees its own and all earlier scales: one unmasked product a scale, (B, H, L, d)."""
    if _needs_plain_products(q_BHLd):
        parts = tuple((span, span.stop) for span in spans)
        return _PlainAttention.apply(q_BHLd, k_BHLd, v_BHLd, parts, 1.0, None)
    outputs = [
        attend(q_BHLd[:, :, span], k_BHLd[:, :, : span.stop], v_BHLd[:, :, : span.stop])
        for span in spans
    ]
    return torch.cat(outputs, dim=2)


def unit_rotated(
    qkv_BL3Hd: Tensor, lengths_2H1: Tensor, table_Lp: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Queries and keys brought to given lengths and rotated; values as they are.

    Args:
        qkv_BL3Hd: any float dtype; computed in float32.
        lengths_2H1: float32, a head's query and key length.
        table_Lp: rotary table of the tokens.

    Returns:
        q, k, v (B, H, L, d), not contiguous, in the dtype of ``qkv``.
    """
    return _UnitRotated.apply(qkv_BL3Hd, lengths_2H1, table_Lp)


def _needs_plain_products(q: Tensor) -> bool:
    """On a CPU the backward of the fused kernel is slower than plain products (docs, journal)."""
    return torch.is_grad_enabled() and q.requires_grad and q.device.type == "cpu"


class _PlainAttention(torch.autograd.Function):
    """Attention of query spans to key prefixes, by written-out products; keeps the weights."""

    @staticmethod
    def forward(
        ctx: Any,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        parts: Sequence[tuple[slice, int]],
        scale: float,
        mask: Tensor | None,
    ) -> Tensor:
        q, k, v = q.contiguous(), k.contiguous(), v.contiguous()
        output = torch.empty_like(q)
        all_weights = []
        for span, stop in parts:
            scores = (q[:, :, span] * scale) @ k[:, :, :stop].mT
            if mask is not None:
                scores.masked_fill_(~mask, float("-inf"))
            weights = scores.softmax(dim=-1)
            output[:, :, span] = weights @ v[:, :, :stop]
            all_weights.append(weights)
        ctx.save_for_backward(q, k, v, *all_weights)
        ctx.parts, ctx.scale = parts, scale
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, *all_weights = ctx.saved_tensors
        grad = grad_outputs[0].contiguous()
        grad_q, grad_k, grad_v = torch.empty_like(q), torch.zeros_like(k), torch.zeros_like(v)
        for (span, stop), weights in zip(ctx.parts, all_weights, strict=True):
            part = grad[:, :, span]
            grad_v[:, :, :stop] += weights.mT @ part
            grad_weights = part @ v[:, :, :stop].mT
            grad_scores = torch.ops.aten._softmax_backward_data(
                grad_weights, weights, -1, weights.dtype
            )
            grad_q[:, :, span] = (grad_scores @ k[:, :, :stop]) * ctx.scale
            grad_k[:, :, :stop] += grad_scores.mT @ (q[:, :, span] * ctx.scale)
        return grad_q, grad_k, grad_v, None, None, None


class _UnitRotated(torch.autograd.Function):
    """``unit_rotated`` with a backward that recomputes instead of keeping float32 copies."""

    @staticmethod
    def forward(
        ctx: Any, qkv: Tensor, lengths: Tensor, table: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        qk = qkv[:, :, :2].float()
        norms = torch.linalg.vector_norm(qk, dim=-1, keepdim=True).clamp_(min=SMALLEST_NORM)
        ctx.save_for_backward(qkv, norms, lengths, table)
        q, k = rotate_(qk * (lengths / norms), table[:, None, None]).to(qkv.dtype).unbind(2)
        return q.transpose(1, 2), k.transpose(1, 2), qkv[:, :, 2].transpose(1, 2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        qkv, norms, lengths, table = ctx.saved_tensors
        grad_q, grad_k, grad_v = (grad.transpose(1, 2) for grad in grad_outputs)
        grad = torch.stack((grad_q, grad_k), dim=2).float()
        grad = rotate_(grad, table[:, None, None].conj())
        units = qkv[:, :, :2] / norms
        radial = torch.linalg.vecdot(units, grad, dim=-1).unsqueeze(-1)
        grad_qkv = torch.empty_like(qkv)
        grad_qkv[:, :, :2] = torch.addcmul(grad, units, radial, value=-1).mul_(lengths / norms)
        grad_qkv[:, :, 2] = grad_v
        return grad_qkv, radial.sum(dim=(0, 1)), None
