"""Tiny models as upstream would have saved them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from infinity.config import TokenizerConfig
from infinity.registry import released_schedules
from tests.tiny import SPEC as TINY
from tests.tiny import tiny_tokenizer, tiny_transformer
from tests.upstream_names import to_upstream

SPEC = replace(
    TINY,
    name="small_reg",
    transformer=replace(TINY.transformer, max_scales=15),
    tokenizer=TokenizerConfig(
        bits=8, base_channels=32, channel_multipliers=(1, 1, 1, 1, 1), num_res_blocks=1
    ),
    schedules=released_schedules("1M"),
)
"""Tiny, with the stride and the schedules of upstream's models."""
PATCHIFY_SPEC = replace(
    SPEC,
    transformer=replace(SPEC.transformer, bits_per_token=16),
    tokenizer=replace(SPEC.tokenizer, bits=4, channel_multipliers=(1, 1, 1, 1), patchify=True),
)


def transformer_state(chunks: int = 1, spec: Any = SPEC) -> dict[str, Tensor]:
    return to_upstream(tiny_transformer(spec).state_dict(), "transformer", chunks)


def tokenizer_state(spec: Any = SPEC) -> dict[str, Tensor]:
    return to_upstream(tiny_tokenizer(spec).state_dict(), "tokenizer")


def write_upstream(folder: Path, spec: Any = SPEC) -> Path:
    """A released pair: flat transformer, tokenizer under ``vae``; returns the transformer."""
    folder.mkdir(exist_ok=True)
    torch.save(transformer_state(3, spec), folder / "small_reg.pth")
    torch.save({"vae": tokenizer_state(spec), "step": 1}, folder / "infinity_vae_d8.pth")
    return folder / "small_reg.pth"


def write_sharded(folder: Path) -> Path:
    """The transformer in two shards with an index, the tokenizer beside; returns the shards."""
    shards = folder / "small_weights"
    shards.mkdir(parents=True)
    state = transformer_state(3)
    names = sorted(state)
    weight_map = {}
    for number, part in enumerate((names[::2], names[1::2]), start=1):
        file = f"pytorch_model-{number:05}-of-00002.bin"
        torch.save({name: state[name] for name in part}, shards / file)
        weight_map.update(dict.fromkeys(part, file))
    index = {"metadata": {}, "weight_map": weight_map}
    (shards / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    torch.save({"vae": tokenizer_state()}, folder / "infinity_vae_d8.pth")
    return shards


def training_checkpoint(nesting: str, **args: Any) -> dict[str, Any]:
    """What upstream's trainer saves; ``nesting`` is where the weights are."""
    trainer: dict[str, Any] = {
        "config": {},
        "vae_local": tokenizer_state(),
        nesting: transformer_state(3),
        "gpt_fsdp_opt": {"state": {0: {"exp_avg": torch.zeros(3)}}},
    }
    arguments = {"pn": "0.06M", "rope2d_normalized_by_hw": 2, **args}
    return {"args": arguments, "epoch": 1, "iter": 5, "trainer": trainer, "acc_str": "", "arch": ""}
