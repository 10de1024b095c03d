"""The bitwise autoregressive transformer: text and the bits so far -> logits of a scale's bits.

Two thin entries share the blocks: ``forward`` sees all scales at once (training, evaluation),
``forward_scale`` one scale at a time with a cache (generation).

Shapes: B batch, L tokens of all scales, l tokens of one scale, C width, D bits a token, H heads,
d head width, T text tokens, W text width.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Self, cast

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from infinity.config import TransformerConfig
from infinity.model.attention import attend, attend_scale_causally
from infinity.model.cache import KVCache
from infinity.model.fp8 import fp8_products
from infinity.model.layers import (
    NORM_EPS,
    Block,
    BlockCondition,
    FeedForward,
    SharedText,
    TextPooling,
    Watch,
    added,
    linear_float32,
    modulated_norm,
    modulations,
    token_chunks,
)
from infinity.model.pruning import of_tokens
from infinity.model.rope import rope_table
from infinity.schedule import ScaleSchedule


@dataclass(frozen=True)
class TextCondition:
    """All that depends on the prompts alone, computed once a request.

    Attributes:
        pooled_BC: float32, the text as one vector.
        head_modulation: (2, B, 1, C) float32: 1 + scale, shift.
        blocks: one a block: what it reads of the prompts or, for training, what all blocks share, of
            which each reads its part when it runs.
    """

    pooled_BC: Tensor
    head_modulation: Tensor
    blocks: tuple[BlockCondition | SharedText, ...]

    @property
    def batch(self) -> int:
        return len(self.pooled_BC)

    def select(self, rows: slice) -> Self:
        """The condition of some of the rows; not of a shared text."""
        blocks = cast("tuple[BlockCondition, ...]", self.blocks)
        selected = tuple(block.select(rows) for block in blocks)
        return type(self)(self.pooled_BC[rows], self.head_modulation[:, rows], selected)

    def watched(self, watch: Watch) -> Self:
        """The same, every block telling ``watch`` which words it looks at; not of a shared text."""
        blocks = cast("tuple[BlockCondition, ...]", self.blocks)
        return replace(self, blocks=tuple(block._replace(watch=watch) for block in blocks))


class InfinityTransformer(nn.Module):
    """The transformer of the paper (section 3), upstream checkpoint format.

    Weights are not initialised by the constructor (so the largest model builds at once on the meta
    device): load them, or call ``init_weights``. Compute dtype is that of the weights, or
    autocast's; residual stream, norms, modulation and head are float32 always.

    Attributes:
        int8_cache: whether its caches are to keep 8 bits a number.
    """

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        width = config.width
        self.config = config
        self.int8_cache = False
        self.unconditional = nn.Parameter(torch.empty(config.text_max_length, config.text_width))
        self.start = nn.Parameter(torch.empty(width))
        self.text_norm = nn.RMSNorm(config.text_width, eps=NORM_EPS)
        self.text_pooling = TextPooling(config)
        self.text_projection = FeedForward(config.text_width, width, width)
        self.token_embedding = nn.Linear(config.bits_per_token, width)
        self.scale_embedding = nn.Embedding(config.max_scales, width)
        self.modulation = nn.Linear(width, 6 * width)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.depth))
        self.head_modulation = nn.Linear(width, 2 * width)
        self.head = nn.Linear(width, 2 * config.bits_per_token)

    @property
    def device(self) -> torch.device:
        return self.start.device

    @property
    def compute_dtype(self) -> torch.dtype:
        """The precision of the blocks' matrix products, and so of a cache."""
        return next(self._blocks()).attention.query_bias.dtype

    def encode_text(
        self, text: Sequence[Tensor], weights: Sequence[Tensor | None] = ()
    ) -> TextCondition:
        """What the prompts alone decide. Differentiable.

        Args:
            text: a (T_b, W) tensor a prompt, T_b at least 1.
            weights: a (T_b) float tensor a prompt, how much its tokens count in every attention on the
                text, not all 0; None is 1 for all, () likewise for all prompts.
        """
        shared = self.share_text(text, weights=weights)
        texts = cast("tuple[SharedText, ...]", shared.blocks)
        parts = zip(self._blocks(), texts, strict=True)
        return replace(shared, blocks=tuple(block.condition(text) for block, text in parts))

    def share_text(
        self,
        text: Sequence[Tensor],
        branch_factors: Tensor | None = None,
        weights: Sequence[Tensor | None] = (),
    ) -> TextCondition:
        """``encode_text`` without the blocks' own parts, which they add when they run.

        Args:
            branch_factors: (depth, 2, B, 1, 1) float32, see SharedText.
        """
        lengths = [len(features) for features in text]
        padded = pad_sequence(list(text), batch_first=True).to(self.device)
        mask = None
        if min(lengths) != max(lengths):
            positions = torch.arange(max(lengths), device=self.device)
            mask = positions < torch.tensor(lengths, device=self.device)[:, None, None, None]
        if any(each is not None for each in weights):
            rows = [
                torch.ones(length) if each is None else each
                for length, each in zip(lengths, weights, strict=True)
            ]
            mask = pad_sequence(rows, batch_first=True).to(self.device).log()[:, None, None]
        norm = self.text_norm
        normed = F.rms_norm(padded.float(), norm.normalized_shape, norm.weight.float(), NORM_EPS)
        pooled = self.text_pooling(normed, mask)
        activated = F.silu(pooled)
        modulation = modulations(self.modulation, activated, [0, 0, 1, 1, 0, 0])
        head = modulations(self.head_modulation, activated, [1, 0])
        shared = SharedText(modulation, self.text_projection(normed), mask)
        factors = [None] * len(self.blocks) if branch_factors is None else branch_factors.unbind()
        blocks = tuple(shared._replace(branch_factors=factor) for factor in factors)
        return TextCondition(pooled, head, blocks)

    def unconditional_text(self, length: int) -> Tensor:
        """The learned text of "no prompt", (length, W), of at most ``text_max_length`` tokens."""
        return self.unconditional[:length]

    def forward(
        self, inputs_BLD: Tensor, condition: TextCondition, schedule: ScaleSchedule
    ) -> Tensor:
        """All scales at once; each token sees its own and earlier scales.

        Args:
            inputs_BLD: inputs of all scales but the first (which has none), float.
            condition: of the same batch.
            schedule: at most ``max_scales`` scales.

        Returns:
            Logits (B, L, D, 2) float32.
        """
        spans = tuple(schedule.span(index) for index in range(len(schedule)))
        x = torch.cat((self._first(condition), self._embedded(inputs_BLD)), dim=1)
        scale_embedding = self.scale_embedding.weight[_scale_indices(schedule, self.device)]
        table = rope_table(schedule, self.config.head_width, self.config.rope, self.device)
        self_attend = partial(attend_scale_causally, spans=spans)
        for index, block in enumerate(self._blocks()):
            if self._adds_scale_embedding(index):
                x = added(x, scale_embedding)
            x = block(x, condition.blocks[index], table, self_attend)
        return self.logits(x, condition)

    def forward_scale(
        self,
        inputs_BlD: Tensor | None,
        condition: TextCondition,
        cache: KVCache,
        index: int,
        after_block: Mapping[int, Callable[[Tensor], Tensor]] | None = None,
        run_block: Callable[..., Tensor] = Block.__call__,
        in_fp8: bool = False,
    ) -> Tensor:
        """One scale, after all earlier ones went through the same cache.

        Args:
            inputs_BlD: the scale's inputs; None for the first scale.
            condition: of the cache's batch.
            cache: made for this schedule; gains the scale's keys and values.
            index: of the scale.
            after_block: block index -> function (B, l, C) -> (B, l, C) on that block's output.
            run_block: takes a block and what it takes, and gives what it gives.
            in_fp8: the blocks multiply in fp8, where the device does, and are run as they are.

        Returns:
            Hidden state (B, l, C) float32, for ``logits``.
        """
        x = self._first(condition) if inputs_BlD is None else self._embedded(inputs_BlD)
        scale_embedding = self.scale_embedding.weight[index].float()
        rope, chosen_Bk = cache.ropes[index], cache.pruning.chosen(index, x)
        if chosen_Bk is not None:
            x, rope = x.gather(1, of_tokens(chosen_Bk, x)), rope[chosen_Bk]
        for layer, block in enumerate(self._blocks()):
            if self._adds_scale_embedding(layer):
                x = added(x, scale_embedding)

            def self_attend(q: Tensor, k: Tensor, v: Tensor, layer: int = layer) -> Tensor:
                return attend(q, *cache.append(layer, index, k, v))

            with fp8_products(x.device, asked=in_fp8):
                run = Block.__call__ if in_fp8 else run_block
                x = run(block, x, condition.blocks[layer], rope, self_attend)
            if after_block and layer in after_block:
                x = after_block[layer](x)
        return cache.pruning.refilled(index, x, chosen_Bk)

    def cache(
        self,
        schedule: ScaleSchedule,
        rows: int,
        pruning: float = 0.0,
        allocate: Callable[..., Tensor] = torch.empty,
    ) -> KVCache:
        """An empty cache for :meth:`forward_scale`."""
        arguments = self.config, schedule, rows, self.compute_dtype, self.device
        options = {"in_int8": self.int8_cache, "pruning": pruning}
        return KVCache(*arguments, **options, allocate=allocate)

    def logits(self, hidden_BlC: Tensor, condition: TextCondition) -> Tensor:
        """(B, l, D, 2) float32: for every bit, logits of False and True."""
        factor, shift = condition.head_modulation.unbind()
        parts = [
            linear_float32(self.head, modulated_norm(part, factor, shift))
            for part in token_chunks(hidden_BlC.float(), self.config.width)
        ]
        return rearrange(torch.cat(parts, dim=1), "B l (D two) -> B l D two", two=2)

    @torch.no_grad()
    def init_weights(self, generator: torch.Generator) -> None:
        """Upstream's initial weights, drawn from ``generator`` (of the weights' device)."""
        std = math.sqrt(1 / (3 * self.config.width))
        normal = partial(nn.init.trunc_normal_, std=std, generator=generator)
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                normal(module.weight)
            if isinstance(module, nn.Linear) and module.bias is not None:
                nn.init.zeros_(module.bias)
        normal(self.start)
        self.text_norm.reset_parameters()
        normal(self.text_pooling.query)
        nn.init.zeros_(self.text_pooling.value_bias)
        nn.init.trunc_normal_(self.unconditional, std=1.2, generator=generator)
        self.unconditional.div_(math.sqrt(self.config.text_width))
        self.head.weight.mul_(0.02)
        self.head_modulation.weight.mul_(1e-3)
        for block in self._blocks():
            block.init_weights(generator, self.config.depth)

    def _blocks(self) -> Iterator[Block]:
        return cast("Iterator[Block]", iter(self.blocks))

    def _first(self, condition: TextCondition) -> Tensor:
        """The first scale's one token, (B, 1, C) float32; a new tensor."""
        return (condition.pooled_BC + self.start.float()).unsqueeze(1)

    def _embedded(self, inputs_BLD: Tensor) -> Tensor:
        weight = self.token_embedding.weight
        return self.token_embedding(inputs_BLD.to(weight.dtype)).float()

    def _adds_scale_embedding(self, layer: int) -> bool:
        interval = self.config.level_embedding_interval
        return layer % interval == 0 if interval else layer == 0


@lru_cache(maxsize=32)
def _scale_indices(schedule: ScaleSchedule, device: torch.device) -> Tensor:
    """(L) which scale each token belongs to."""
    with torch.inference_mode(False):
        counts = torch.tensor([scale.tokens for scale in schedule], device=device)
        return torch.arange(len(schedule), device=device).repeat_interleave(counts)
