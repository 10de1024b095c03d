"""infinity.text: own-length runs, truncation, cache, release, damaged folders."""

from __future__ import annotations

import contextlib
import io
import json
import sys
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer, PreTrainedTokenizerFast, T5EncoderModel

from infinity.config import TextEncoderConfig
from infinity.errors import CheckpointError, InfinityError
from infinity.text import CACHED_PROMPTS, TextEncoder, TextTokenizer
from tests.t5_folder import WIDTH, write_t5_folder

PROMPT = "a red castle under the night sky"
CONFIG = TextEncoderConfig(width=WIDTH, max_length=32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return write_t5_folder(tmp_path_factory.mktemp("t5"))


@pytest.fixture
def encoder(folder) -> TextEncoder:
    return TextEncoder(folder, CONFIG)


def test_import_does_not_import_transformers():
    import subprocess

    code = "import sys, infinity.text; sys.exit('transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_own_length_equals_padded_on_real_tokens(folder, encoder):
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    model = T5EncoderModel.from_pretrained(folder, dtype=torch.float32).eval()
    padded = tokenizer(PROMPT, padding="max_length", max_length=32, return_tensors="pt")
    with torch.no_grad():
        expected = model(padded.input_ids, padded.attention_mask).last_hidden_state[0]
    encoded = encoder.encode(PROMPT)
    assert len(encoded.features) == int(padded.attention_mask.sum())
    assert encoded.features.dtype == torch.float32
    torch.testing.assert_close(
        encoded.features, expected[: len(encoded.features)], atol=1e-5, rtol=1e-5
    )


def test_features_work_under_autograd(encoder):
    layer = torch.nn.Linear(WIDTH, 1)
    layer(encoder.encode(PROMPT).features).sum().backward()
    assert layer.weight.grad is not None


def test_short_prompt_is_not_truncated(encoder):
    encoded = encoder.encode(PROMPT)
    assert not encoded.dropped_tokens
    assert encoded.dropped_tokens == 0
    assert encoded.kept_text == PROMPT


def test_long_prompt_reports_what_was_kept(folder, encoder):
    prompt = " ".join([PROMPT] * 20)
    encoded = encoder.encode(prompt)
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    assert encoded.dropped_tokens
    assert len(encoded.features) == CONFIG.max_length
    assert encoded.dropped_tokens == len(tokenizer(prompt).input_ids) - CONFIG.max_length
    assert prompt.startswith(encoded.kept_text)
    assert 0 < len(encoded.kept_text) < len(prompt)
    reencoded = encoder.encode(encoded.kept_text)
    torch.testing.assert_close(reencoded.features, encoded.features, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("prompt", ["", "   ", "🍎🏖️", "сова в лесу", "夜の城", "word " * 10_000])
def test_odd_prompts_give_finite_features(encoder, prompt):
    encoded = encoder.encode(prompt)
    assert 1 <= len(encoded.features) <= CONFIG.max_length
    assert torch.isfinite(encoded.features).all()


def test_cache_keeps_the_most_recent_prompts(encoder):
    first = encoder.encode(PROMPT)
    for index in range(CACHED_PROMPTS - 1):
        encoder.encode(f"castle {index}")
    assert encoder.encode(PROMPT) is first
    encoder.encode("one more")
    assert encoder.encode(PROMPT) is first
    for index in range(CACHED_PROMPTS):
        encoder.encode(f"tree {index}")
    again = encoder.encode(PROMPT)
    assert again is not first
    torch.testing.assert_close(again.features, first.features)


def test_release_frees_weights_and_encode_reloads(encoder):
    before = encoder.encode(PROMPT).features
    encoder.release()
    assert not encoder.is_loaded
    assert encoder.encode(PROMPT).features is before
    assert not encoder.is_loaded
    encoder.encode("a tree")
    assert encoder.is_loaded


def test_bfloat16_encoder_gives_float32_features(folder, encoder):
    features = TextEncoder(folder, CONFIG, dtype=torch.bfloat16).encode(PROMPT).features
    assert features.dtype == torch.float32
    torch.testing.assert_close(features, encoder.encode(PROMPT).features, atol=0.1, rtol=0.1)


def test_missing_folder_says_so(tmp_path):
    with pytest.raises(CheckpointError, match="does not exist"):
        TextEncoder(tmp_path / "nowhere", CONFIG).encode(PROMPT)


def test_other_width_names_both_sides(folder):
    with pytest.raises(CheckpointError, match=r"width 128.*expects 256"):
        TextEncoder(folder, TextEncoderConfig(width=256)).encode(PROMPT)


def test_truncated_weights_are_refused(tmp_path):
    folder = write_t5_folder(tmp_path)
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    with pytest.raises(CheckpointError, match="damaged"):
        TextEncoder(folder, CONFIG).encode("x")


def test_missing_tensor_is_listed(tmp_path):
    folder = write_t5_folder(tmp_path)
    tensors = load_file(folder / "model.safetensors")
    name = "encoder.block.1.layer.0.SelfAttention.q.weight"
    tensors.pop(name)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match="1 missing") as caught:
        TextEncoder(folder, CONFIG).encode("x")
    assert f"1 missing ({name})" in str(caught.value)


def test_mis_shaped_tensor_is_refused(tmp_path):
    folder = write_t5_folder(tmp_path)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "d_ff": 32}))
    with pytest.raises(CheckpointError):
        TextEncoder(folder, CONFIG).encode("x")


def test_missing_tokenizer_is_refused(tmp_path):
    folder = write_t5_folder(tmp_path)
    (folder / "tokenizer.json").unlink()
    with pytest.raises(CheckpointError, match="tokenizer"):
        TextEncoder(folder, CONFIG).encode("x")


@pytest.mark.parametrize("name", ["default", "tiny"])
def test_tokenizer_agrees_with_transformers_own(folder, name):
    folder = folder if name == "tiny" else get_spec_folder()
    theirs, ours = PreTrainedTokenizerFast.from_pretrained(folder), TextTokenizer(folder)
    for prompt in (
        PROMPT, "", "  ", "🍎🏖️ apple", "сова в лесу", "夜の城", "a </s> b <pad> <unk>", "Ａｐｐｌｅ  café\n\tx",
        "word " * 300, "x" * 500, "e\u0301", "\u200b\u00a0",
    ):  # fmt: skip
        found = theirs(prompt, return_offsets_mapping=True, verbose=False)
        assert ours(prompt) == (found["input_ids"], found["offset_mapping"])
        known = [token for token in found["input_ids"] if token != theirs.unk_token_id]
        assert ours.decode(known) == theirs.decode(known, skip_special_tokens=True)
    assert ours.unknown == theirs.unk_token_id


def get_spec_folder() -> Path:
    return Path(__file__).parents[1] / "assets" / "default_model" / "text_encoder"


def test_code_in_the_folder_is_never_run(tmp_path, monkeypatch, capfd):
    folder = write_t5_folder(tmp_path / "t5")
    mark = tmp_path / "mark"
    code = f"open({str(mark)!r}, 'w').close()\nclass Mine: pass\n"
    for module in ("configuration_mine.py", "modeling_mine.py", "tokenization_mine.py"):
        (folder / module).write_text(code)
    auto_map = {
        "AutoConfig": "configuration_mine.Mine",
        "AutoModel": "modeling_mine.Mine",
        "AutoTokenizer": ["tokenization_mine.Mine", "tokenization_mine.Mine"],
    }
    for name in ("config.json", "tokenizer_config.json"):
        settings = json.loads((folder / name).read_text())
        settings |= {"auto_map": auto_map, "model_type": "mine", "tokenizer_class": "Mine"}
        (folder / name).write_text(json.dumps(settings))
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n" * 9))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with contextlib.suppress(InfinityError):  # read without the code, or refused
        TextEncoder(folder, TextEncoderConfig(width=WIDTH, max_length=32)).encode("a red castle")
    assert not mark.exists()
    assert "run the custom code" not in "".join(capfd.readouterr())
