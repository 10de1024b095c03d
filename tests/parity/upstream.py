"""Upstream's settings, as the cases spell them, in our terms; upstream's weights in our modules."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from einops import rearrange
from torch import Tensor

from infinity.checkpoints.convert import from_upstream
from infinity.config import TokenizerConfig, TransformerConfig
from infinity.model.transformer import InfinityTransformer
from infinity.schedule import (
    HEIGHT_OVER_WIDTH,
    Scale,
    ScaleSchedule,
    nearest_aspect_ratio,
    schedule_for,
)
from infinity.tokenizer.quantizer import tokens_from_latent
from infinity.tokenizer.tokenizer import Tokenizer
from tests.parity.weights import state_dict_by_rule
from tests.upstream_names import to_upstream

ROPE_MODES = {2: "nearest", 1: "bilinear", 0: "corner"}


def schedule_of(data: Mapping[str, Any]) -> ScaleSchedule:
    """The case's schedule, its rotary grid that of its aspect ratio at 1M.

    ``schedule`` lists (time, height, width); without it ``pn`` names a pixel budget.
    """
    name = nearest_aspect_ratio(data["ratio"], 1.0)
    if abs(HEIGHT_OVER_WIDTH[name] - data["ratio"]) > 0.01:
        raise ValueError(f"{data['ratio']} is not one of the table's aspect ratios")
    if "schedule" not in data:
        return schedule_for(name, data["pn"])
    scales = [Scale(*level[-2:]) for level in data["schedule"]]
    return ScaleSchedule(scales, schedule_for(name, "1M").rope_grid)


def transformer_config(
    config: Mapping[str, Any], *, bf16_cross_attention: bool = False
) -> TransformerConfig:
    """From upstream's constructor arguments.

    A case tells the head's width ``V``, two logits a bit; a manifest the tokenizer's ``d_vae`` bits.
    """
    patch = 4 if config.get("apply_spatial_patchify") else 1
    bits_per_token = config["V"] // 2 if "V" in config else config["d_vae"] * patch
    interval = 0
    if not config.get("add_lvl_embeding_only_first_block", 1):
        chunks = config.get("block_chunks", 1)
        interval = config["depth"] // chunks if chunks > 1 else 1
    return TransformerConfig(
        depth=config["depth"],
        width=config["embed_dim"],
        num_heads=config["num_heads"],
        bits_per_token=bits_per_token,
        text_width=config["text_channels"],
        text_max_length=config["text_maxlen"],
        mlp_ratio=config.get("mlp_ratio", 4),
        rope=ROPE_MODES[config.get("rope2d_normalized_by_hw", 2)],  # type: ignore[arg-type]
        level_embedding_interval=interval,
        bf16_cross_attention=bf16_cross_attention,
    )


def tokenizer_config(config: Mapping[str, Any], patchify: bool) -> TokenizerConfig:
    made = TokenizerConfig(
        bits=config["codebook_dim"],
        base_channels=config["base_ch"],
        channel_multipliers=tuple(config["ch_mult"]),
        num_res_blocks=config["num_res_blocks"],
        patchify=patchify,
    )
    if made.stride != config["patch_size"]:
        raise ValueError(f"stride {made.stride}, the case says {config['patch_size']}")
    return made


def quantizer_config(bits: int, patchify: bool) -> TokenizerConfig:
    """For cases that start from features: the convolutions do not matter."""
    levels = (1, 2, 4, 4) if patchify else (1, 2, 4, 4, 4)
    return TokenizerConfig(bits=bits, channel_multipliers=levels, patchify=patchify)


def bit_tokens(bits_B1yxd: Tensor, patch: int) -> Tensor:
    """Upstream's bit labels (B, 1, y, x, d) uint8 -> our tokens (B, l, D) bool."""
    return tokens_from_latent(rearrange(bits_B1yxd.bool(), "b 1 y x d -> b d y x"), patch)


def split_text(tensors: Mapping[str, Tensor], prefix: str = "") -> list[Tensor]:
    """The prompts' features (T_b, text width), stored one after another."""
    lengths = tensors[f"{prefix}text_lens"].tolist()
    return list(tensors[f"{prefix}text_kv"].split(lengths))


def split_scales(tokens_BL: Tensor, schedule: ScaleSchedule) -> Sequence[Tensor]:
    return [tokens_BL[:, schedule.span(i)] for i in range(len(schedule))]


def vae_settings(weights: Path) -> Mapping[str, Any]:
    """The tokenizer's settings, kept with its weights."""
    return json.loads(weights.read_text())["config"]


def load_tokenizer(weights: Path, config: TokenizerConfig) -> Tokenizer:
    tokenizer = Tokenizer(config)
    tokenizer.load_state_dict(from_upstream(state_dict_by_rule(weights), "tokenizer"))
    return tokenizer.requires_grad_(False)


def load_transformer(weights: Path, config: TransformerConfig) -> InfinityTransformer:
    transformer = InfinityTransformer(config)
    transformer.load_state_dict(from_upstream(state_dict_by_rule(weights), "transformer"))
    return transformer


def upstream_names(
    tensors: Mapping[str, Tensor], chunks: int, *, buffers: bool = False
) -> dict[str, Tensor]:
    """A transformer's tensors under upstream's names; without its constant buffers unless asked."""
    return {
        name: tensor
        for name, tensor in to_upstream(tensors, "transformer", chunks).items()
        if buffers or not name.endswith("zero_k_bias")
    }
