"""Every setting of the installed peft is followed to rounding, harmless, or refused by its name."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file

from infinity.checkpoints.adapter import (
    ADAPTER_CONFIG,
    ADAPTER_WEIGHTS,
    merge_adapter,
    read_adapter,
)
from infinity.checkpoints.load import adapted_name, load_model
from infinity.checkpoints.peft import FOLLOWED, HARMLESS
from infinity.errors import CheckpointError
from tests.checkpoints.test_adapter import logits
from tests.tiny import tiny_folder, tiny_transformer

TARGETS = ["attention.qkv", "cross_attention.query", "feed_forward.down", "attention.output"]

RIGHT: dict[str, list[dict[str, Any]]] = {
    "r": [{"r": 1}, {"r": 5}],
    "lora_alpha": [{"lora_alpha": 1}, {"lora_alpha": 32}],
    "use_rslora": [{"use_rslora": True}],
    "rank_pattern": [
        {"rank_pattern": {"attention.qkv": 2}},
        {"rank_pattern": {"^blocks.1.attention.qkv": 2, "qkv": 5}},
        {"rank_pattern": {r"blocks\.0\.attention\.qkv": 2}, "use_rslora": True},
    ],
    "alpha_pattern": [
        {"alpha_pattern": {"qkv": 1}},
        {"alpha_pattern": {"kv": 1}},  # the end of a name, but not behind a dot
        {"alpha_pattern": {"blocks.0.attention.qkv": 1, "qkv": 20}},
        {"alpha_pattern": {"down": 3}, "rank_pattern": {"down": 7}},
    ],
    "use_dora": [{"use_dora": True}, {"use_dora": True, "use_rslora": True, "r": 2}],
    "lora_bias": [{"lora_bias": True, "target_modules": ["attention.output"]}],
    "init_lora_weights": [
        {"init_lora_weights": value, "r": 4} for value in (False, "gaussian", "orthogonal")
    ],
    "fan_in_fan_out": [{"fan_in_fan_out": True}],
    "target_modules": [{"target_modules": r".*feed_forward\.(up|down)"}],
    "exclude_modules": [{"exclude_modules": ["blocks.0.attention.qkv"]}],
    "layers_to_transform": [{"layers_to_transform": [0, 2], "layers_pattern": "blocks"}],
    "layers_pattern": [{"layers_to_transform": 1, "layers_pattern": ["blocks"]}],
    "lora_dropout": [{"lora_dropout": 0.5}],
    "task_type": [{"task_type": "FEATURE_EXTRACTION"}],
    "inference_mode": [{"inference_mode": True}],
    "base_model_name_or_path": [{"base_model_name_or_path": "tiny"}],
    "revision": [{"revision": "main"}],
    "megatron_core": [{"megatron_core": "megatron.other"}],
    "qalora_group_size": [{"qalora_group_size": 8}],
    "ensure_weight_tying": [{"ensure_weight_tying": True}],
}
"""Setting -> values that peft and this package must compute the same with."""

WRITTEN: dict[str, list[Any]] = {
    "auto_mapping": [{"base_model_class": "X", "parent_library": "y"}],
    "peft_version": ["99.0", None],
    "runtime_config": [{"ephemeral_gpu_offload": True}],
    "loftq_config": [{"loftq_bits": 4}],
    "eva_config": [{"rho": 2.0}],
    "corda_config": [{"corda_method": "ipm"}],
    "lora_ga_config": [{"direction": "ArB2r"}],
    "velora_config": [{"num_groups": 32}],
}
"""Setting -> what a file may say of it without any effect on what the tensors mean."""

REFUSED: dict[str, list[Any]] = {
    "peft_type": ["LOHA", "ADALORA", "LORA ", None, 3],
    "bias": ["all", "lora_only"],
    "modules_to_save": [["head"]],
    "megatron_config": [{"hidden_size": 4}],
    "trainable_token_indices": [[1, 2]],
    "alora_invocation_tokens": [[5]],
    "use_qalora": [True],
    "monteclora_config": [{"n": 1}],
    "layer_replication": [[[0, 1], [0, 2]]],
    "target_parameters": [["head.weight"]],
    "use_bdlora": [{"nblocks": 2}],
    "arrow_config": [{"top_k": 3}],
    "kasa_config": [{"x": 1}],
    "init_lora_weights": ["pissa", "pissa_niter_4", "olora", "corda", "loftq", "lora_ga", "mica", [], 7],
    "r": [0, -1, "8", 2.5, True, None, 10**30],
    "lora_alpha": ["x", None, True, 10**400],
    "rank_pattern": [{"(a+)+": 3}, {"[": 3}, ["qkv"], {"qkv": 0}, {"qkv": "4"}],
    "alpha_pattern": [{"(a|a)*b": 3}, {"qkv": "much"}, {"qkv": [1]}],
    "a_setting_of_tomorrow": [True, {"x": 1}, "on", 0.5],
}  # fmt: skip
"""Setting -> values that are refused with a sentence that names it."""


def trained(folder: Path, **options: Any) -> torch.Tensor:
    """Train an adapter with peft (random numbers will do), save it with peft; what it computes."""
    options = {"r": 3, "lora_alpha": 6, "target_modules": TARGETS, **options}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = get_peft_model(tiny_transformer(), LoraConfig(**options))  # type: ignore[arg-type]
        generator = torch.Generator().manual_seed(2)
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if "lora_magnitude_vector" in name:
                    parameter.mul_(torch.rand(parameter.shape, generator=generator) + 0.5)
                elif "lora_" in name:
                    parameter.normal_(std=0.1, generator=generator)
        model.save_pretrained(str(folder))
    return logits(model.eval().base_model.model)


def merged(folder: Path) -> torch.Tensor:
    transformer = tiny_transformer()
    merge_adapter(transformer, read_adapter(folder))
    return logits(transformer)


def close(one: torch.Tensor, other: torch.Tensor) -> bool:
    return torch.allclose(one, other, atol=2e-3, rtol=1e-3)


@pytest.fixture(scope="module")
def plain(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("adapters") / "plain"
    trained(folder)
    return folder


@pytest.fixture
def folder(plain, tmp_path) -> Path:
    return Path(shutil.copytree(plain, tmp_path / "toon"))


def edit(folder: Path, **changes: Any) -> None:
    path = folder / ADAPTER_CONFIG
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_every_setting_of_the_installed_peft_is_decided_and_tested():
    fields = {field.name for field in dataclasses.fields(LoraConfig)}
    tested = {*RIGHT, *WRITTEN, *REFUSED} - {"a_setting_of_tomorrow"}
    assert fields == tested, "decide about the new setting in infinity/checkpoints/peft.py"
    assert fields >= FOLLOWED | HARMLESS
    assert not set(WRITTEN) & FOLLOWED


@pytest.mark.parametrize(
    "options", [o for values in RIGHT.values() for o in values], ids=lambda o: json.dumps(o)[:60]
)
def test_adapter_computes_what_peft_computes(options, tmp_path):
    expected = trained(tmp_path / "a", **options)
    assert not torch.allclose(expected, logits(tiny_transformer()), atol=0.05)
    assert close(merged(tmp_path / "a"), expected)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        read = PeftModel.from_pretrained(
            tiny_transformer(), str(tmp_path / "a"), torch_device="cpu"
        )
    assert close(logits(read.eval().base_model.model), expected)  # so the files say it all


@pytest.mark.parametrize(
    ("name", "value"), [(n, v) for n, values in WRITTEN.items() for v in values]
)
def test_setting_without_effect_changes_nothing(name, value, folder):
    expected = merged(folder)
    edit(folder, **{name: value})
    assert torch.equal(merged(folder), expected)


@pytest.mark.parametrize(
    ("name", "value"), [(n, v) for n, values in REFUSED.items() for v in values]
)
def test_setting_that_cannot_be_merged_is_refused_by_name(name, value, folder):
    edit(folder, **{name: value})
    with pytest.raises(CheckpointError) as caught:
        read_adapter(folder)
    words = {"r": " r must be|'r'", "peft_type": "type"}
    assert re.search(words.get(name, name), str(caught.value))
    assert len(str(caught.value)) < 600
    assert "\n" not in str(caught.value)


def test_rank_that_the_tensors_have_not_is_refused(folder):
    edit(folder, rank_pattern={"qkv": 2})
    with pytest.raises(CheckpointError, match="the rank 2, its tensors have 3"):
        read_adapter(folder)


@pytest.mark.parametrize("option", ["use_dora", "lora_bias"])
def test_settings_and_tensors_that_differ_are_refused(option, folder, tmp_path):
    edit(folder, **{option: True})
    with pytest.raises(CheckpointError, match="settings and its weights differ"):
        read_adapter(folder)
    trained(tmp_path / "other", **{option: True, "target_modules": ["attention.output"]})
    edit(tmp_path / "other", **{option: False})
    with pytest.raises(CheckpointError, match="settings and its weights differ"):
        read_adapter(tmp_path / "other")


# --- layouts


def tensors_of(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / ADAPTER_WEIGHTS)


def rewrite(folder: Path, change) -> None:
    tensors = {change(name): tensor for name, tensor in tensors_of(folder).items()}
    save_file(tensors, folder / ADAPTER_WEIGHTS, {"format": "pt"})


@pytest.mark.parametrize(
    "prefix", ["", "transformer.", "base_model.model.transformer.", "base_model.model.module.",
               "diffusion_model.", "base_model.model._orig_mod."],
)  # fmt: skip
def test_prefixes_of_other_tools_are_read(prefix, folder):
    expected = merged(folder)
    rewrite(folder, lambda name: prefix + name.removeprefix("base_model.model."))
    assert torch.equal(merged(folder), expected)


def test_names_with_peft_s_adapter_name_are_read(folder):
    expected = merged(folder)
    rewrite(folder, lambda name: name.replace(".weight", ".default.weight"))
    assert torch.equal(merged(folder), expected)


@pytest.mark.parametrize("which", ["folder", "weights", "config"])
def test_folder_and_either_of_its_files_mean_the_same(which, folder):
    path = {
        "folder": folder, "weights": folder / ADAPTER_WEIGHTS, "config": folder / ADAPTER_CONFIG
    }[which]  # fmt: skip
    assert torch.equal(merged(path), merged(folder))
    assert adapted_name("tiny", path) == "tiny_toon"


def test_pickled_weights_are_read_and_never_run(folder, tmp_path):
    expected, tensors = merged(folder), tensors_of(folder)
    (folder / ADAPTER_WEIGHTS).unlink()
    torch.save(tensors, folder / "adapter_model.bin")
    assert torch.equal(merged(folder), expected)
    assert torch.equal(merged(folder / "adapter_model.bin"), expected)

    class Mark:
        def __reduce__(self):
            return Path.touch, (tmp_path / "mark",)

    torch.save({**tensors, "x": Mark()}, folder / "adapter_model.bin")
    with pytest.raises(CheckpointError, match="could run code"):
        read_adapter(folder)
    assert not (tmp_path / "mark").exists()


def kohya(tensors: dict[str, torch.Tensor], alpha: float | None, prefix: str) -> dict[str, Any]:
    """As sd-scripts saves it."""
    written: dict[str, Any] = {}
    for name, tensor in tensors.items():
        layer, part = name.removeprefix("base_model.model.").split(".lora_")
        down = {"A.weight": "lora_down", "B.weight": "lora_up"}[part]
        written[f"{prefix}{layer.replace('.', '_')}.{down}.weight"] = tensor
        if alpha is not None:
            written[f"{prefix}{layer.replace('.', '_')}.alpha"] = torch.tensor(alpha)
    return written


@pytest.mark.parametrize("prefix", ["lora_unet_", "lora_transformer_"])
@pytest.mark.parametrize("alpha", [6.0, 1.0, None])
def test_kohya_s_files_are_read(prefix, alpha, folder, tmp_path):
    path = tmp_path / "my style.safetensors"
    save_file(kohya(tensors_of(folder), alpha, prefix), path)
    edit(folder, lora_alpha=3 if alpha is None else alpha)  # none: the change counts once
    assert torch.equal(merged(path), merged(folder))
    assert adapted_name("tiny", path) == "tiny_my-style"
    alone = tmp_path / "alone"
    alone.mkdir()
    shutil.copy(path, alone / "any name.safetensors")
    assert torch.equal(merged(alone), merged(folder))


@pytest.mark.parametrize(
    "name",
    ["lora_te_text_model_encoder_layers_0_mlp_fc1.lora_down.weight", "lora_unet_head.dora_scale",
     "lora_unet_head.hada_w1_a", "lora_unet_head.lokr_w1", "lora_unet_head.lora_mid.weight",
     "base_model.model.token_embedding.lora_embedding_A", "base_model.model.head.bias"],
)  # fmt: skip
def test_changes_of_other_kinds_are_refused_by_name(name, folder, tmp_path):
    tensors = tensors_of(folder)
    if name.startswith("lora_"):
        tensors = kohya(tensors, 6.0, "lora_unet_")
    shape = (3, 4) if name.endswith("weight") else (3,)
    (folder / ADAPTER_WEIGHTS).unlink()
    save_file({**tensors, name: torch.ones(shape)}, folder / ADAPTER_WEIGHTS)
    with pytest.raises(CheckpointError) as caught:
        read_adapter(folder)
    assert f"({name})" in str(caught.value)
    assert name in str(caught.value)


def test_kohya_s_layer_of_another_model_is_refused(tmp_path):
    path = tmp_path / "unet.safetensors"
    layer = "lora_unet_down_blocks_0_attentions_0_proj_in"
    save_file(
        {
            f"{layer}.lora_down.weight": torch.ones(2, 4),
            f"{layer}.lora_up.weight": torch.ones(4, 2),
        },
        path,
    )
    with pytest.raises(CheckpointError, match="does not fit this model: 1 layers differ"):
        merged(path)


@pytest.mark.parametrize("alpha", [None, 12])
def test_diffusers_file_is_read_with_the_settings_inside(alpha, folder, tmp_path):
    path = tmp_path / "pytorch_lora_weights.safetensors"
    tensors = {
        name.replace("base_model.model.", "transformer."): t
        for name, t in tensors_of(folder).items()
    }
    inside = {"transformer.r": 3, "transformer.lora_alpha": alpha, "transformer.use_dora": False}
    notes = {} if alpha is None else {"lora_adapter_metadata": json.dumps(inside)}
    save_file(tensors, path, {"format": "pt", **notes})
    edit(folder, lora_alpha=3 if alpha is None else alpha)
    assert torch.equal(merged(path), merged(folder))


def test_peft_s_file_without_its_settings_is_refused(folder, tmp_path):
    path = Path(shutil.copy(folder / ADAPTER_WEIGHTS, tmp_path / "style.safetensors"))
    with pytest.raises(CheckpointError, match=r"adapter_config\.json does not exist"):
        read_adapter(path)


@pytest.mark.parametrize("part", ["lora_A", "lora_B"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_no_numbers_are_refused(part, value, folder):
    tensors = tensors_of(folder)
    name = next(name for name in tensors if part in name)
    tensors[name][0, 0] = value
    save_file(tensors, folder / ADAPTER_WEIGHTS)
    with pytest.raises(CheckpointError, match="holds infinite values or none"):
        read_adapter(folder)


def test_values_whose_product_is_no_number_are_refused(folder, tmp_path):
    tensors = {name: tensor.fill_(1e30) for name, tensor in tensors_of(folder).items()}
    save_file(tensors, folder / ADAPTER_WEIGHTS)
    with pytest.raises(CheckpointError, match="transformer with its adapter"):
        load_model(tiny_folder(tmp_path / "model"), adapter=folder)
