"""The configurations of a model's three parts, checked when one is made."""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from infinity.checks import MOST_BLOCKS, Blocks, Checked, Size, whole
from infinity.errors import CheckpointError

REFINE_PATCH = 4
"""Pixels on each side of the patches that a tokenizer's refinement works on."""
SOURCE = r"^\w[\w.-]*(/\w[\w.-]*)?$"

Multipliers = Annotated[tuple[Blocks, ...], Field(min_length=1, max_length=16)]


@dataclass(frozen=True, kw_only=True)
class TokenizerConfig(Checked):
    """The picture tokenizer: convolutional autoencoder and binary spherical quantizer.

    Args:
        bits: d, bits a latent position; the vocabulary has 2^d entries and is never written out.
        base_channels: of the autoencoder's first level.
        channel_multipliers: one a level; each level but the last halves the resolution.
        num_res_blocks: of a level of the encoder; the decoder has one more.
        patchify: a transformer token is a 2x2 patch of latents (released 8B) instead of one latent.
        stem_patch: pixels folded into channels before the first convolution and unfolded after the
            last (1 in all released tokenizers); makes small CPU models cheap.
        refine_blocks, refine_channels: residual blocks that correct the decoded picture on patches
            of 4x4 pixels, for the sharp edges that unfolding a large stem_patch cannot place; 0
            blocks in all released tokenizers.
    """

    bits: Size
    base_channels: Size = 128
    channel_multipliers: Multipliers = (1, 2, 4, 4, 4)
    num_res_blocks: Blocks = 2
    patchify: bool = False
    stem_patch: Size = 1
    refine_blocks: Annotated[int, whole(0, MOST_BLOCKS)] = 0
    refine_channels: Size = 64

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.refine_blocks and self.stem_patch % REFINE_PATCH:
            raise CheckpointError(
                f"TokenizerConfig: refine_blocks need a stem_patch that is a multiple of "
                f"{REFINE_PATCH}, not {self.stem_patch}."
            )
        if self.refine_blocks:
            self.norm_groups(self.refine_channels)
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
class TransformerConfig(Checked):
    """The transformer.

    Args:
        depth: number of blocks.
        width: channels C, a multiple of 4 x ``num_heads``.
        num_heads: attention heads H.
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

    depth: Blocks
    width: Size
    num_heads: Size
    bits_per_token: Size
    text_width: Annotated[int, whole(128)] = 2048
    text_max_length: Size = 512
    max_scales: Size = 15
    mlp_ratio: Annotated[float, Field(gt=0, le=MOST_BLOCKS)] = 4.0
    rope: Literal["nearest", "bilinear", "corner"] = "nearest"
    level_embedding_interval: Annotated[int, whole(0)] = 0
    bf16_cross_attention: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.width % (step := 4 * self.num_heads):
            raise CheckpointError(
                f"TransformerConfig: width {self.width} must be a multiple of 4 x num_heads "
                f"({self.num_heads}), for 2D rotary positions; the nearest is "
                f"{max(step, round(self.width / step) * step)}."
            )
        if self.width % self.pool_heads:
            raise CheckpointError(
                f"TransformerConfig: width {self.width} does not divide into {self.pool_heads} text "
                f"pooling heads (text_width {self.text_width})."
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
class TextEncoderConfig(Checked):
    """The T5 text encoder: a folder beside the weights, or a hub repository at a pinned revision.

    Args:
        source: "text_encoder" (a folder inside the model's folder) or "owner/name" on the hub.
        revision: commit of the hub repository; empty for a folder.
        width: channels of its output.
        max_length: most tokens of a prompt, the end token included.
    """

    source: Annotated[str, Field(pattern=SOURCE, description="a folder's name or owner/name")] = (
        "text_encoder"
    )
    revision: str = ""
    width: Size = 2048
    max_length: Annotated[int, whole(2)] = 512
