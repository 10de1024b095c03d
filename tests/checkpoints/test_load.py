"""infinity.checkpoints: whole models in and out, and every way a file can be bad."""

from __future__ import annotations

import json
import logging
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from infinity.checkpoints.load import convert, load_model, load_tokenizer
from infinity.checkpoints.save import save_model
from infinity.config import TokenizerConfig
from infinity.errors import CheckpointError, RequestError
from infinity.request import SamplingParams
from infinity.spec import CONFIG_FILE, ModelSpec, read_spec
from tests.checkpoints import upstream_files
from tests.checkpoints.upstream_files import (
    training_checkpoint,
    transformer_state,
    write_sharded,
    write_upstream,
)
from tests.t5_folder import write_t5_folder
from tests.tiny import SPEC, tiny_folder, tiny_tokenizer, tiny_transformer

RELEASED = upstream_files.SPEC


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> Path:
    return tiny_folder(tmp_path_factory.mktemp("own") / "tiny")


@pytest.fixture
def own(saved, tmp_path) -> Path:
    """A copy of an own-format folder, to be damaged."""
    return Path(shutil.copytree(saved, tmp_path / "tiny"))


@pytest.fixture
def upstream(saved, tmp_path) -> Path:
    """A folder of upstream's files with its text encoder; returns the transformer."""
    path = write_upstream(tmp_path / "released")
    shutil.copytree(saved / "text_encoder", path.parent / "text_encoder")
    return path


def same_weights(module: torch.nn.Module, other: torch.nn.Module) -> bool:
    state, other_state = module.state_dict(), other.state_dict()
    return state.keys() == other_state.keys() and all(
        torch.equal(state[name], other_state[name]) for name in state
    )


def edit_config(folder: Path, **changes) -> None:
    path = folder / CONFIG_FILE
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


# --- own format


def test_saved_model_loads_as_it_was(saved):
    seen = []
    model = load_model(saved, progress=lambda text, part: seen.append((text, part)))
    assert model.spec == SPEC
    assert same_weights(model.transformer, tiny_transformer())
    assert same_weights(model.tokenizer, tiny_tokenizer())
    assert model.text_encoder.encode("a red apple").features.shape[1] == 128
    assert {text for text, _ in seen} == {"Loading the transformer", "Loading the tokenizer"}
    assert seen[-1][1] == 1
    assert not any(p.requires_grad or p.is_meta for p in model.transformer.parameters())
    assert not model.transformer.training


def test_bfloat16_keeps_the_delicate_parts_in_float32(saved):
    model = load_model(saved, dtype=torch.bfloat16)
    dtypes = {name: p.dtype for name, p in model.transformer.named_parameters()}
    assert dtypes["blocks.0.attention.qkv.weight"] == torch.bfloat16
    assert dtypes["token_embedding.weight"] == torch.bfloat16
    assert dtypes["head.weight"] == dtypes["modulation.weight"] == torch.float32
    assert model.tokenizer.encoder.conv_in.weight.dtype == torch.float32
    assert model.tokenizer.decoder.conv_in.weight.dtype == torch.bfloat16
    exact = tiny_transformer().state_dict()
    for name, parameter in model.transformer.named_parameters():
        assert torch.equal(parameter, exact[name].to(parameter.dtype))


def test_sharded_model_loads_as_it_was(tmp_path, saved):
    folder = tmp_path / "sharded"
    save_model(
        folder,
        SPEC,
        tiny_transformer(),
        tiny_tokenizer(),
        saved / "text_encoder",
        shard_bytes=300_000,
    )
    assert len(list(folder.glob("transformer-*-of-*.safetensors"))) > 2
    model = load_model(folder)
    assert same_weights(model.transformer, tiny_transformer())
    assert same_weights(model.tokenizer, tiny_tokenizer())
    next(folder.glob("transformer-00002-of-*")).unlink()
    with pytest.raises(CheckpointError, match="does not exist"):
        load_model(folder)


def test_index_that_leaves_the_folder_is_refused(own):
    index = own / "transformer.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"start": "../secret.safetensors"}}))
    with pytest.raises(CheckpointError, match="outside its own folder"):
        load_model(own)


def test_missing_weights_file_is_named(own):
    (own / "transformer.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"transformer\.safetensors does not exist"):
        load_model(own)


def test_truncated_weights_are_refused(own):
    path = own / "tokenizer.safetensors"
    path.write_bytes(path.read_bytes()[:-5000])
    with pytest.raises(CheckpointError, match="damaged"):
        load_model(own)


@pytest.mark.parametrize("content", [b"", b"nonsense", b"\xff" * 100])
def test_corrupted_weights_are_refused(own, content):
    (own / "transformer.safetensors").write_bytes(content)
    with pytest.raises(CheckpointError, match="damaged"):
        load_model(own)


def edit_weights(folder: Path, edit) -> None:
    path = folder / "transformer.safetensors"
    state = {name: tensor.clone() for name, tensor in load_file(path).items()}
    edit(state)
    save_file(state, path)


def test_missing_and_unexpected_tensors_are_listed(own):
    def edit(state):
        state["mystery"] = state.pop("head.bias")

    edit_weights(own, edit)
    with pytest.raises(CheckpointError, match=r"1 missing \(head.bias\); 1 unexpected \(mystery\)"):
        load_model(own)


def test_mis_shaped_tensor_is_listed(own):
    edit_weights(own, lambda state: state.update({"head.bias": torch.zeros(3)}))
    with pytest.raises(CheckpointError, match="1 mis-shaped") as caught:
        load_model(own)
    assert "(head.bias: found (3,) torch.float32, expected (16,) floats)" in str(caught.value)


def test_integer_weights_are_refused(own):
    edit_weights(own, lambda state: state.update({"head.bias": state["head.bias"].long()}))
    with pytest.raises(CheckpointError, match=r"1 mis-shaped.*int64, expected .* floats"):
        load_model(own)


def test_config_that_does_not_fit_the_weights_says_so(own):
    edit_config(own, transformer={**SPEC.transformer.to_dict(), "depth": 4})
    with pytest.raises(CheckpointError, match="do not fit the configuration") as caught:
        load_model(own)
    assert "missing (blocks.3." in str(caught.value)


def test_text_table_shorter_than_the_config_says_so(own):
    edit_config(own, transformer={**SPEC.transformer.to_dict(), "text_max_length": 99})
    with pytest.raises(CheckpointError, match=r"24 tokens.*asks for 99"):
        load_model(own)


def test_text_table_longer_than_the_config_is_cut(own):
    edit_config(
        own,
        transformer={**SPEC.transformer.to_dict(), "text_max_length": 16},
        text_encoder={**SPEC.text_encoder.to_dict(), "max_length": 16},
    )
    table = load_model(own).transformer.unconditional
    assert torch.equal(table, tiny_transformer().unconditional[:16])


def test_missing_text_encoder_says_what_is_needed(own):
    shutil.rmtree(own / "text_encoder")
    with pytest.raises(CheckpointError, match="needs a text encoder of width 128"):
        load_model(own)


def test_folder_without_config_is_refused(own):
    (own / CONFIG_FILE).unlink()
    with pytest.raises(CheckpointError, match="does not exist"):
        load_model(own)


# --- upstream's files


def test_upstream_pair_loads_with_the_tokenizer_beside_it(upstream):
    model = load_model(upstream)
    assert same_weights(model.transformer, tiny_transformer(RELEASED))
    assert same_weights(model.tokenizer, tiny_tokenizer(RELEASED))
    assert model.spec.name == "small_reg"
    assert model.spec.image_size("1:1") == (1024, 1024)


def test_upstream_folder_loads_its_one_transformer(upstream):
    assert load_model(upstream.parent).spec.name == "small_reg"


def test_patchified_upstream_pair_is_recognised(tmp_path, saved):
    path = write_upstream(tmp_path / "released", upstream_files.PATCHIFY_SPEC)
    shutil.copytree(saved / "text_encoder", path.parent / "text_encoder")
    model = load_model(path)
    assert model.spec.tokenizer == upstream_files.PATCHIFY_SPEC.tokenizer
    assert model.spec.transformer == upstream_files.PATCHIFY_SPEC.transformer


def test_sharded_upstream_folder_loads(tmp_path, saved):
    shards = write_sharded(tmp_path / "released")
    shutil.copytree(saved / "text_encoder", shards.parent / "text_encoder")
    assert same_weights(load_model(shards).transformer, tiny_transformer(RELEASED))
    next(shards.glob("*00002.bin")).unlink()
    with pytest.raises(CheckpointError, match="does not exist"):
        load_model(shards)


@pytest.mark.parametrize("nesting", ["gpt_fsdp", "gpt_wo_ddp"])
def test_training_checkpoint_loads_with_its_own_tokenizer_and_budget(tmp_path, saved, nesting):
    shutil.copytree(saved / "text_encoder", tmp_path / "text_encoder")
    path = tmp_path / "ar-ckpt-giter004K-ep3-iter756-last.pth"
    torch.save(training_checkpoint(nesting, rope2d_normalized_by_hw=1), path)
    model = load_model(path)
    assert same_weights(model.transformer, tiny_transformer(RELEASED))
    assert same_weights(model.tokenizer, tiny_tokenizer(RELEASED))
    assert len(model.spec.schedule("1:1")) == 7
    assert model.spec.transformer.rope == "bilinear"


def test_averaged_weights_are_taken_where_asked_for(tmp_path, saved, caplog):
    shutil.copytree(saved / "text_encoder", tmp_path / "text_encoder")
    content = training_checkpoint("gpt_fsdp")
    path = tmp_path / "train.pth"
    torch.save(content, path)
    with caplog.at_level(logging.WARNING):
        convert(path, tmp_path / "plain", ema=True)
    assert "no averaged weights" in caplog.text
    averaged = {name: tensor * 0 + 0.5 for name, tensor in transformer_state(3).items()}
    averaged = {n: t * 0 if n.endswith("zero_k_bias") else t for n, t in averaged.items()}
    content["trainer"]["gpt_ema_fsdp"] = averaged
    torch.save(content, path)
    convert(path, tmp_path / "averaged", ema=True)
    assert load_model(tmp_path / "averaged").transformer.head.bias[0] == 0.5
    assert load_model(path).transformer.head.bias[0] == 0


def test_named_tokenizer_that_does_not_fit_is_refused_naming_both(upstream, tmp_path):
    other = replace(RELEASED.tokenizer, bits=6)
    spec = replace(RELEASED, tokenizer=other, transformer=_with_bits(6))
    write_upstream(tmp_path / "other", spec)
    with pytest.raises(CheckpointError, match=r"8 bits a token.*gives 6"):
        load_model(upstream, tokenizer=tmp_path / "other" / "infinity_vae_d8.pth")


def test_no_fitting_tokenizer_names_what_was_seen(upstream):
    (upstream.parent / "infinity_vae_d8.pth").unlink()
    with pytest.raises(CheckpointError, match="No tokenizer beside"):
        load_model(upstream)


def test_several_fitting_tokenizers_ask_for_a_choice(upstream):
    first = upstream.parent / "infinity_vae_d8.pth"
    shutil.copy(first, upstream.parent / "infinity_vae_d8_reg.pth")
    with pytest.raises(CheckpointError, match="Several tokenizers"):
        load_model(upstream)
    assert load_model(upstream, tokenizer=first).spec.name == "small_reg"


def test_tokenizer_given_as_transformer_is_refused(upstream):
    with pytest.raises(CheckpointError, match="should be a transformer but is a tokenizer"):
        load_model(upstream.parent / "infinity_vae_d8.pth")


def test_load_tokenizer_takes_either_format(upstream, saved):
    released = load_tokenizer(upstream.parent / "infinity_vae_d8.pth")
    assert same_weights(released, tiny_tokenizer(RELEASED))
    assert same_weights(load_tokenizer(saved), tiny_tokenizer())


def test_malicious_pickle_is_refused_and_not_run(upstream, tmp_path):
    marker = tmp_path / "ran"
    content = {**transformer_state(), "bad": _Touch(marker)}
    for legacy in (False, True):
        torch.save(content, upstream, _use_new_zipfile_serialization=not legacy)
        with pytest.raises(CheckpointError, match="could run code") as caught:
            load_model(upstream)
        assert "\n" not in str(caught.value)
    assert not marker.exists()


class _Touch:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


@pytest.mark.parametrize("keep", [0, 10, 5000, -100])
def test_truncated_pickle_is_refused(upstream, keep):
    content = upstream.read_bytes()
    upstream.write_bytes(content[:keep])
    with pytest.raises(CheckpointError, match=r"damaged|truncated|no named tensors"):
        load_model(upstream)


@pytest.mark.parametrize("content", [[1, 2], {"a": 1}, {}, 5, {"trainer": {}}, {"vae": 3}])
def test_pickle_without_weights_is_refused(upstream, content):
    torch.save(content, upstream)
    with pytest.raises(CheckpointError):
        load_model(upstream)


def test_file_of_another_kind_is_refused(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("hello")
    with pytest.raises(CheckpointError, match="not a weights file"):
        load_model(path)


def test_missing_path_and_unknown_name_are_told_apart(tmp_path):
    with pytest.raises(CheckpointError, match="does not exist"):
        load_model(tmp_path / "nowhere")
    with pytest.raises(CheckpointError, match="does not exist"):
        load_model("nowhere.pth")
    with pytest.raises(RequestError, match="did you mean"):
        load_model("infinity-2")


def test_configuration_without_weights_says_so():
    with pytest.raises(CheckpointError, match="never released"):
        load_model("infinity-361m")


def _with_bits(bits: int):
    return replace(RELEASED.transformer, bits_per_token=bits)


# --- conversion


@pytest.mark.parametrize("dtype", [None, torch.bfloat16])
def test_convert_writes_a_folder_that_loads_the_same(upstream, tmp_path, dtype):
    output = tmp_path / "converted"
    spec = convert(upstream, output, dtype=dtype)
    assert read_spec(output).transformer == spec.transformer == RELEASED.transformer
    model = load_model(output)
    if dtype is None:
        assert same_weights(model.transformer, tiny_transformer(RELEASED))
    stored = load_file(output / "transformer.safetensors")
    assert stored["blocks.0.attention.qkv.weight"].dtype == (dtype or torch.float32)
    assert same_weights(model.tokenizer, tiny_tokenizer(RELEASED))


def test_convert_refuses_its_own_format(saved, tmp_path):
    with pytest.raises(CheckpointError, match="already"):
        convert(saved, tmp_path / "out")


def test_convert_refuses_incomplete_weights(upstream, tmp_path):
    state = transformer_state(3)
    del state["head.bias"]
    torch.save(state, upstream)
    with pytest.raises(CheckpointError, match="1 missing"):
        convert(upstream, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_model_with_another_text_width_needs_its_encoder(tmp_path):
    path = write_upstream(tmp_path / "released")
    with pytest.raises(CheckpointError, match="needs a text encoder of width 128"):
        load_model(path)
    write_t5_folder(path.parent / "text_encoder")
    assert isinstance(load_model(path).spec, ModelSpec)


def test_released_configuration_takes_its_registered_settings(tmp_path):
    """The matching entry gives sampling and schedules; only the shapes are real here."""
    from infinity.checkpoints.upstream import _spec_for
    from infinity.registry import MODEL_SPECS

    known = MODEL_SPECS["infinity-8b-512"]
    path = tmp_path / "infinity_8b_512x512_weights"
    path.mkdir()
    spec = _spec_for(path, known.transformer, known.tokenizer, {})
    assert spec.image_size("1:1") == (512, 512)
    assert spec.sampling == SamplingParams(guidance=3.0, temperature=1.0, top_k=900, top_p=0.97)
    with pytest.raises(CheckpointError, match="56 bits a token"):
        _spec_for(path, known.transformer, TokenizerConfig(bits=32), {})
