"""Frozen, validated configurations. One path in from a dict; unknown keys are errors that help."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, Self

from infinity.errors import CheckpointError, quoted

REFINE_PATCH = 4
"""Pixels on each side of the patches that a tokenizer's refinement works on."""


MOST, MOST_BLOCKS = 1_000_000, 1000
"""No sizes beyond these are ever meant: a file that has them is refused before anything is built."""


class Config:
    """Dict round trip shared by the configurations below."""

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)  # type: ignore[call-overload]

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Raises CheckpointError on unknown, missing or ill-typed entries."""
        known = [field.name for field in fields(cls)]  # type: ignore[arg-type]
        for key in data:
            if key not in known:
                near = difflib.get_close_matches(key, known, n=1)
                hint = f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(known)}."
                raise CheckpointError(f"{cls.__name__} has no setting {quoted(key)}{hint}")
        try:
            return cls(**{key: tuple(v) if isinstance(v, list) else v for key, v in data.items()})
        except TypeError as error:
            raise CheckpointError(f"{cls.__name__} is incomplete or ill-typed: {error}.") from error

    def _require(self, name: str, low: int = 1, high: int = MOST) -> None:
        value = getattr(self, name)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise CheckpointError(
                f"{type(self).__name__}: {name} must be a whole number of at least {low} (and at most "
                f"{high:,}), not {quoted(value)}."
            )

    def _require_type(self, kind: type, *names: str) -> None:
        for name in names:
            if not isinstance(value := getattr(self, name), kind):
                words = {bool: "true or false", str: "a text"}
                raise CheckpointError(
                    f"{type(self).__name__}: {name} must be {words[kind]}, not {quoted(value)}."
                )


@dataclass(frozen=True, kw_only=True)
class TokenizerConfig(Config):
    """The picture tokenizer: convolutional autoencoder and binary spherical quantizer.

    Args:
        bits: d, bits a latent position; the vocabulary has 2^d entries and is never written out.
        base_channels, channel_multipliers, num_res_blocks: the autoencoder's levels; each level but
            the last halves the resolution. The decoder has one residual block more a level.
        patchify: a transformer token is a 2x2 patch of latents (released 8B) instead of one latent.
        stem_patch: pixels folded into channels before the first convolution and unfolded after the
            last (1 in all released tokenizers); makes small CPU models cheap.
        refine_blocks, refine_channels: residual blocks that correct the decoded picture on patches
            of 4x4 pixels, for the sharp edges that unfolding a large stem_patch cannot place; 0
            blocks in all released tokenizers.
    """

    bits: int
    base_channels: int = 128
    channel_multipliers: tuple[int, ...] = (1, 2, 4, 4, 4)
    num_res_blocks: int = 2
    patchify: bool = False
    stem_patch: int = 1
    refine_blocks: int = 0
    refine_channels: int = 64

    def __post_init__(self) -> None:
        for name in ("bits", "base_channels", "stem_patch", "refine_channels"):
            self._require(name)
        self._require("num_res_blocks", 1, MOST_BLOCKS)
        self._require("refine_blocks", 0, MOST_BLOCKS)
        self._require_type(bool, "patchify")
        if self.refine_blocks and self.stem_patch % REFINE_PATCH:
            raise CheckpointError(
                f"TokenizerConfig: refine_blocks need a stem_patch that is a multiple of "
                f"{REFINE_PATCH}, not {self.stem_patch}."
            )
        if self.refine_blocks:
            self.norm_groups(self.refine_channels)
        if not self.channel_multipliers or any(
            not isinstance(m, int) or not 1 <= m <= MOST_BLOCKS for m in self.channel_multipliers
        ):
            raise CheckpointError(
                "TokenizerConfig: channel_multipliers needs one whole number of at least 1 a level, "
                f"not {quoted(self.channel_multipliers)}."
            )
        for multiplier in self.channel_multipliers:
            self.norm_groups(self.base_channels * multiplier)

    @staticmethod
    def norm_groups(channels: int) -> int:
        """Groups of the group norm: 32 where that divides the channels, else 24."""
        for groups in (32, 24):
            if channels % groups == 0:
                return groups
        raise CheckpointError(
            f"TokenizerConfig: {channels} channels are a multiple of neither 32 nor 24."
        )

    @property
    def stride(self) -> int:
        """Pixels a latent position spans on each side."""
        return self.stem_patch * 2 ** (len(self.channel_multipliers) - 1)

    @property
    def patch(self) -> int:
        """Latents a token spans on each side: 2 with patchify, else 1."""
        return 2 if self.patchify else 1

    @property
    def bits_per_token(self) -> int:
        return self.bits * self.patch**2

    @property
    def token_pixels(self) -> int:
        """Pixels a transformer token spans on each side."""
        return self.stride * self.patch


@dataclass(frozen=True, kw_only=True)
class TransformerConfig(Config):
    """The transformer.

    Args:
        depth, width, num_heads: blocks, channels C, attention heads H.
        bits_per_token: bits predicted (and read) a token; must equal the tokenizer's.
        text_width: channels of the text encoder's output; at least 128.
        text_max_length: rows of the learned unconditional text; prompts are cut to this length.
        max_scales: rows of the scale (level) embedding.
        mlp_ratio: feed-forward width over C, rounded to a multiple of 256.
        rope: how a scale's positions are spread over the rope grid: "nearest" (released models),
            "bilinear" or "corner" (upstream's modes 2, 1, 0).
        level_embedding_interval: add the level embedding before every n-th block; 0: only before
            the first (released models).
        bf16_cross_attention: round cross-attention's inputs and output to bfloat16, as upstream's
            flash-attention does in float32 runs. Parity: tests/parity, case "ca_bf16".
    """

    depth: int
    width: int
    num_heads: int
    bits_per_token: int
    text_width: int = 2048
    text_max_length: int = 512
    max_scales: int = 15
    mlp_ratio: float = 4.0
    rope: Literal["nearest", "bilinear", "corner"] = "nearest"
    level_embedding_interval: int = 0
    bf16_cross_attention: bool = False

    def __post_init__(self) -> None:
        for name in (
            "width",
            "num_heads",
            "bits_per_token",
            "text_max_length",
            "max_scales",
        ):
            self._require(name)
        self._require("depth", 1, MOST_BLOCKS)
        self._require("text_width", 128)
        self._require("level_embedding_interval", 0)
        self._require_type(bool, "bf16_cross_attention")
        if self.width % (4 * self.num_heads):
            raise CheckpointError(
                f"TransformerConfig: width {self.width} must be a multiple of 4 x num_heads "
                f"({self.num_heads}), for 2D rotary positions."
            )
        if self.width % self.pool_heads:
            raise CheckpointError(
                f"TransformerConfig: width {self.width} does not divide into {self.pool_heads} text "
                f"pooling heads (text_width {self.text_width})."
            )
        if self.rope not in ("nearest", "bilinear", "corner"):
            raise CheckpointError(
                f"TransformerConfig: rope must be nearest, bilinear or corner, not {quoted(self.rope)}."
            )
        if not (isinstance(self.mlp_ratio, int | float) and 0 < self.mlp_ratio <= MOST_BLOCKS):
            raise CheckpointError(
                f"TransformerConfig: mlp_ratio must be positive, not {quoted(self.mlp_ratio)}."
            )

    @property
    def head_width(self) -> int:
        return self.width // self.num_heads

    @property
    def pool_heads(self) -> int:
        """Heads of the text pooling: one for every 128 text channels, 64 in very wide models."""
        return self.text_width // (64 if self.width > 4096 else 128)

    @property
    def feed_forward_width(self) -> int:
        return max(1, round(self.mlp_ratio * self.width / 256)) * 256


@dataclass(frozen=True, kw_only=True)
class TextEncoderConfig(Config):
    """The T5 text encoder: a folder beside the weights, or a hub repository at a pinned revision.

    Args:
        source: "text_encoder" (a folder inside the model's folder) or "owner/name" on the hub.
        revision: commit of the hub repository; empty for a folder.
        width: channels of its output.
        max_length: most tokens of a prompt, the end token included.
    """

    source: str = "text_encoder"
    revision: str = ""
    width: int = 2048
    max_length: int = 512

    def __post_init__(self) -> None:
        self._require("width")
        self._require("max_length", 2)
        self._require_type(str, "source", "revision")
        if not self.source:
            raise CheckpointError(
                "TextEncoderConfig: source must name a folder or a hub repository."
            )
