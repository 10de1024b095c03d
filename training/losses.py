"""Training losses: two-way cross-entropy a bit (transformer) and picture reconstruction (tokenizer).

Legend: B batch, L tokens of all scales, D bits a token, H W picture size in pixels.
"""

from __future__ import annotations

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

    def accuracy_per_scale(self, schedule: ScaleSchedule) -> list[float]:
        """Share of right bits (0..1) at each scale."""
        return [
            self.correct_BLD[:, schedule.span(i)].float().mean().item()
            for i in range(len(schedule))
        ]


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


def reconstruction_loss(output_B3HW: Tensor, target_B3HW: Tensor) -> Tensor:
    """L1 + 0.5 L2 + 0.5 L1 of picture gradients + 0.5 L1 of 4x4 averages; pictures in [-1, 1]."""
    difference = output_B3HW.float() - target_B3HW.float()
    rows = difference[..., 1:, :] - difference[..., :-1, :]
    columns = difference[..., :, 1:] - difference[..., :, :-1]
    return (
        difference.abs().mean()
        + 0.5 * difference.square().mean()
        + 0.5 * (rows.abs().mean() + columns.abs().mean())
        + 0.5 * F.avg_pool2d(difference, 4).abs().mean()
    )


def psnr(output_B3HW: Tensor, target_B3HW: Tensor) -> float:
    """Mean peak signal-to-noise ratio in dB of pictures in [-1, 1]."""
    error_B = (output_B3HW.float() - target_B3HW.float()).square().mean((1, 2, 3)) / 4
    return (-10 * error_B.clamp_min(1e-10).log10()).mean().item()
