"""The distribution that ``sample_bits`` draws from, for any number of values: upstream's steps."""

from __future__ import annotations

import torch
from torch import Tensor


def bit_probabilities(
    logits_V: Tensor, temperature: float = 1.0, top_k: int = 0, top_p: float = 1.0
) -> Tensor:
    """Probabilities a value is drawn with; the last axis has any number of values V.

    Temperature first, then top-k, then top-p, as upstream. Values tied with the k-th largest all
    stay. Top-p drops the least likely values whose probabilities add up to at most ``1 - top_p``,
    never the likeliest.

    Args:
        logits_V: (..., V) float.
        temperature: divides the logits; 0 is greedy (the same as ``top_k=1``).
        top_k: 0 is off.
        top_p: 0 and 1 are off.

    Returns:
        (..., V) float32, every row adding up to 1.
    """
    logits_V = logits_V.float()
    if temperature == 0:
        top_k = 1
    else:
        logits_V = logits_V * (1 / temperature)
    if 0 < top_k < logits_V.shape[-1]:
        kth = logits_V.topk(top_k, dim=-1).values[..., -1:]
        logits_V = logits_V.masked_fill(logits_V < kth, -torch.inf)
    if 0 < top_p < 1:
        ascending, order = logits_V.sort(dim=-1, stable=True)
        drop = ascending.softmax(dim=-1).cumsum(dim=-1) <= 1 - top_p
        drop[..., -1] = False
        logits_V = logits_V.masked_fill(drop.scatter(-1, order, drop), -torch.inf)
    return logits_V.softmax(dim=-1)
