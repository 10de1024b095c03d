"""Scale-causal attention as one fused kernel with a block mask, where a GPU and Triton allow it.

The mask is made of 128 x 128 blocks, so scores that no token may see are neither computed nor kept:
half the work of a full product, and one kernel instead of one a scale. ``attention`` decides.

Shapes: B batch, H heads, L tokens, d head width.
"""

import importlib.util
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask, create_block_mask, flex_attention

SMALLEST_HEAD = 16


def fits(q_BHLd: Tensor) -> bool:
    """Whether the kernel can compute this case: on a CUDA device, heads wide enough, Triton there."""
    return q_BHLd.device.type == "cuda" and q_BHLd.shape[-1] >= SMALLEST_HEAD and _has_triton()


def attend_in_blocks(
    q_BHLd: Tensor, k_BHLd: Tensor, v_BHLd: Tensor, spans: Sequence[slice]
) -> Tensor:
    """Each token sees its own and all earlier scales, (B, H, L, d); equal to one product a scale.

    Compiled on a GPU (once a shape); elsewhere written out, for comparison.
    """
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


@lru_cache(maxsize=1)
def _compiled() -> Callable[..., Any]:
    return torch.compile(flex_attention)


@lru_cache(maxsize=1)
def _has_triton() -> bool:
    return importlib.util.find_spec("triton") is not None
