"""Keeping previews cheap: which size a preview may have, so that all of them together cost little.

Decoding every scale at its own size would cost more than the finished picture. So each preview gets
an equal part of what is left of the time allowed; what small scales leave over goes to later ones.
A scale whose own size is too dear is shown at the size of an earlier scale, or not at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

PREVIEW_SHARE = 0.15
"""Most of the generation time (model and final decoding) that previews may take."""
SMALLEST_STAND_IN = 64
"""Latent positions below which a picture is too small to stand in for a larger scale."""
START_UP_POSITIONS = 16
"""A first guess: a decoding has a fixed cost, worth this many latent positions."""


@dataclass
class DecodeCosts:
    """What decoding a latent of so many positions costs, learnt from every decoding of a model."""

    seconds: dict[int, float] = field(default_factory=dict)

    def observe(self, positions: int, seconds: float) -> None:
        """Note one decoding. The first of a size is slow (warm-up), so the fastest counts, slowly forgotten."""
        known = self.seconds.get(positions, seconds)
        self.seconds[positions] = min(seconds, known + 0.2 * (seconds - known))

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
    """Chooses previews of one request.

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
        self._pictures = pictures
        self._costs = costs
        self._expected_seconds = expected_seconds
        self._share = share
        self._model_seconds = 0.0
        self._model_seconds_likely = expected_seconds
        self.spent_seconds = 0.0

    def step(self, seconds: float, index: int) -> None:
        """The model has finished scale ``index`` in so many seconds."""
        self._model_seconds += seconds
        left = len(self._positions) - 1 - index
        # Later scales are larger, so each takes at least as long as this one.
        at_least = self._model_seconds + left * seconds
        self._model_seconds_likely = max(self._expected_seconds, at_least)

    def spend(self, seconds: float) -> None:
        self.spent_seconds += seconds

    def choose(self, index: int) -> int | None:
        """The scale at whose size the picture may be shown after scale ``index``; None: not at all."""
        total = self._model_seconds_likely + self._cost(len(self._positions) - 1)
        left = self._share * total - self.spent_seconds
        previews_left = max(1, len(self._positions) - 1 - index)
        affordable = (i for i in range(index, -1, -1) if self._cost(i) <= left / previews_left)
        size = next(affordable, None)
        if size is None or self._positions[size] == self._positions[index]:
            return size
        return size if self._positions[size] >= SMALLEST_STAND_IN else None

    def _cost(self, index: int) -> float:
        return self._costs.predict(self._pictures * self._positions[index])
