"""The residual quantizer as tokenizer training sees it: straight-through, with its loss terms.

Bits and sums are those of ``infinity.tokenizer.quantizer``. Source: paper section 3.2 and the
tokenizer's release: a residual goes to the unit sphere, and gradients pass its signs unchanged.

The entropy term is that of binary spherical quantization, without ever writing out the 2^d codes. A
position's code is soft: softmax over all 2^d codes c of -t |z - c|^2. On the sphere that is a
product of d two-way choices, so its entropy is a sum of d terms (BSQ, arXiv 2406.07548, section 4).
The term pulls each position's entropy down (sure bits) and that of the mean code up (all bits
used). The mean code's is approximated by that of its d bits, as in the tokenizer's release.

Legend: B samples, S scales, d bits a latent, y x latent grid (of a scale).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor

from infinity.config import TokenizerConfig
from infinity.schedule import ScaleSchedule
from infinity.tokenizer.quantizer import codes_from_bits, quantize, resize_latent

INVERSE_TEMPERATURE = 100.0
"""t above (the release's setting)."""
SMALLEST_CHANCE = 1e-7


@dataclass(frozen=True)
class Quantized:
    """A slice's quantized features.

    Attributes:
        latent_Bdyx: the sum of the kept scales' codes; gradients reach the features.
        commitment_B: mean squared distance of unit residuals to their codes, kept scales' mean; of
            the features to the sum of all codes where gradients pass from the sum.
        code_entropy_B: see :func:`code_entropy`, kept scales' mean.
        mean_code_entropy: see :func:`mean_code_entropy`, mean over the scales.
    """

    latent_Bdyx: Tensor
    commitment_B: Tensor
    code_entropy_B: Tensor
    mean_code_entropy: Tensor

    def entropy_penalty_B(self, diversity: float) -> Tensor:
        """(B) the term to minimise, in nats over the inverse temperature, as the release has it."""
        return (self.code_entropy_B - diversity * self.mean_code_entropy) / INVERSE_TEMPERATURE


def draw_kept_scales(
    generators: Sequence[torch.Generator], scales: int, dropout: float, prefix: float
) -> Tensor:
    """(S, B) float32: 1 where a sample's scale is kept, 0 where it is left out.

    Each scale but the last is left out with the chance ``dropout``; later ones code what it would.
    With the chance ``prefix`` a sample's code ends at one of the scales before the last.
    """
    kept = torch.stack([torch.rand(scales, generator=g) >= dropout for g in generators], dim=1)
    for sample, generator in enumerate(generators):
        last = scales - 1
        if prefix and last and torch.rand((), generator=generator) < prefix:
            last = int(torch.randint(last, (), generator=generator))
        kept[last, sample] = True
        kept[last + 1 :, sample] = False
    return kept.float()


def straight_through(
    features_Bdyx: Tensor,
    config: TokenizerConfig,
    schedule: ScaleSchedule,
    kept_SB: Tensor | None = None,
    passed: Literal["scales", "sum"] = "scales",
) -> Quantized:
    """Quantize float32 features scale by scale.

    Args:
        passed: where gradients go: from every scale's code to its residual, or from the sum of all
            codes to the features.
    """
    total = whole = torch.zeros_like(features_Bdyx)
    size = (features_Bdyx.shape[2], features_Bdyx.shape[3])
    if kept_SB is None:
        kept_SB = features_Bdyx.new_ones(len(schedule), len(features_Bdyx))
    commitments, entropies, mean_entropies = [], [], []
    for index, kept_B in enumerate(kept_SB):
        residual = features_Bdyx - (total if passed == "scales" else whole)
        scale_size = schedule.latent_size(index, config.patch)
        if scale_size != size:
            residual = F.adaptive_avg_pool2d(residual, scale_size)
        unit = F.normalize(residual, dim=1)
        code = codes_from_bits(quantize(residual), config.bits, unit.dtype)
        commitments.append((unit - code).square().mean(dim=(1, 2, 3)))
        entropies.append(code_entropy(unit))
        mean_entropies.append(mean_code_entropy(unit))
        part = resize_latent(unit + (code - unit).detach() if passed == "scales" else code, size)
        total = total + part * kept_B[:, None, None, None]
        # Scales after the last that is kept are coded all the same.
        counted_B = kept_B.logical_or(kept_SB[index:].sum(dim=0) == 0)
        whole = whole + part.detach() * counted_B[:, None, None, None]
    weights_SB = kept_SB / kept_SB.sum(dim=0)
    commitment_B = (torch.stack(commitments) * weights_SB).sum(dim=0)
    if passed == "sum":
        total = features_Bdyx + (total - features_Bdyx).detach()
        commitment_B = (features_Bdyx - whole).square().mean(dim=(1, 2, 3))
    return Quantized(
        total,
        commitment_B,
        (torch.stack(entropies) * weights_SB).sum(dim=0),
        torch.stack(mean_entropies).mean(),
    )


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
