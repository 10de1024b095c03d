"""The key/value cache of one generation: an object of its request, never state of the model.

Shapes: B batch, H heads, L tokens of all scales, l tokens of one scale, d head width.
"""

import torch
from torch import Tensor

from infinity.config import TransformerConfig
from infinity.model.rope import rope_table
from infinity.schedule import ScaleSchedule


class KVCache:
    """Keys and values of every block for all tokens of a schedule, allocated once.

    Args:
        schedule: what is to be generated; its rotary table is kept here too.
        batch: rows, with both halves of a guided batch counted.
    """

    def __init__(
        self,
        config: TransformerConfig,
        schedule: ScaleSchedule,
        batch: int,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> None:
        self.spans = [schedule.span(index) for index in range(len(schedule))]
        table = rope_table(schedule, config.head_width, config.rope, torch.device(device))
        self.ropes = [table[span] for span in self.spans]
        shape = (batch, config.num_heads, schedule.total_tokens, config.head_width)
        self._kept = torch.empty(config.depth, 2, *shape, dtype=dtype, device=device)

    @property
    def batch(self) -> int:
        return self._kept.shape[2]

    @property
    def nbytes(self) -> int:
        """Bytes of the keys and values of the rows in use."""
        return self._kept.nbytes

    def append(
        self, layer: int, index: int, keys_BHld: Tensor, values_BHld: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Stores one block's keys and values of scale ``index``.

        Returns:
            Keys and values of all tokens up to and including that scale: views (B, H, <= L, d).
        """
        span = self.spans[index]
        keys, values = self._kept[layer, 0], self._kept[layer, 1]
        keys[:, :, span] = keys_BHld
        values[:, :, span] = values_BHld
        return keys[:, :, : span.stop], values[:, :, : span.stop]

    def keep(self, batch: int) -> None:
        """Keeps the first ``batch`` rows only: guidance has ended, its other half is not needed."""
        self._kept = self._kept[:, :, :batch]
