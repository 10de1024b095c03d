"""The transformer's loss: two-way cross-entropy a bit.

Legend: B batch, L tokens of all scales, D bits a token.
"""

import math
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from infinity.schedule import ScaleSchedule


@dataclass(frozen=True)
class BitLoss:
    """Loss of a batch.

    Attributes:
        loss: scalar to minimise: per-token losses weighted over the sequence, mean over the batch.
        per_token_BL: (B, L) cross-entropy of each token in nats, mean over its bits whatever the
            reduction; its mean is upstream's L_mean.
        correct_BLD: (B, L, D) bool, bits whose more likely value is the label.
    """

    loss: Tensor
    per_token_BL: Tensor
    correct_BLD: Tensor


def token_weights(schedule: ScaleSchedule, reweight: bool) -> Tensor:
    """(L,) float64 weights that sum to 1: equal, or falling with the square root of a scale's area.

    Parity: tests/parity, kind "transformer" (upstream section 6, the evident intent of its code).
    """
    weights = torch.ones(schedule.total_tokens, dtype=torch.float64)
    if reweight:
        for index, scale in enumerate(schedule):
            weights[schedule.span(index)] = math.sqrt(schedule[-1].tokens) / math.sqrt(scale.tokens)
    return weights / weights.sum()


def bit_loss(
    logits_BLD2: Tensor,
    labels_BLD: Tensor,
    schedule: ScaleSchedule,
    *,
    reweight: bool = True,
    reduction: Literal["mean", "sum"] = "mean",
) -> BitLoss:
    """Two-way cross-entropy of every bit (infinite-vocabulary classifier, paper section 3.3).

    Args:
        logits_BLD2: (B, L, D, 2) float.
        labels_BLD: (B, L, D) bool.
        reweight: weigh scales by 1 / sqrt(area), normalised, so that coarse scales count.
        reduction: over the bits of a token.
    """
    logits_BLD2 = logits_BLD2.float()
    gap_BLD = logits_BLD2[..., 1] - logits_BLD2[..., 0]
    signed_BLD = torch.where(labels_BLD, -gap_BLD, gap_BLD)
    per_bit_BLD = F.softplus(signed_BLD)
    per_token_BL = per_bit_BLD.mean(-1)
    reduced_BL = per_token_BL if reduction == "mean" else per_bit_BLD.sum(-1)
    weights_L = token_weights(schedule, reweight).to(per_token_BL.device)
    if not reweight:
        weights_L = weights_L.to(per_token_BL.dtype)
    loss = (reduced_BL * weights_L).sum(-1).mean()
    return BitLoss(loss, per_token_BL.detach(), signed_BLD.detach() < 0)
