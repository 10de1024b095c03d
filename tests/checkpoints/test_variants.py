"""What upstream's own code writes, whatever it ran with: all of it loads to the same weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from infinity.checkpoints.convert import from_upstream
from infinity.checkpoints.upstream import read_part, read_upstream
from infinity.errors import CheckpointError
from tests.checkpoints.upstream_files import (
    SPEC,
    tokenizer_state,
    training_checkpoint,
    transformer_state,
)
from tests.tiny import tiny_transformer
from tests.upstream_names import to_upstream

EXPECTED = tiny_transformer(SPEC).state_dict()


def prefixed(prefix: str, state: dict[str, Any]) -> dict[str, Any]:
    return {prefix + name: tensor for name, tensor in state.items()}


def in_the_middle(part: str, state: dict[str, Any]) -> dict[str, Any]:
    """As where every chunk of blocks was wrapped by itself."""
    return {
        name.replace(".module.", f".{part}.module.", 1): tensor for name, tensor in state.items()
    }


def flash(state: dict[str, Any]) -> dict[str, Any]:
    """Its own flash attention keeps heads behind tokens: (1, 1, H, 1) instead of (1, H, 1, 1)."""
    return {
        name: tensor.transpose(1, 2) if name.endswith("scale_mul_1H11") else tensor
        for name, tensor in state.items()
    }


def with_buffers(state: dict[str, Any]) -> dict[str, Any]:
    """Of older versions and of flash attention's masks."""
    buffers = {
        "lvl_1L": torch.zeros(1, 9, dtype=torch.long),
        "attn_bias_for_masking": torch.zeros(1, 1, 9, 9),
        "Infinity_visible_kvlen": torch.zeros(9, dtype=torch.int32),
        "Infinity_invisible_qlen": torch.zeros(9, dtype=torch.int32),
    }
    return {**state, **buffers}


VARIANTS: dict[str, dict[str, Any]] = {
    "released": transformer_state(3),
    "ungrouped": transformer_state(1),
    "flash": flash(transformer_state(3)),
    "flash ungrouped": flash(transformer_state(1)),
    "buffers": with_buffers(transformer_state(3)),
    "ddp": prefixed("module.", transformer_state(3)),
    "compiled": prefixed("_orig_mod.", transformer_state(3)),
    "fsdp": prefixed("_fsdp_wrapped_module.", transformer_state(3)),
    "fsdp of compiled": prefixed("_fsdp_wrapped_module._orig_mod.", transformer_state(3)),
    "ddp of compiled flash": prefixed("module._orig_mod.", flash(transformer_state(1))),
    "fsdp in the middle": in_the_middle("_fsdp_wrapped_module", transformer_state(3)),
    "fsdp of compiled chunks": prefixed(
        "_fsdp_wrapped_module.",
        in_the_middle("_fsdp_wrapped_module._orig_mod", transformer_state(3)),
    ),
    "recomputed": in_the_middle("_checkpoint_wrapped_module", transformer_state(3)),
}


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("place", ["released", "gpt_fsdp", "gpt_wo_ddp", "safetensors"])
def test_variant_loads_to_the_same_weights(variant, place, tmp_path):
    state = VARIANTS[variant]
    path = tmp_path / ("small.safetensors" if place == "safetensors" else "small.pth")
    if place == "safetensors":
        save_file({name: tensor.contiguous() for name, tensor in state.items()}, path)
    elif place == "released":
        torch.save(state, path)
    else:
        content = training_checkpoint("gpt_fsdp")
        content["trainer"].pop("gpt_fsdp")
        content["trainer"][place] = state
        torch.save(content, path)
    torch.save({"vae": tokenizer_state()}, tmp_path / "infinity_vae_d8.pth")
    found = read_upstream(path)
    assert found.spec.transformer == SPEC.transformer
    loaded = found.transformer.tensors
    assert loaded.keys() == EXPECTED.keys()
    assert all(torch.equal(loaded[name], EXPECTED[name]) for name in EXPECTED)


@pytest.mark.parametrize("name", ["gpt_ema_fsdp", "gpt_ema_for_vis"])
def test_averaged_weights_of_every_kind_of_run_are_found(name, tmp_path):
    content = training_checkpoint("gpt_fsdp")
    content["trainer"]["gpt_fsdp"] = prefixed("x", {})
    content["trainer"][name] = prefixed("_orig_mod.", transformer_state(3))
    torch.save(content, tmp_path / "ar-ckpt-last.pth")
    loaded = read_part(tmp_path / "ar-ckpt-last.pth", "transformer", ema=True).tensors
    assert all(torch.equal(loaded[name], EXPECTED[name]) for name in EXPECTED)


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "before torch 1.6"])
def test_training_settings_may_hold_numbers_of_numpy(legacy, tmp_path):
    """Upstream's meters give medians of numpy, and its trainer saves them among its arguments."""
    content = training_checkpoint("gpt_fsdp", last_wei_g=np.float64(0.5), last_Lnll=np.float32(0.3))
    content["args"]["batch_size"] = np.int64(4)
    torch.save(content, tmp_path / "ar-ckpt-last.pth", _use_new_zipfile_serialization=not legacy)
    found = read_upstream(tmp_path / "ar-ckpt-last.pth")
    assert torch.equal(found.transformer.tensors["start"], EXPECTED["start"])


def test_capital_endings_are_read(tmp_path):
    torch.save(transformer_state(3), tmp_path / "SMALL.PTH")
    torch.save({"vae": tokenizer_state()}, tmp_path / "INFINITY_VAE_D8.PTH")
    assert read_upstream(tmp_path).spec.transformer == SPEC.transformer


def test_shards_in_both_formats_are_one_checkpoint(tmp_path):
    folder, state = tmp_path / "small_weights", transformer_state(3)
    folder.mkdir()
    torch.save(state, folder / "pytorch_model.bin")
    save_file(state, folder / "model.safetensors")
    for file in ("pytorch_model.bin", "model.safetensors"):
        index = {"metadata": {}, "weight_map": dict.fromkeys(state, file)}
        (folder / f"{file}.index.json").write_text(json.dumps(index))
    loaded = read_part(folder, "transformer").tensors
    assert all(torch.equal(loaded[name], EXPECTED[name]) for name in EXPECTED)


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("blocks.0.ca_gamma", (64,)),  # --ca_gamma
        ("blocks.0.ffn.fcg.weight", (256, 64)),  # --swi
        ("blocks.0.ada_lin.1.weight", (384, 64)),  # without --saln
        ("norm0_ve.weight", (8,)),  # --nm0
        ("head.0.weight", (64, 64)),  # --dec 2
    ],
)
def test_another_architecture_is_refused_by_name(name, shape):
    with pytest.raises(CheckpointError, match="only the released architecture") as caught:
        from_upstream({**transformer_state(), name: torch.zeros(shape)}, "transformer")
    assert f"1 unexpected tensors, 0 of another shape or content (first: {name})" in str(
        caught.value
    )


def test_export_writes_the_shape_of_the_released_weights():
    state = to_upstream(EXPECTED, "transformer")
    assert state["blocks.0.sa.scale_mul_1H11"].shape == (1, SPEC.transformer.num_heads, 1, 1)


class Mark:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("suffix", [".pth", ".pt", ".bin", ".ckpt", ".PTH"])
def test_code_in_a_checkpoint_is_not_run(suffix, legacy, tmp_path):
    path = tmp_path / f"small{suffix}"
    content = {**transformer_state(), "note": Mark(tmp_path / "mark")}
    torch.save(content, path, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(CheckpointError, match="could run code"):
        read_part(path, "transformer")
    assert not (tmp_path / "mark").exists()
