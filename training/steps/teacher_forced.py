"""The transformer as training calls it: whatever reads a weight happens inside one ``forward``.

So a sharded model gathers each part's weights when that part runs, and only then. The weights and
their names are those of :class:`InfinityTransformer`.

Shapes: B batch, L tokens of all scales, D bits a token, T text tokens, W text width.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from infinity.model.transformer import InfinityTransformer
from infinity.schedule import ScaleSchedule


class TeacherForced(InfinityTransformer):
    """Text and the inputs of all scales -> logits of all scales."""

    def forward(  # type: ignore[override]
        self,
        text: Sequence[Tensor],
        inputs_BLD: Tensor,
        schedule: ScaleSchedule,
        dropped: Sequence[bool] | None = None,
        branch_factors: Tensor | None = None,
    ) -> Tensor:
        """Logits (B, L, D, 2) float32.

        Args:
            text: (T, W) a sample.
            inputs_BLD: of all scales but the first.
            dropped: which samples see the learned "no prompt" of their text's length instead.
            branch_factors: (depth, 2, B, 1, 1) float32 of drop path, or None.
        """
        if dropped is not None:
            text = [
                self.unconditional_text(len(features)) if drop else features
                for features, drop in zip(text, dropped, strict=True)
            ]
        condition = self.share_text(text, branch_factors)
        return super().forward(inputs_BLD, condition, schedule)
