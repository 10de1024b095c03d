"""Keeping previews cheap: which size a preview may have, so that all of them together cost little.

Decoding every scale at its own size would cost more than the finished picture. So before each
preview the time still allowed is shared out over all that are to come: each may have its scale's
own size, that of an earlier scale (it stands in), or be left out, whichever gives most for the time.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

PREVIEW_SHARE = 0.13
"""Part of the generation time (model and final decoding) planned for previews. The promise is 15%;
the rest is kept in hand, as times vary."""
WORTH_OF_ANY = 0.1
"""What it is worth to show something at all; a picture of full size is worth 1 more."""
SMALLEST_STAND_IN = 36
"""Latent positions below which a picture is too coarse to stand in for a larger scale."""
START_UP_POSITIONS = 16
"""A first guess: a decoding has a fixed cost, worth this many latent positions."""
FORGETTING = 0.2
PRICE_STEPS = 12


def faster(known: float | None, seconds: float) -> float:
    """Best time so far, slowly forgotten: the first run is slow, and others may use the machine."""
    return seconds if known is None else min(seconds, known + FORGETTING * (seconds - known))


@dataclass
class DecodeCosts:
    """What decoding a latent of so many positions costs, learnt from every decoding of a model."""

    seconds: dict[int, float] = field(default_factory=dict)

    def observe(self, positions: int, seconds: float) -> None:
        self.seconds[positions] = faster(self.seconds.get(positions), seconds)

    def predict(self, positions: int) -> float:
        """Seconds a decoding is likely to take; 0 while nothing is known."""
        known = dict(self.seconds)
        if not known:
            return 0.0
        if positions in known:
            return known[positions]
        below = max((size for size in known if size < positions), default=None)
        above = min((size for size in known if size > positions), default=None)
        if below is None or above is None:
            near = below or above or positions
            fixed = START_UP_POSITIONS
            return known[near] * (fixed + positions) / (fixed + near)
        part = (positions - below) / (above - below)
        return known[below] + part * (known[above] - known[below])


class PreviewBudget:
    """Chooses the previews of one request.

    Args:
        positions: latent positions of every scale.
        pictures: how many are decoded, together, each time.
        costs: of the model's decoder.
        expected_seconds: of the model for the whole request, where a like request was timed.
        share: of the generation time that previews may take.
    """

    def __init__(
        self,
        positions: Sequence[int],
        pictures: int,
        costs: DecodeCosts,
        expected_seconds: float = 0.0,
        share: float = PREVIEW_SHARE,
    ) -> None:
        self._positions = tuple(positions)
        self._worth = [WORTH_OF_ANY + math.sqrt(size / positions[-1]) for size in positions]
        self._pictures = pictures
        self._costs = costs
        self._expected_seconds = expected_seconds
        self._share = share
        self._model_seconds = 0.0
        self._likely_seconds = expected_seconds
        self.spent_seconds = 0.0

    def step(self, seconds: float, index: int) -> None:
        """The model has finished scale ``index`` in so many seconds."""
        self._model_seconds += seconds
        left = len(self._positions) - 1 - index
        # Later scales are larger, so each takes at least as long as this one.
        at_least = self._model_seconds + left * seconds
        self._likely_seconds = max(self._expected_seconds, at_least)

    def spend(self, seconds: float) -> None:
        self.spent_seconds += seconds

    def choose(self, index: int) -> int | None:
        """The scale at whose size the picture may be shown after scale ``index``; None: not at all.

        A price a second is sought at which all previews to come, each taking what is worth most
        above its price, cost what is left.
        """
        costs = [self._costs.predict(self._pictures * size) for size in self._positions]
        left = self._share * (self._likely_seconds + costs[-1]) - self.spent_seconds
        if costs[0] > left:
            return None
        to_come = range(index, len(self._positions) - 1)
        if sum(costs[i] for i in to_come) <= left:
            return index
        low, high = 0.0, self._worth[-1] / max(costs[0], 1e-9)
        sizes: list[int | None] = []
        for _ in range(PRICE_STEPS):
            price = math.sqrt(low * high) if low else high / 2**PRICE_STEPS
            tried = [self._best_size(i, costs, price) for i in to_come]
            if _total(tried, costs) <= left:
                high, sizes = price, tried
            else:
                low = price
        return sizes[0] if sizes else None

    def _best_size(self, index: int, costs: Sequence[float], price: float) -> int | None:
        """What is worth most above its price, if anything is."""
        least = min(self._positions[index], SMALLEST_STAND_IN)
        gains = {
            size: self._worth[size] - price * costs[size]
            for size in range(index + 1)
            if self._positions[size] >= least
        }
        best = max(gains, key=gains.__getitem__)
        return best if gains[best] > 0 else None


def _total(sizes: Sequence[int | None], costs: Sequence[float]) -> float:
    return sum(costs[size] for size in sizes if size is not None)
