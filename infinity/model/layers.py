"""The transformer's layers.

Shapes: B batch, L tokens, C width, H heads, d head width, T text tokens, W text width,
P pooling heads.

The compute dtype is read off biases: weights may be kept in 8 bits (``infinity.quantized``).
"""

import math
from collections.abc import Callable
from functools import partial
from typing import NamedTuple, Self

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from infinity.config import TransformerConfig
from infinity.model.attention import attend, attention_weights, is_whole, unit_rotated

NORM_EPS = 1e-6
MAX_LOG_SCALE = math.log(100.0)
ACTIVATIONS_AT_ONCE = 2**22
"""Most activations of a wide intermediate result held at once while generating."""

SelfAttend = Callable[[Tensor, Tensor, Tensor], Tensor]
"""q, k, v (B, H, L, d) -> attention (B, H, L, d): cached or scale-causal."""


Watch = Callable[[Tensor], None]
"""Is given a block's attention (B, l, T) float32 on the text, averaged over heads."""


class BlockCondition(NamedTuple):
    """What one block needs of the prompt.

    Attributes:
        modulation: (6, B, 1, C) float32: gamma1, gamma2, 1 + scale1, 1 + scale2, shift1, shift2.
        keys, values: (B, H, T, d), the text as cross-attention sees it.
        mask: (B, 1, 1, T) bool, True at real tokens, or float32, the logarithm of their weights (0 beyond the
            prompt); None where all prompts are equally long and nothing is weighted.
        watch: None where nobody asks.
    """

    modulation: Tensor
    keys: Tensor
    values: Tensor
    mask: Tensor | None
    watch: Watch | None = None

    def select(self, rows: slice) -> Self:
        """The condition of some of the rows."""
        mask = None if self.mask is None else self.mask[rows]
        keys, values = self.keys[rows], self.values[rows]
        return type(self)(self.modulation[:, rows], keys, values, mask, self.watch)


class SharedText(NamedTuple):
    """What all blocks share of the prompts, before a block has read its own part of it.

    Attributes:
        modulation: (6, B, 1, C) float32, as in BlockCondition, less the block's own.
        projected: (B, T, C), the text that a block makes keys and values of.
        mask: as in BlockCondition.
        branch_factors: (2, B, 1, 1) float32 on the self-attention and feed-forward branches, or
            None: 1. Drop path sets them in training.
    """

    modulation: Tensor
    projected: Tensor
    mask: Tensor | None
    branch_factors: Tensor | None = None


def joined_bias(*parts: Tensor | None) -> Tensor:
    """One bias of equally long parts; None stands for zeros (keys have no bias)."""
    known = next(part for part in parts if part is not None)
    return torch.cat([torch.zeros_like(known) if part is None else part for part in parts])


def modulated_norm(
    x_BLC: Tensor, factor_B1C: Tensor, shift_B1C: Tensor, dtype: torch.dtype = torch.float32
) -> Tensor:
    """Layer norm of float32 x without weights, times ``factor`` plus ``shift``, in ``dtype``.

    Without gradients, on a CPU, the modulation serves as the norm's own weight and bias, sample by sample.
    """
    shape = x_BLC.shape[-1:]
    if is_whole(x_BLC):
        normed = F.layer_norm(x_BLC, shape, eps=NORM_EPS)
        return torch.addcmul(shift_B1C, normed, factor_B1C).to(dtype)
    output = torch.empty_like(x_BLC, dtype=dtype)
    for row, x_LC in enumerate(x_BLC):
        output[row] = F.layer_norm(x_LC, shape, factor_B1C[row, 0], shift_B1C[row, 0], NORM_EPS)
    return output


def token_chunks(x_BLC: Tensor, width: int) -> tuple[Tensor, ...]:
    """x along its tokens in parts, so that ``width`` activations a token are not too many."""
    if is_whole(x_BLC):
        return (x_BLC,)
    tokens = max(1, ACTIVATIONS_AT_ONCE // (len(x_BLC) * width))
    return x_BLC.split(tokens, dim=1)


def linear_float32(layer: nn.Linear, x: Tensor) -> Tensor:
    """``layer`` in float32, whatever the dtype of its weights and of autocast."""
    with torch.autocast(x.device.type, enabled=False):
        bias = None if layer.bias is None else layer.bias.float()
        return F.linear(x.float(), layer.weight.float(), bias)


def modulations(layer: nn.Linear, text_BC: Tensor, added: list[int]) -> Tensor:
    """``layer``'s output in float32 as (n, B, 1, C), with ``added`` to its n parts."""
    parts = rearrange(linear_float32(layer, text_BC), "B (n C) -> n B 1 C", n=len(added))
    return parts + torch.tensor(added, device=parts.device).view(-1, 1, 1, 1)


def added(x: Tensor, branch: Tensor, gamma: Tensor | None = None) -> Tensor:
    """float32 x + gamma * branch; in place without gradients."""
    if torch.is_grad_enabled() or torch.compiler.is_compiling():
        return x + branch if gamma is None else torch.addcmul(x, branch.float(), gamma)
    return x.add_(branch) if gamma is None else x.addcmul_(branch.float(), gamma)


def bf16_rounded(x: Tensor, rounds: bool) -> Tensor:
    """x with the precision of bfloat16 where ``rounds``, its dtype kept."""
    return x.bfloat16().to(x.dtype) if rounds else x


class BiasedLinear(nn.Linear):
    """A linear layer whose bias its owner puts together. Being called, it can be wrapped."""

    def __init__(self, in_width: int, out_width: int) -> None:
        super().__init__(in_width, out_width, bias=False)

    def forward(self, input: Tensor, bias: Tensor) -> Tensor:  # pyrefly: ignore[bad-override]
        return F.linear(input, self.weight, bias)


class FeedForward(nn.Module):
    """Linear, GELU (tanh form), Linear."""

    def __init__(self, in_width: int, hidden_width: int, out_width: int) -> None:
        super().__init__()
        self.up = nn.Linear(in_width, hidden_width)
        self.down = nn.Linear(hidden_width, out_width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, L, in_width) -> (B, L, out_width), in the biases' dtype."""
        parts = [
            self.down(F.gelu(self.up(part.to(self.up.bias.dtype)), approximate="tanh"))
            for part in token_chunks(x, self.up.out_features)
        ]
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)


class SelfAttention(nn.Module):
    """Attention among picture tokens: unit queries and keys, a learned sharpness a head."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        width = config.width
        self.qkv = BiasedLinear(width, 3 * width)
        self.query_bias = nn.Parameter(torch.empty(width))
        self.value_bias = nn.Parameter(torch.empty(width))
        self.log_scale = nn.Parameter(torch.empty(config.num_heads))
        self.output = nn.Linear(width, width)

    def queries_keys_values(self, x_BLC: Tensor, rope: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, H, L, d) each, queries and keys turned; ``rope`` as ``unit_rotated`` takes it."""
        bias = joined_bias(self.query_bias, None, self.value_bias)
        qkv = self.qkv(x_BLC.to(self.query_bias.dtype), bias)
        qkv = rearrange(qkv, "B L (n H d) -> B L n H d", n=3, H=len(self.log_scale))
        sharpness = self.log_scale.float().clamp(max=MAX_LOG_SCALE).exp()
        lengths = torch.stack((sharpness, torch.ones_like(sharpness))).unsqueeze(-1)
        return unit_rotated(qkv, lengths, rope)

    def forward(self, attended_BHLd: Tensor) -> Tensor:
        """(B, L, C) of what the queries found."""
        return self.output(rearrange(attended_BHLd, "B H L d -> B L (H d)"))


class CrossAttention(nn.Module):
    """Attention from picture tokens to the text."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        width = config.width
        self.num_heads = config.num_heads
        self.rounded = partial(bf16_rounded, rounds=config.bf16_cross_attention)
        self.query = nn.Linear(width, width)
        self.key_value = BiasedLinear(width, 2 * width)
        self.value_bias = nn.Parameter(torch.empty(width))
        self.output = nn.Linear(width, width)

    def keys_values(self, text_BTC: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values (B, H, T, d) of a text; they hold for every scale of a request."""
        text_BTC = text_BTC.to(self.value_bias.dtype)
        kv = self.key_value(text_BTC, joined_bias(None, self.value_bias))
        keys, values = rearrange(kv, "B T (n H d) -> n B H T d", n=2, H=self.num_heads).unbind()
        return self.rounded(keys), self.rounded(values)

    def forward(self, x_BLC: Tensor, condition: BlockCondition) -> Tensor:
        q = self.rounded(self.query(x_BLC.to(self.query.bias.dtype)))
        q = rearrange(q, "B L (H d) -> B H L d", H=self.num_heads)
        scale = q.shape[-1] ** -0.5
        if condition.watch is not None:
            weights = attention_weights(q, condition.keys, scale=scale, mask=condition.mask)
            condition.watch(weights.mean(dim=1))
        out = attend(q, condition.keys, condition.values, scale=scale, mask=condition.mask)
        return self.output(rearrange(self.rounded(out), "B H L d -> B L (H d)"))


class Block(nn.Module):
    """Self-attention, cross-attention, feed-forward; the first and last modulated by the prompt."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.modulation = nn.Parameter(torch.empty(6, config.width))
        self.attention = SelfAttention(config)
        self.cross_norm = nn.LayerNorm(config.width, eps=NORM_EPS)
        self.cross_attention = CrossAttention(config)
        self.feed_forward = FeedForward(config.width, config.feed_forward_width, config.width)

    def condition(self, text: SharedText) -> BlockCondition:
        """What this block makes of the prompts."""
        modulation = self.modulation.float()[:, None, None] + text.modulation
        if text.branch_factors is not None:
            modulation = torch.cat((modulation[:2] * text.branch_factors, modulation[2:]))
        keys, values = self.cross_attention.keys_values(text.projected)
        return BlockCondition(modulation, keys, values, text.mask)

    def forward(
        self,
        x_BLC: Tensor,
        condition: BlockCondition | SharedText,
        rope_Lp: Tensor,
        self_attend: SelfAttend,
    ) -> Tensor:
        """x float32 -> float32. Without gradients x is changed in place.

        Given the shared text, the block reads its part of it here, so that all use of its weights
        happens in one call.
        """
        if isinstance(condition, SharedText):
            condition = self.condition(condition)
        attended_BHLd = self_attend(*self.begin(x_BLC, condition, rope_Lp))
        return self.finish(x_BLC, condition, attended_BHLd)

    def begin(
        self, x_BLC: Tensor, condition: BlockCondition, rope: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The part before the self-attention: its queries, keys and values (B, H, L, d)."""
        _, _, factor, _, shift, _ = condition.modulation.unbind()
        normed = modulated_norm(x_BLC, factor, shift, self.attention.query_bias.dtype)
        return self.attention.queries_keys_values(normed, rope)

    def finish(self, x_BLC: Tensor, condition: BlockCondition, attended_BHLd: Tensor) -> Tensor:
        """The part behind it."""
        gamma1, gamma2, _, factor2, _, shift2 = condition.modulation.unbind()
        x = added(x_BLC, self.attention(attended_BHLd), gamma1)
        norm = self.cross_norm
        weight, bias = norm.weight.float(), norm.bias.float()
        normed = F.layer_norm(x, norm.normalized_shape, weight, bias, norm.eps)
        x = added(x, self.cross_attention(normed, condition))
        normed = modulated_norm(x, factor2, shift2, self.attention.query_bias.dtype)
        return added(x, self.feed_forward(normed), gamma2)

    def init_weights(self, generator: torch.Generator, depth: int) -> None:
        """All but plain linear weights and biases, which the transformer has drawn already."""
        attention, cross_attention = self.attention, self.cross_attention
        self.modulation.normal_(std=self.modulation.shape[-1] ** -0.5, generator=generator)
        self.modulation[:2].mul_(5e-6)
        self.modulation[2:].mul_(1e-3)
        self.cross_norm.reset_parameters()
        nn.init.constant_(attention.log_scale, math.log(4.0))
        for bias in (attention.query_bias, attention.value_bias, cross_attention.value_bias):
            nn.init.zeros_(bias)
        for layer in (attention.output, cross_attention.output, self.feed_forward.down):
            layer.weight.div_(math.sqrt(2 * depth))


class TextPooling(nn.Module):
    """The text as one vector: one learned query a head."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        width, heads = config.width, config.pool_heads
        self.rounded = partial(bf16_rounded, rounds=config.bf16_cross_attention)
        self.query = nn.Parameter(torch.empty(heads, width // heads))
        self.key_value = BiasedLinear(config.text_width, 2 * width)
        self.value_bias = nn.Parameter(torch.empty(width))
        self.output = nn.Linear(width, width)

    def forward(self, text_BTW: Tensor, mask_B11T: Tensor | None) -> Tensor:
        """(B, T, W) -> (B, C) float32."""
        text_BTW = text_BTW.to(self.value_bias.dtype)
        kv = self.key_value(text_BTW, joined_bias(None, self.value_bias))
        k, v = rearrange(kv, "B T (n P d) -> n B P T d", n=2, P=len(self.query)).unbind()
        q = self.query.to(k.dtype).expand(len(k), -1, -1).unsqueeze(2)
        q, k, v = map(self.rounded, (q, k, v))
        out = self.rounded(attend(q, k, v, scale=q.shape[-1] ** -0.5, mask=mask_B11T))
        return self.output(rearrange(out, "B P 1 d -> B (P d)")).float()
