"""infinity.text: computes what transformers computes, and takes nothing but numbers from a folder."""

from __future__ import annotations

import io
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import load_file, save_file
from transformers import T5EncoderModel, T5ForConditionalGeneration, T5Tokenizer

from infinity.config import TextEncoderConfig
from infinity.errors import CheckpointError, InfinityError
from infinity.registry import DEFAULT_MODEL_FOLDER
from infinity.rewriter import RewriterSettings, rewrite
from infinity.text import TextEncoder, TextTokenizer, load_encoder
from tests.t5_folder import WIDTH, write_t5_folder

CPU = torch.device("cpu")
CONFIG = TextEncoderConfig(width=WIDTH, max_length=32)
IDS = torch.tensor([[5, 9, 3, 3, 11, 1]])
PROMPTS = ("a red castle", "", "two </s> of <extra_id_0> them<unk>", "Ünï  ⅓ \t🍎", "夜", "x" * 400)


@pytest.fixture
def folder(tmp_path) -> Path:
    return write_t5_folder(tmp_path / "t5")


def edit(folder: Path, **changes: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("which", ["tiny", "default"])
def test_features_are_those_of_transformers(which, dtype, folder):
    if which == "default":
        folder = DEFAULT_MODEL_FOLDER / "text_encoder"
    theirs = T5EncoderModel.from_pretrained(folder, dtype=dtype).eval()
    ours = load_encoder(folder, CPU, dtype)
    assert {n: p.dtype for n, p in ours.named_parameters()} == {
        n: p.dtype for n, p in theirs.named_parameters()
    }
    with torch.no_grad():
        assert torch.equal(ours(IDS).last_hidden_state, theirs(IDS).last_hidden_state)
    assert not any(p.requires_grad or p.is_meta for p in ours.parameters())


def test_whole_t5_and_shards_give_its_encoder(folder):
    model = T5EncoderModel.from_pretrained(folder)
    whole = T5ForConditionalGeneration(model.config)
    whole.shared.load_state_dict(model.shared.state_dict())
    whole.encoder.load_state_dict(model.encoder.state_dict())
    place = folder.parent / "whole"
    whole.save_pretrained(place, max_shard_size="60KB")
    assert (place / "model.safetensors.index.json").is_file()
    with torch.no_grad():
        expected = model.eval()(IDS).last_hidden_state
        assert torch.equal(load_encoder(place, CPU, torch.float32)(IDS).last_hidden_state, expected)


def test_pieces_of_t5_s_own_class_are_read_alike(tmp_path):
    words = ["▁a", "▁red", "▁cas", "tle", "▁", "e", "d", "r", "x", "▁of", "two", "▁them", "Ü", "n"]
    vocab = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), *((word, -2.0) for word in words)]
    T5Tokenizer(vocab=vocab, extra_ids=3).save_pretrained(tmp_path)
    theirs, ours = T5Tokenizer.from_pretrained(tmp_path), TextTokenizer(tmp_path)
    assert len(ours) == len(theirs)
    for prompt in PROMPTS:
        found = theirs(prompt, return_offsets_mapping=True, verbose=False)
        assert ours(prompt) == (found["input_ids"], found["offset_mapping"])
        known = [token for token in found["input_ids"] if token != theirs.unk_token_id]
        assert ours.decode(known) == theirs.decode(known, skip_special_tokens=True)
    assert ours.unknown == theirs.unk_token_id == 2


def test_spiece_model_alone_is_one_sentence(folder):
    (folder / "tokenizer.json").rename(folder / "spiece.model")
    with pytest.raises(CheckpointError, match="alone is not read"):
        TextEncoder(folder, CONFIG).encode("x")


@pytest.mark.parametrize(
    "change",
    [
        {"num_layers": 10**9}, {"num_layers": 10**400}, {"d_ff": 10**12}, {"vocab_size": 10**12},
        {"num_heads": -1}, {"d_kv": float("inf")}, {"d_model": "128"}, {"num_layers": True},
        {"layer_norm_epsilon": float("nan")}, {"relative_attention_num_buckets": 0},
        {"feed_forward_proj": "__import__"}, {"feed_forward_proj": 3}, {"model_type": "llama"},
        {"model_type": None}, {"vocab_size": 50}, {"d_ff": 32}, {"num_layers": 3},
    ],
    ids=str,
)  # fmt: skip
def test_sizes_that_are_not_the_weights_are_refused(change, folder):
    edit(folder, **change)
    with pytest.raises(CheckpointError) as caught:
        TextEncoder(folder, CONFIG).encode("x")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 700


@pytest.mark.parametrize("text", ["[" * 10**5, '{"a":' * 10**5, "", "[]", "9" * 9999, "\0"])
@pytest.mark.parametrize("name", ["config.json", "tokenizer.json"])
def test_files_that_are_none_are_refused(name, text, folder):
    (folder / name).write_text(text)
    with pytest.raises(CheckpointError):
        TextEncoder(folder, CONFIG).encode("x")


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors"])
def test_pipes_are_not_waited_for(name, folder):
    (folder / name).unlink()
    os.mkfifo(folder / name)
    with pytest.raises(CheckpointError):
        TextEncoder(folder, CONFIG).encode("x")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused(value, folder):
    tensors = load_file(folder / "model.safetensors")
    tensors["encoder.final_layer_norm.weight"][3] = value
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(CheckpointError, match="1 tensors of the text encoder hold infinite"):
        TextEncoder(folder, CONFIG).encode("x")


@pytest.mark.parametrize(
    "change", [{"post_processor": None}, {"model": {"type": "Unigram", "vocab": []}}], ids=str
)
def test_pieces_that_t5_does_not_read_are_refused(change, folder):
    path = folder / "tokenizer.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(CheckpointError, match="text tokenizer"):
        TextEncoder(folder, CONFIG).encode("x")


def test_nothing_that_a_folder_names_is_looked_up(folder, tmp_path):
    """Kernels of the hub, adapters, quantizers, pickles: transformers would follow all of these."""
    edit(
        folder,
        _attn_implementation="somebody/kernel",
        attn_implementation="somebody/kernel",
        quantization_config={"quant_method": "bitsandbytes", "load_in_4bit": True},
        auto_map={"AutoModel": "somebody/repository--modeling.Mine"},
        architectures=["Mine"],
        torch_dtype="float99",
    )
    adapter = {"peft_type": "LORA", "base_model_name_or_path": str(tmp_path / "elsewhere")}
    (folder / "adapter_config.json").write_text(json.dumps(adapter))
    (folder / "pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'touch mark'\ntR.")
    encoded = TextEncoder(folder, CONFIG).encode("a red castle")
    plain = TextEncoder(write_t5_folder(tmp_path / "plain"), CONFIG).encode("a red castle")
    assert torch.equal(encoded.features, plain.features)


@pytest.mark.parametrize("kind", ["model", "tokenizer"])
def test_code_beside_a_local_text_model_is_never_run(kind, tmp_path, monkeypatch, capfd):
    """Prompt help by a text model whose folder brings code, with "yes" typed ahead."""
    folder, mark = tmp_path / "helper", tmp_path / "mark"
    folder.mkdir()
    (folder / "mine.py").write_text(f"open({str(mark)!r}, 'w').close()\nclass Mine: pass\n")
    auto_map: dict[str, Any] = {
        "AutoConfig": "mine.Mine",
        "AutoModelForCausalLM": "mine.Mine",
        "AutoTokenizer": ["mine.Mine", "mine.Mine"],
    }
    config = {"model_type": "mine" if kind == "model" else "gpt2", "auto_map": auto_map}
    (folder / "config.json").write_text(json.dumps(config))
    told = {"tokenizer_class": "Mine", "auto_map": auto_map}
    (folder / "tokenizer_config.json").write_text(json.dumps(told))
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n" * 9))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(InfinityError):
        rewrite("a cat", RewriterSettings(kind="local", model=str(folder)))
    assert not mark.exists()
    assert "run the custom code" not in "".join(capfd.readouterr())
