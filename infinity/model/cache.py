"""Keys and values of the tokens so far, for the scales to come.

Shapes: B batch, H heads, L tokens, l tokens of one scale, S earlier tokens, d head width.
"""

from collections.abc import Callable
from copy import copy
from itertools import accumulate, pairwise
from typing import Self

import torch
from torch import Tensor

from infinity.config import TransformerConfig
from infinity.model.pruning import Pruning
from infinity.model.rope import rope_table
from infinity.schedule import ScaleSchedule

MOST = 127
"""Largest number of a cache of 8 bits."""
SMALLEST = 1e-12


class KVCache:
    """Keys and values of every block for all tokens that later scales see, allocated once.

    An object of its request, never state of the model. The last scale's are handed back and not kept: they
    are 4 of 10 tokens.

    Attributes:
        kept: (depth, 2, B, H, L, d): keys and values of the rows in use.
        scales: (depth, 2, B, H, L, 1): what to multiply ``kept`` with where it is int8; None where it is not.

    Args:
        schedule: what is to be generated; its rotary table is kept here too.
        batch: rows, with both halves of a guided batch counted.
        dtype: of what is handed back.
        in_int8: keep 8 bits a number, with a scale a head and token.
        pruning: the share of tokens that is left out at the last scales.
        allocate: makes the tensors, as ``torch.empty`` does.
    """

    def __init__(
        self,
        config: TransformerConfig,
        schedule: ScaleSchedule,
        batch: int,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
        *,
        in_int8: bool = False,
        pruning: float = 0.0,
        allocate: Callable[..., Tensor] = torch.empty,
    ) -> None:
        self.pruning = Pruning(schedule, pruning)
        table = rope_table(schedule, config.head_width, config.rope, torch.device(device))
        self.ropes = [table[schedule.span(index)] for index in range(len(schedule))]
        stops = list(accumulate(self.pruning.counts))
        self.spans = [slice(*ends) for ends in pairwise((0, *stops))]
        shape = (config.depth, 2, batch, config.num_heads, self.spans[-1].start)
        kind = torch.int8 if in_int8 else dtype
        self.kept = allocate(*shape, config.head_width, dtype=kind, device=device)
        self.scales = allocate(*shape, 1, dtype=dtype, device=device) if in_int8 else None

    def append(
        self, layer: int, index: int, keys_BHld: Tensor, values_BHld: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Takes one block's keys and values of scale ``index``; returns those of all tokens up to and
        including that scale, (B, H, <= L, d), that scale's own as they came."""
        span, new = self.spans[index], (keys_BHld, values_BHld)
        is_last = index == len(self.spans) - 1
        if not is_last:
            for part, tensor in enumerate(new):
                self._store(layer, part, span, tensor)
        if not span.start:
            return new
        if self.scales is None and not is_last:
            keys, values = self.kept[layer, :, :, :, : span.stop]
            return keys, values
        keys, values = (
            self._joined(layer, part, span.start, tensor) for part, tensor in enumerate(new)
        )
        return keys, values

    def first_rows(self, batch: int) -> Self:
        """The same memory without the rows from ``batch`` on: guidance has ended, its other half is not needed."""
        view = copy(self)
        view.kept = self.kept[:, :, :batch]
        view.scales = None if self.scales is None else self.scales[:, :, :batch]
        return view

    def _store(self, layer: int, part: int, span: slice, tensor_BHld: Tensor) -> None:
        kept_BHld = self.kept[layer, part, :, :, span]
        if self.scales is None:
            kept_BHld.copy_(tensor_BHld)
            return
        scales_BHl1 = self.scales[layer, part, :, :, span]
        precise_BHld = tensor_BHld.float()
        scales_BHl1.copy_(precise_BHld.abs().amax(-1, keepdim=True).clamp_min_(SMALLEST) / MOST)
        kept_BHld.copy_((precise_BHld / scales_BHl1).round_().clamp_(-MOST, MOST))

    def _joined(self, layer: int, part: int, start: int, tensor_BHld: Tensor) -> Tensor:
        """One part of the first ``start`` tokens and, behind them, the new ones."""
        kept_BHSd = self.kept[layer, part, :, :, :start]
        if self.scales is None:
            return torch.cat((kept_BHSd, tensor_BHld), dim=2)
        batch, heads, length, width = tensor_BHld.shape
        joined = tensor_BHld.new_empty(batch, heads, start + length, width)
        scales_BHS1 = self.scales[layer, part, :, :, :start]
        torch.mul(kept_BHSd, scales_BHS1, out=joined[:, :, :start])
        joined[:, :, start:] = tensor_BHld
        return joined
