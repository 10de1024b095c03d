"""The logits of one scale, and all that decides which kernels compute them.

Legend: B pictures, l tokens of a scale, D bits a token, T text tokens.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Self, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from infinity.generation.sampling import NO_GUIDANCE, guided_length
from infinity.model.cache import KVCache
from infinity.model.layers import Block, BlockCondition
from infinity.model.transformer import InfinityTransformer, TextCondition
from infinity.request import SamplingParams
from infinity.schedule import ScaleSchedule

TEXT_STEP = 64
"""Prompts are filled up to a multiple of so many tokens where few lengths should occur."""

Hooks = Mapping[int, Callable[[Tensor], Tensor]]
RunBlock = Callable[..., Tensor]
"""Takes a block, then what the block takes, and gives what the block gives."""


@dataclass(frozen=True)
class Plan:
    """All that decides which kernels a run's scales launch.

    Attributes:
        batch: B.
        guided: leading scales that have both halves.
        mixed: a scale: whether both halves' logits are needed.
        text_tokens: T of the condition; 0 where it is what it happens to be.
        pruning: the share of tokens that is left out at the last scales.
        in_fp8_from: the first scale whose products are taken in fp8.
    """

    schedule: ScaleSchedule
    batch: int
    guided: int
    mixed: tuple[bool, ...]
    text_tokens: int
    pruning: float
    in_fp8_from: int

    @classmethod
    def of(
        cls, schedule: ScaleSchedule, batch: int, sampling: SamplingParams, text_tokens: int
    ) -> Self:
        guided = guided_length(sampling, len(schedule))
        mixed = tuple(
            index < guided
            and sampling.at_scale(index)[0] != NO_GUIDANCE
            and 0 in sampling.guidance_layers
            for index in range(len(schedule))
        )
        in_fp8_from = len(schedule) - sampling.fp8_scales
        return cls(schedule, batch, guided, mixed, text_tokens, sampling.pruning, in_fp8_from)

    @property
    def rows(self) -> int:
        return 2 * self.batch if self.guided else self.batch


def scale_logits(
    transformer: InfinityTransformer,
    plan: Plan,
    cache: KVCache,
    index: int,
    condition: TextCondition,
    input_BlD: Tensor | None,
    hooks: Hooks | None = None,
    run_block: RunBlock = Block.__call__,
) -> Tensor:
    """One scale's logits as the model gives them: of 2B rows where ``plan.mixed``, else of B; (.., l, D, 2).

    Args:
        condition: of all rows, as the cache.
        hooks: as ``forward_scale`` takes them.
    """
    batch, is_guided = plan.batch, index < plan.guided
    if plan.guided and not is_guided:
        condition, cache = condition.select(slice(0, batch)), cache.first_rows(batch)
    if input_BlD is not None and is_guided:
        input_BlD = torch.cat((input_BlD, input_BlD))
    in_fp8 = index >= plan.in_fp8_from
    given = input_BlD, condition, cache, index, hooks, run_block, in_fp8
    hidden_RlC = transformer.forward_scale(*given)
    if is_guided and not plan.mixed[index]:
        hidden_RlC, condition = hidden_RlC[:batch], condition.select(slice(0, batch))
    return transformer.logits(hidden_RlC, condition)


def filled_up(
    conditions: Mapping[int, TextCondition], step: int = TEXT_STEP
) -> tuple[dict[int, TextCondition], int]:
    """Conditions with equally many text tokens, a multiple of ``step``, of which those beyond a prompt are not
    seen; and how many."""
    most = max(_keys(condition).shape[2] for condition in conditions.values())
    tokens = -(-most // step) * step
    return {scale: _filled_up(each, tokens) for scale, each in conditions.items()}, tokens


def _filled_up(condition: TextCondition, tokens: int) -> TextCondition:
    blocks = cast("tuple[BlockCondition, ...]", condition.blocks)
    keys, known = _keys(condition), blocks[0].mask
    present = keys.shape[2]
    mask = keys.new_full((len(keys), 1, 1, tokens), float("-inf"))
    mask[..., :present] = 0
    if known is not None and known.dtype == torch.bool:
        mask[..., :present].masked_fill_(~known, float("-inf"))
    elif known is not None:
        mask[..., :present] = known
    surplus = 0, 0, 0, tokens - present
    filled = (
        block._replace(
            keys=F.pad(block.keys, surplus), values=F.pad(block.values, surplus), mask=mask
        )
        for block in blocks
    )
    return replace(condition, blocks=tuple(filled))


def _keys(condition: TextCondition) -> Tensor:
    return cast("BlockCondition", condition.blocks[0]).keys
