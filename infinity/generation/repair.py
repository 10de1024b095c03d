"""Self-correction at inference: which bits of a picture are errors, as far as the model can tell.

Bayes' rule, scale by scale, the scales before put right already. Where a share s of a scale's bits are
errors, a bit to which the model gives the probability p is one with odds s (1 - p) : (1 - s) p. The share
that explains a scale's bits best is found first, so that no threshold is set by hand and a picture that
is as the model draws it stays. Finer scales were drawn to go with the right bit: where the odds are near
even, they are multiplied by how much likelier the finer bits are with the bit changed.

Legend: B pictures, l tokens of a scale, D bits a token, d y x a latent.
"""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from infinity.schedule import ScaleSchedule
from infinity.tokenizer.quantizer import latent_from_tokens, tokens_from_latent

Read = Callable[[Sequence[Tensor]], Sequence[Tensor]]
"""Bits of all scales, (B, l, D) bool -> log odds of a 1, of the same shapes, given the scales before."""

NEAR_EVEN = 4.0
"""Log odds, of either sign, below which finer scales are asked."""
_LEAST_SHARE = 1e-4
_HALVINGS = 20


def find_errors(
    index: int,
    bits: Sequence[Tensor],
    towards_one_BlD: Tensor,
    most_l1: Tensor,
    schedule: ScaleSchedule,
    patch: int,
    read: Read,
) -> Tensor:
    """(B, l, D) bool: which bits of scale ``index`` are errors.

    Args:
        bits: of all scales, (B, l, D) bool, those before ``index`` put right.
        towards_one_BlD: log odds of a 1 at this scale.
        most_l1: of each token, the largest share of errors to believe; below 0 it has none.
        patch: of the tokenizer.
        read: asked twice where some odds are near even.
    """
    there_BlD, may_change_l1 = bits[index], most_l1 >= 0
    against_BlD = torch.where(there_BlD, -towards_one_BlD, towards_one_BlD)
    share_B11 = share_of_errors((-against_BlD[:, may_change_l1[:, 0]]).sigmoid())
    odds_BlD = against_BlD + share_B11.minimum(most_l1.clamp(min=0)).logit()
    error_BlD = odds_BlD > 0
    open_BlD = odds_BlD.abs() < NEAR_EVEN
    if index == len(schedule) - 1 or not open_BlD.any():
        return error_BlD
    tried, other = list(bits), list(bits)
    tried[index] = there_BlD ^ error_BlD
    other[index] = tried[index] ^ open_BlD
    gain_Bdyx = torch.zeros(())
    for finer, (tried_BlD, other_BlD) in enumerate(zip(read(tried), read(other), strict=True)):
        if finer <= index:
            continue
        probabilities = [
            torch.where(bits[finer], each_BlD, -each_BlD).sigmoid()
            for each_BlD in (tried_BlD, other_BlD)
        ]
        share_B11 = share_of_errors(probabilities[0]).clamp(min=_LEAST_SHARE)
        before_BlD, after_BlD = (
            ((1 - share_B11) * p_BlD + share_B11 * (1 - p_BlD)).log() for p_BlD in probabilities
        )
        scale = schedule[finer]
        finer_Bdyx = latent_from_tokens(after_BlD - before_BlD, scale.height, scale.width, patch)
        mean_Bdyx = F.adaptive_avg_pool2d(finer_Bdyx, schedule.latent_size(index, patch))
        gain_Bdyx = gain_Bdyx + mean_Bdyx * (scale.tokens / schedule[index].tokens)
    return error_BlD ^ (open_BlD & (tokens_from_latent(gain_Bdyx, patch) > odds_BlD.abs()))


def share_of_errors(probability_BlD: Tensor) -> Tensor:
    """(B, 1, 1) float: which share of a picture's bits were flipped after they were drawn, 0 to 0.5.

    The maximum likelihood estimate: a bit that the model gives probability p is there with (1 - share) p
    + share (1 - p).

    Args:
        probability_BlD: (B, l, D) float, of the bits that are there.
    """
    low_B11 = probability_BlD.new_zeros(len(probability_BlD), 1, 1)
    high_B11 = low_B11 + 0.5
    against_BlD = 1 - 2 * probability_BlD
    for _ in range(_HALVINGS):
        share_B11 = (low_B11 + high_B11) / 2
        slope_BlD = against_BlD / (probability_BlD + share_B11 * against_BlD)
        is_more_B11 = slope_BlD.sum((1, 2), keepdim=True) > 0
        low_B11 = torch.where(is_more_B11, share_B11, low_B11)
        high_B11 = torch.where(is_more_B11, high_B11, share_B11)
    return low_B11
