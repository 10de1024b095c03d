"""What becomes of drawn bits where a picture begins from others (the rule of ``infinity.start``).

Legend: B pictures, l tokens of a scale, D bits a token, h w a token grid.
"""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from infinity.config import TokenizerConfig
from infinity.errors import RequestError
from infinity.generation.generate import Revise
from infinity.generation.repair import Read, find_errors
from infinity.packing import unpack_bits, unpack_region
from infinity.schedule import Scale, ScaleSchedule
from infinity.start import Start

_NEVER = -1.0


class Revision:
    """What a start makes of the drawn bits of one picture, scale by scale.

    Raises:
        RequestError: bits of another model or aspect ratio, more scales to keep than there are, or a damaged
            region.
    """

    def __init__(self, start: Start, schedule: ScaleSchedule, config: TokenizerConfig) -> None:
        bits_per_token = config.bits_per_token
        if start.keep_scales > len(schedule):
            raise RequestError(
                f"{start.keep_scales} scales cannot stay: this picture has {len(schedule)}; give 0 to "
                f"{len(schedule)}."
            )
        self.start = start
        self.schedule, self.patch = schedule, config.patch
        self.source = unpack_bits(start.bits, schedule, bits_per_token)
        finer = start.finer_bits
        self.finer = unpack_bits(finer, schedule, bits_per_token) if finer else None
        region = unpack_region(start.region) if start.region else np.ones((1, 1), dtype=bool)
        self.thresholds = [
            thresholds(region, scale, schedule[-1], start.softness).clamp(max=start.doubt)
            if index >= start.keep_scales
            else torch.full((scale.tokens,), _NEVER)
            for index, scale in enumerate(schedule)
        ]

    def hook(self, source: Sequence[Tensor], read: Read) -> Revise:
        """The rule applied to the bits of ``source``, per scale (l, D) bool.

        Args:
            read: what the model thinks of bits; asked by repairs.
        """
        right: list[Tensor] = []

        def revise(index: int, drawn_BlD: Tensor, logits_BlD2: Tensor) -> Tensor:
            device = drawn_BlD.device
            there_BlD = source[index].to(device).expand_as(drawn_BlD)
            threshold_l1 = self.thresholds[index].to(device)[:, None]
            towards_one_BlD = logits_BlD2[..., 1].float() - logits_BlD2[..., 0].float()
            if self.finer is not None:
                drawn_BlD = self.finer[index].to(device).expand_as(drawn_BlD)
            elif self.start.doubt < 1:
                rest = [bits.to(device).expand(len(there_BlD), -1, -1) for bits in source[index:]]
                thought = [*right, *rest], towards_one_BlD, threshold_l1
                error_BlD = find_errors(index, *thought, self.schedule, self.patch, read)
                right.append(there_BlD ^ error_BlD)
                return right[-1]
            probability_BlD = torch.where(there_BlD, towards_one_BlD, -towards_one_BlD).sigmoid()
            return torch.where(probability_BlD <= threshold_l1, drawn_BlD, there_BlD)

        return revise

    def notes(self, bits: Sequence[Tensor]) -> tuple[str, ...]:
        """What a repair changed in each picture, for people; nothing for other starts.

        Args:
            bits: of all scales, (B, l, D) bool.
        """
        if self.start.doubt == 1:
            return ()
        changed_SB = torch.stack(
            [
                (after.cpu() != before).sum((1, 2))
                for before, after in zip(self.source, bits, strict=True)
            ]
        )
        total = sum(before.numel() for before in self.source)
        return tuple(
            f"{sum(by_scale):,} of {total:,} bits were put right; by scale: "
            f"{', '.join(f'{count:,}' for count in by_scale)}."
            for by_scale in changed_SB.T.tolist()
        )


def thresholds(region_hw: np.ndarray, scale: Scale, last: Scale, softness: int) -> Tensor:
    """(l) float32 of a scale's tokens: 1 inside the region, below 0 outside, between on a soft edge.

    A token is inside where the region is at the token's center.

    Args:
        region_hw: bool, of any size.
        last: the scale whose tokens ``softness`` counts.
    """
    inside_hw = torch.from_numpy(_at_centers(region_hw, scale))
    outside_hw = ~torch.from_numpy(_at_centers(region_hw, last))
    depth_hw = torch.ones(outside_hw.shape)
    for _ in range(softness):
        outside_hw = F.max_pool2d(outside_hw[None].float(), 3, stride=1, padding=1)[0] > 0
        depth_hw += ~outside_hw
    soft_hw = torch.from_numpy(_at_centers((depth_hw / (softness + 1)).numpy(), scale))
    return torch.where(inside_hw, soft_hw, _NEVER).flatten()


def _at_centers(values_hw: np.ndarray, scale: Scale) -> np.ndarray:
    """The values at the centers of a scale's tokens."""
    rows, columns = (
        ((np.arange(tokens) + 0.5) * size / tokens).astype(int)
        for tokens, size in zip((scale.height, scale.width), values_hw.shape, strict=True)
    )
    return values_hw[np.ix_(rows, columns)]
