"""Classifier-free guidance: one pass over conditional and unconditional rows together.

Rows come as two halves, ``[conditional..., unconditional...]``. Guidance acts on the logits, or on
the hidden state after chosen blocks (paper, "guidance on features"), or both; each scale has its
own strength, and a strength of exactly 1 is none. Once no later scale is guided the unconditional
half has no further effect and is dropped, which changes no bit.

Legend: B pictures, 2B rows, l tokens of a scale, C width.
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from infinity.errors import RequestError
from infinity.request import SamplingParams

NO_GUIDANCE = 1.0


def guide(rows: Tensor, guidance: float) -> Tensor:
    """(2B, ...) logits or hidden states -> (B, ...): guidance * conditional + (1 - guidance) * unconditional."""
    conditional, unconditional = rows.chunk(2)
    return guidance * conditional + (1 - guidance) * unconditional


def guided_length(sampling: SamplingParams, num_scales: int) -> int:
    """How many leading scales need the unconditional half: up to the last scale guided; 0 is none."""
    return max(
        (i + 1 for i in range(num_scales) if sampling.at_scale(i)[0] != NO_GUIDANCE), default=0
    )


def block_guidance(
    sampling: SamplingParams, index: int, depth: int
) -> Mapping[int, Callable[[Tensor], Tensor]]:
    """What to do to the hidden state (2B, l, C) after which block, at scale ``index``.

    Both halves are replaced by their guided mix and go on with it.
    """
    guidance, _ = sampling.at_scale(index)
    if guidance == NO_GUIDANCE:
        return {}

    def mix(hidden_RlC: Tensor) -> Tensor:
        mixed_BlC = guide(hidden_RlC, guidance)
        return torch.cat((mixed_BlC, mixed_BlC))

    return {depth + layer: mix for layer in sampling.guidance_layers if layer < 0}


def check_layers(sampling: SamplingParams, depth: int) -> None:
    """Raises RequestError when a guidance layer is not one of the model's ``depth`` blocks."""
    lowest = min(sampling.guidance_layers, default=0)
    if lowest < -depth:
        raise RequestError(
            f"guidance layer {lowest} does not exist: this model has {depth} blocks, so use 0 "
            f"(the logits) or -1 to -{depth}."
        )
