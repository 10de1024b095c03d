"""The one place that computes attention, by the kernel that is fastest for the case.

The fused kernel (``scaled_dot_product_attention``) is used except on a CPU, and there:
- with gradients, where its backward is slower than written-out products;
- in bfloat16, where it takes about twice the time of written-out products on a machine with
  bfloat16 dot products (its exponentials and small tiles are the reason, measured at 1024 x 3000).
Written-out products round the scores to bfloat16. So that this costs little accuracy the keys are
centred first: softmax does not see a vector that all keys share, and the scores get small
(tests/model/test_attention.py).

With gradients on a GPU, where Triton allows it, scale-causal attention is one fused kernel with a mask
made of 128 x 128 blocks, so scores that no token may see are neither computed nor kept: half the work
of a full product, and one kernel instead of one a scale.

Shapes: B batch, H heads, L tokens, l tokens of one scale, S keys, d head width, p channel pairs of a
head.
"""

import importlib.util
from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from itertools import product
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.attention.flex_attention import BlockMask, create_block_mask, flex_attention

from infinity.model.rope import rotate_

SMALLEST_NORM = 1e-12
SMALLEST_BLOCK_HEAD = 16
"""Narrowest head that the kernel with a block mask can compute."""
HAS_TRITON = importlib.util.find_spec("triton") is not None
SCORES_AT_ONCE = 2**23
"""Most attention scores held at once without gradients (16 MiB of bfloat16)."""
QUERIES_AT_ONCE = 256
ROTATED_AT_ONCE = 2**22
"""Most elements of queries, keys and values taken through float32 at once without gradients."""


def is_whole(x: Tensor) -> bool:
    """Whether x is computed on whole: with gradients, on a GPU, and in compiled code. A CPU without gradients
    takes large tensors in parts that its caches hold."""
    return torch.is_grad_enabled() or x.is_cuda or torch.compiler.is_compiling()


def attend(
    q_BHLd: Tensor, k_BHSd: Tensor, v_BHSd: Tensor, *, scale: float = 1, mask: Tensor | None = None
) -> Tensor:
    """softmax(scale q k') v, (B, H, L, d). ``mask`` is bool, True where a key may be seen, or float: added to
    the scores."""
    if _needs_plain_products(q_BHLd):
        everything = ((slice(0, q_BHLd.shape[2]), k_BHSd.shape[2]),)
        return _PlainAttention.apply(q_BHLd, k_BHSd, v_BHSd, everything, scale, mask)
    if q_BHLd.device.type == "cpu" and q_BHLd.dtype == torch.bfloat16:
        return _chunked_products(q_BHLd, k_BHSd, v_BHSd, scale, mask)
    if mask is not None and mask.is_floating_point():
        mask = mask.to(q_BHLd.dtype)
    return F.scaled_dot_product_attention(q_BHLd, k_BHSd, v_BHSd, attn_mask=mask, scale=scale)


def attention_weights(
    q_BHLd: Tensor, k_BHSd: Tensor, *, scale: float = 1.0, mask: Tensor | None = None
) -> Tensor:
    """softmax(scale q k'), (B, H, L, S) float32: what :func:`attend` weighs the values by, to look at."""
    return _masked((q_BHLd.float() * scale) @ k_BHSd.float().mT, mask).softmax(dim=-1)


def attend_scale_causally(
    q_BHLd: Tensor, k_BHLd: Tensor, v_BHLd: Tensor, spans: Sequence[slice]
) -> Tensor:
    """Each token sees its own and all earlier scales, (B, H, L, d)."""
    if _needs_plain_products(q_BHLd):
        parts = tuple((span, span.stop) for span in spans)
        return _PlainAttention.apply(q_BHLd, k_BHLd, v_BHLd, parts, 1.0, None)
    is_wide = q_BHLd.shape[-1] >= SMALLEST_BLOCK_HEAD
    if torch.is_grad_enabled() and q_BHLd.device.type == "cuda" and is_wide and HAS_TRITON:
        return attend_in_blocks(q_BHLd, k_BHLd, v_BHLd, spans)
    outputs = [
        attend(q_BHLd[:, :, span], k_BHLd[:, :, : span.stop], v_BHLd[:, :, : span.stop])
        for span in spans
    ]
    return torch.cat(outputs, dim=2)


def attend_in_blocks(
    q_BHLd: Tensor, k_BHLd: Tensor, v_BHLd: Tensor, spans: Sequence[slice]
) -> Tensor:
    """``attend_scale_causally`` with a block mask: compiled on a GPU (once a shape), elsewhere
    written out, for comparison."""
    mask = block_mask(tuple(span.stop for span in spans), q_BHLd.device)
    attend = _compiled() if q_BHLd.device.type == "cuda" else flex_attention
    return attend(q_BHLd, k_BHLd, v_BHLd, block_mask=mask, scale=1.0)


@lru_cache(maxsize=32)
def block_mask(stops: tuple[int, ...], device: torch.device) -> BlockMask:
    """The mask of scales that end at the given tokens."""
    with torch.inference_mode(False):
        ends = torch.tensor(stops, device=device)
        tokens = torch.arange(stops[-1], device=device)
        visible_L = ends[torch.searchsorted(ends, tokens, right=True)]

        def sees(batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
            return key < visible_L[query]

        return create_block_mask(sees, None, None, stops[-1], stops[-1], device=device)


@cache
def _compiled() -> Callable[..., Any]:
    return torch.compile(flex_attention)


def unit_rotated(
    qkv_BL3Hd: Tensor, lengths_2H1: Tensor, table_Lp: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Queries and keys brought to given lengths and rotated; values as they are.

    Args:
        qkv_BL3Hd: any float dtype; computed in float32.
        lengths_2H1: float32, a head's query and key length.
        table_Lp: rotary table of the tokens, (B, L, p) where rows have tokens of their own; as real numbers
            (.., L, p, 2) for compiled code, without gradients.

    Returns:
        q, k, v (B, H, L, d), not contiguous, in the dtype of ``qkv``.
    """
    if not table_Lp.is_complex():
        return _turned(qkv_BL3Hd, lengths_2H1, table_Lp)
    if is_whole(qkv_BL3Hd) or qkv_BL3Hd.numel() <= ROTATED_AT_ONCE:
        return _UnitRotated.apply(qkv_BL3Hd, lengths_2H1, table_Lp)
    tokens = max(1, table_Lp.shape[-2] * ROTATED_AT_ONCE // qkv_BL3Hd.numel())
    parts = [
        _UnitRotated.apply(qkv, lengths_2H1, table)
        for qkv, table in zip(
            qkv_BL3Hd.split(tokens, dim=1), table_Lp.split(tokens, dim=-2), strict=True
        )
    ]
    queries, keys, _ = zip(*parts, strict=True)
    return torch.cat(queries, 2), torch.cat(keys, 2), qkv_BL3Hd[:, :, 2].transpose(1, 2)


def _turned(qkv: Tensor, lengths: Tensor, table_Lp2: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """``unit_rotated`` in plain real operations, which a compiler makes one of."""
    qk = qkv[:, :, :2].float()
    norms = torch.linalg.vector_norm(qk, dim=-1, keepdim=True).clamp(min=SMALLEST_NORM)
    first, second = (qk * (lengths / norms)).unflatten(-1, (-1, 2)).unbind(-1)
    cosine, sine = table_Lp2.unsqueeze(-3).unsqueeze(-3).unbind(-1)
    turned = torch.stack((first * cosine - second * sine, first * sine + second * cosine), -1)
    q, k = turned.flatten(-2).to(qkv.dtype).unbind(2)
    return q.transpose(1, 2), k.transpose(1, 2), qkv[:, :, 2].transpose(1, 2)


def _chunked_products(q: Tensor, k: Tensor, v: Tensor, scale: float, mask: Tensor | None) -> Tensor:
    """Written-out attention, some rows, heads and queries at a time; no gradients."""
    k = _centered(k)
    batch, heads, length, _ = q.shape
    num_keys = k.shape[2]
    if batch * heads * length * num_keys <= SCORES_AT_ONCE:
        return _products(q, k, v, scale, mask)
    queries = min(length, QUERIES_AT_ONCE)
    heads_at_once = max(1, SCORES_AT_ONCE // (queries * num_keys))
    starts = product(range(batch), range(0, heads, heads_at_once), range(0, length, queries))
    output = torch.empty_like(q)
    for row, head, query in starts:
        seen = (row, slice(head, head + heads_at_once))
        part = (*seen, slice(query, query + queries))
        row_mask = None if mask is None else mask[row]
        output[part] = _products(q[part], k[seen], v[seen], scale, row_mask)
    return output


def _products(q: Tensor, k: Tensor, v: Tensor, scale: float, mask: Tensor | None) -> Tensor:
    scores = (q if scale == 1.0 else q * scale) @ k.mT
    _masked(scores, mask)
    return scores.softmax(dim=-1) @ v


def _masked(scores: Tensor, mask: Tensor | None) -> Tensor:
    """The scores, changed in place by a mask as :func:`attend` takes it."""
    if mask is None:
        return scores
    if mask.dtype == torch.bool:
        return scores.masked_fill_(~mask, float("-inf"))
    return scores.add_(mask)


def _centered(k_BHSd: Tensor) -> Tensor:
    """Keys less their mean, which changes no attention weight but for rounding."""
    return k_BHSd - k_BHSd.mean(dim=2, keepdim=True)


def _needs_plain_products(q: Tensor) -> bool:
    """On a CPU the backward of the fused kernel is slower than plain products (measured at 32 x 291)."""
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
        if k.dtype == torch.bfloat16:
            k = _centered(k)
        output = torch.empty_like(q)
        all_weights = []
        for span, stop in parts:
            scores = (q[:, :, span] * scale) @ k[:, :, :stop].mT
            _masked(scores, mask)
            weights = scores.softmax(dim=-1)
            output[:, :, span] = weights @ v[:, :, :stop]
            all_weights.append(weights)
        ctx.save_for_backward(q, k, v, *all_weights)
        ctx.parts, ctx.scale = parts, scale
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:  # pyrefly: ignore[bad-override]
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
        q, k = (
            rotate_(qk * (lengths / norms), table.unsqueeze(-2).unsqueeze(-2))
            .to(qkv.dtype)
            .unbind(2)
        )
        return q.transpose(1, 2), k.transpose(1, 2), qkv[:, :, 2].transpose(1, 2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:  # pyrefly: ignore[bad-override]
        qkv, norms, lengths, table = ctx.saved_tensors
        grad_q, grad_k, grad_v = (grad.transpose(1, 2) for grad in grad_outputs)
        grad = torch.stack((grad_q, grad_k), dim=2).float()
        grad = rotate_(grad, table.unsqueeze(-2).unsqueeze(-2).conj())
        units = qkv[:, :, :2] / norms
        radial = torch.linalg.vecdot(units, grad, dim=-1).unsqueeze(-1)
        grad_qkv = torch.empty_like(qkv)
        grad_qkv[:, :, :2] = torch.addcmul(grad, units, radial, value=-1).mul_(lengths / norms)
        grad_qkv[:, :, 2] = grad_v
        return grad_qkv, radial.sum(dim=(0, 1)), None
