"""The entropy term of binary spherical quantization, without ever writing out the 2^d codes.

A position's code is soft: softmax over all 2^d codes c of -t |z - c|^2. On the sphere that is a
product of d two-way choices, so its entropy is a sum of d terms (BSQ, arXiv 2406.07548, section 4).
The term pulls each position's entropy down (sure bits) and that of the mean code up (all bits
used). The mean code's is approximated by that of its d bits, as in the tokenizer's release.

Legend: B samples, d bits, y x latent grid of a scale.
"""

import math

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor

INVERSE_TEMPERATURE = 100.0
"""t above (the release's setting)."""
SMALLEST_CHANCE = 1e-7


def code_entropy(unit_Bdyx: Tensor) -> Tensor:
    """(B) entropy of a position's soft code in nats, mean over the positions.

    Args:
        unit_Bdyx: float32, of norm 1 over d.
    """
    logits = _logits(unit_Bdyx).abs()
    entropy = F.softplus(-logits) + logits * torch.sigmoid(-logits)
    return entropy.sum(dim=1).mean(dim=(1, 2))


def mean_code_entropy(unit_Bdyx: Tensor) -> Tensor:
    """Scalar entropy in nats of the mean soft code of all positions of all samples.

    The samples are those of the slice, of all processes: each must call this equally often.
    """
    chances_d = _joined_mean(torch.sigmoid(_logits(unit_Bdyx)).mean(dim=(2, 3)))
    chances_d = chances_d.clamp(SMALLEST_CHANCE, 1 - SMALLEST_CHANCE)
    return (torch.special.entr(chances_d) + torch.special.entr(1 - chances_d)).sum()


def _logits(unit_Bdyx: Tensor) -> Tensor:
    """Log odds of a bit to be set."""
    return unit_Bdyx * (4 * INVERSE_TEMPERATURE / math.sqrt(unit_Bdyx.shape[1]))


def _joined_mean(values_Bd: Tensor) -> Tensor:
    """(d) mean over the samples of all processes.

    Gradients reach this process's samples alone, as its part of the joined mean: weighted by
    samples over the processes, they add up to the gradient of the joined mean.
    """
    mean_d = values_Bd.mean(dim=0)
    if not (dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1):
        return mean_d
    joined = torch.cat((values_Bd.detach().sum(dim=0), mean_d.new_tensor([float(len(values_Bd))])))
    dist.all_reduce(joined)
    return mean_d + (joined[:-1] / joined[-1] - mean_d).detach()
