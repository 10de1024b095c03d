"""infinity.checkpoints.convert: upstream's names and ours, both ways, strictly."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from infinity.checkpoints.convert import (
    flags_from_args,
    from_upstream,
    kind_of,
)
from infinity.checkpoints.fit import infer_tokenizer, infer_transformer
from infinity.errors import CheckpointError
from infinity.model.transformer import InfinityTransformer
from infinity.registry import MODEL_SPECS
from infinity.tokenizer.tokenizer import Tokenizer
from tests.checkpoints.upstream_files import SPEC as RELEASED
from tests.checkpoints.upstream_files import tokenizer_state, transformer_state
from tests.tiny import PATCHIFY_SPEC, SPEC, tiny_tokenizer, tiny_transformer
from tests.upstream_names import to_upstream

GOLDEN = Path(__file__).parents[1] / "golden"
MANIFESTS = sorted((GOLDEN / "manifests").glob("infinity_*.json"))


def shapes(state) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in state.items()}


def test_manifests_are_there():
    assert len(MANIFESTS) >= 13


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.stem)
def test_manifest_maps_fully_onto_our_modules_and_back(path):
    manifest = json.loads(path.read_text())
    upstream = {name: torch.empty(shape, device="meta") for name, shape in manifest["keys"].items()}
    kind = kind_of(upstream)
    ours = from_upstream(upstream, kind)
    with torch.device("meta"):
        if kind == "transformer":
            module = InfinityTransformer(infer_transformer(ours))
            chunks = manifest["constructor"]["block_chunks"]
        else:
            module, chunks = Tokenizer(infer_tokenizer(ours)), 1
    assert shapes(ours) == shapes(module.state_dict())
    module.load_state_dict(ours, strict=True, assign=True)
    back = to_upstream(module.state_dict(), kind, chunks)
    assert {name: list(shape) for name, shape in shapes(back).items()} == manifest["keys"]
    for name, dtype in manifest.get("dtypes", {}).items():
        assert str(back[name].dtype) == dtype


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.stem)
def test_manifest_gives_the_registered_configuration(path):
    known = {
        "infinity_2b_reg": "infinity-2b",
        "infinity_8b": "infinity-8b",
        "infinity_layer12": "infinity-125m",
        "infinity_layer16": "infinity-361m",
    }
    tokenizers = {"infinity_vae_d32": "infinity-2b", "infinity_vae_d16": "infinity-125m"}
    manifest = json.loads(path.read_text())
    upstream = {name: torch.empty(shape, device="meta") for name, shape in manifest["keys"].items()}
    ours = from_upstream(upstream, kind_of(upstream))
    if path.stem in known:
        config = infer_transformer(ours)
        assert config == MODEL_SPECS[known[path.stem]].transformer
    if path.stem in tokenizers:
        assert infer_tokenizer(ours) == MODEL_SPECS[tokenizers[path.stem]].tokenizer
    if path.stem == "infinity_vae_d56_f8_14_patchify":
        assert infer_tokenizer(ours, patchify=True) == MODEL_SPECS["infinity-8b"].tokenizer


@pytest.mark.parametrize("chunks", [1, 3])
def test_transformer_round_trip_keeps_every_value(chunks):
    state = tiny_transformer().state_dict()
    back = from_upstream(to_upstream(state, "transformer", chunks), "transformer")
    assert set(back) == set(state)
    assert all(torch.equal(back[name], state[name]) for name in state)


def test_blocks_are_numbered_across_chunks():
    state = tiny_transformer().state_dict()
    upstream = to_upstream(state, "transformer", 3)
    found = upstream["block_chunks.2.module.0.sa.q_bias"]
    assert torch.equal(found, state["blocks.2.attention.query_bias"])


def test_tokenizer_round_trip_keeps_every_value():
    state = tiny_tokenizer().state_dict()
    back = from_upstream(to_upstream(state, "tokenizer"), "tokenizer")
    assert set(back) == set(state)
    assert all(torch.equal(back[name], state[name]) for name in state)


def test_tokenizer_names_without_the_extra_level_are_accepted():
    plain = {
        name.replace(".conv.weight", ".weight")
        .replace(".conv.bias", ".bias")
        .replace(".norm.weight", ".weight")
        .replace(".norm.bias", ".bias"): tensor
        for name, tensor in tokenizer_state().items()
    }
    assert any(name.endswith("downsample.conv.weight") for name in plain)
    assert set(from_upstream(plain, "tokenizer")) == set(tiny_tokenizer(RELEASED).state_dict())


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod."])
def test_wrappers_in_names_are_ignored(prefix):
    state = {prefix + name: tensor for name, tensor in transformer_state(3).items()}
    assert kind_of(state) == "transformer"
    assert set(from_upstream(state, "transformer")) == set(tiny_transformer().state_dict())


def test_dropped_buffers_are_ignored():
    state = transformer_state()
    for name in ("lvl_1L", "attn_bias_for_masking", "Infinity_visible_kvlen"):
        state[name] = torch.zeros(3)
    assert set(from_upstream(state, "transformer")) == set(tiny_transformer().state_dict())


def test_key_bias_that_is_not_zero_is_refused():
    state = transformer_state()
    state["blocks.0.sa.zero_k_bias"][0] = 1
    with pytest.raises(CheckpointError, match="another shape or content") as caught:
        from_upstream(state, "transformer")
    assert "blocks.0.sa.zero_k_bias" in str(caught.value)


def test_unknown_tensor_is_refused_and_listed():
    state = {**transformer_state(), "blocks.0.ca_gamma": torch.zeros(64)}
    with pytest.raises(CheckpointError, match="1 unexpected") as caught:
        from_upstream(state, "transformer")
    assert "(first: blocks.0.ca_gamma)" in str(caught.value)


def test_tensor_of_other_rank_is_refused():
    state = transformer_state()
    state["pos_start"] = state["pos_start"].flatten()
    with pytest.raises(CheckpointError) as caught:
        from_upstream(state, "transformer")
    assert "pos_start: found (64,), expected 1 1 C" in str(caught.value)


def test_uneven_chunks_are_refused():
    state = transformer_state(3)
    extra = {
        name.replace("block_chunks.0.module.0", "block_chunks.0.module.1"): tensor
        for name, tensor in state.items()
        if name.startswith("block_chunks.0.")
    }
    with pytest.raises(CheckpointError, match="differ in size"):
        from_upstream({**state, **extra}, "transformer")


REFINED_SPEC = replace(
    SPEC,
    name="tiny-refined",
    tokenizer=replace(SPEC.tokenizer, stem_patch=8, refine_blocks=3, refine_channels=32),
)


@pytest.mark.parametrize("spec", [SPEC, PATCHIFY_SPEC, REFINED_SPEC], ids=lambda spec: spec.name)
def test_configurations_are_inferred_from_shapes(spec):
    assert infer_transformer(tiny_transformer(spec).state_dict()) == spec.transformer
    made = infer_tokenizer(tiny_tokenizer(spec).state_dict(), patchify=spec.tokenizer.patchify)
    assert made == spec.tokenizer


def test_incomplete_weights_cannot_be_inferred_from():
    state = tiny_transformer().state_dict()
    del state["token_embedding.weight"]
    with pytest.raises(CheckpointError, match="not the weights of a transformer"):
        infer_transformer(state)
    with pytest.raises(CheckpointError, match="not the weights of a tokenizer"):
        infer_tokenizer(state)


def test_flags_follow_the_training_arguments():
    assert flags_from_args({}, 4, 2) == {"rope": "nearest", "level_embedding_interval": 0}
    args = {"rope2d_normalized_by_hw": 1, "add_lvl_embeding_only_first_block": 0}
    assert flags_from_args(args, 4, 2) == {"rope": "bilinear", "level_embedding_interval": 2}
    assert flags_from_args(args, 4, 1)["level_embedding_interval"] == 1
    for bad in ({"rope2d_each_sa_layer": 0}, {"rope2d_normalized_by_hw": 5}):
        with pytest.raises(CheckpointError):
            flags_from_args(bad, 4, 2)
