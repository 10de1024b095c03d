"""Token pruning: at the last scales, where most tokens are, only the telling ones go through the blocks.

After FastVAR (Guo et al., 2025), training-free: the tokens nearest to their scale's mean change least from
scale to scale, so they take what the scale before had in their place.

Legend: B batch, l tokens of a scale, k of them kept, C width.
"""

import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from infinity.schedule import ScaleSchedule

PRUNED_SCALES = 2
"""How many scales are pruned, from the last: in all schedules they hold more than half of the tokens."""


class Pruning:
    """Which tokens are computed, and what takes the place of the others; an object of its request.

    Attributes:
        counts: tokens of each scale that are computed.

    Args:
        share: of a pruned scale's tokens that is left out, 0 to 1; 0 changes nothing.
    """

    def __init__(self, schedule: ScaleSchedule, share: float) -> None:
        self.schedule = schedule
        first = max(1, len(schedule) - PRUNED_SCALES)
        self.counts = [
            max(1, round(scale.tokens * (1 - share))) if index >= first else scale.tokens
            for index, scale in enumerate(schedule)
        ]
        self._earlier_BlC: Tensor | None = None

    def chosen(self, index: int, x_BlC: Tensor) -> Tensor | None:
        """(B, k) int64, ascending: the tokens farthest from the mean; None where all are computed."""
        count = self.counts[index]
        if count == x_BlC.shape[1]:
            return None
        distance_Bl = (x_BlC - x_BlC.mean(dim=1, keepdim=True)).square().sum(dim=-1)
        return distance_Bl.topk(count, dim=1).indices.sort(dim=1).values

    def refilled(self, index: int, hidden_BkC: Tensor, chosen_Bk: Tensor | None) -> Tensor:
        """The scale's whole hidden state (B, l, C)."""
        hidden_BlC = hidden_BkC
        if chosen_Bk is not None:
            assert self._earlier_BlC is not None, "the first scale is never pruned"
            then, now = self.schedule[index - 1], self.schedule[index]
            earlier = self._earlier_BlC[: len(hidden_BkC)]
            grid = rearrange(earlier, "B (y x) C -> B C y x", x=then.width)
            grid = F.interpolate(grid, (now.height, now.width), mode="bilinear")
            hidden_BlC = rearrange(grid, "B C y x -> B (y x) C").contiguous()
            hidden_BlC.scatter_(1, of_tokens(chosen_Bk, hidden_BkC), hidden_BkC)
        if (
            index + 1 < len(self.counts)
            and self.counts[index + 1] < self.schedule[index + 1].tokens
        ):
            self._earlier_BlC = hidden_BlC.clone()
        return hidden_BlC


def of_tokens(chosen_Bk: Tensor, x_BlC: Tensor) -> Tensor:
    """Indices of all channels of chosen tokens, for ``gather`` and ``scatter``."""
    return chosen_Bk[..., None].expand(-1, -1, x_BlC.shape[-1])
