"""Weights kept as int8: near what they were, the same when written again, and refused where damaged."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file, save_file

from infinity.checkpoints.load import load_model
from infinity.checkpoints.save import save_model
from infinity.errors import CheckpointError
from infinity.int8 import LARGE, SCALE, dequantized, quantized
from infinity.weights import read_own_part
from tests.tiny import SPEC, tiny_folder, tiny_tokenizer, tiny_transformer

NAME = "decoder.middle.0.conv1.weight"


@pytest.fixture
def state() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return {
        "conv.weight": torch.randn(64, 64, 3, 3) * torch.rand(64, 1, 1, 1),
        "decoder.conv_out.weight": torch.randn(48, 80, 3, 3).bfloat16(),
        "linear.weight": torch.randn(256, 200),
        "small.weight": torch.randn(8, 8),
        "conv.bias": torch.randn(LARGE),
        "table": torch.arange(LARGE).reshape(2, -1),
    }


def test_large_matrices_are_halved_and_near_what_they_were(state, tmp_path):
    kept = quantized(state)
    whole = {name for name, tensor in kept.items() if tensor.dtype == torch.int8}
    assert whole == {"conv.weight", "decoder.conv_out.weight", "linear.weight"}
    assert kept["conv.weight" + SCALE].shape == (64,)
    assert kept["decoder.conv_out.weight" + SCALE].shape == (48, 80)
    read = dequantized(kept, tmp_path)
    assert read.keys() == state.keys()
    for name in whole:
        scale = kept[name + SCALE].float()
        scale = scale.reshape(*scale.shape, *[1] * (state[name].ndim - scale.ndim))
        assert ((read[name] - state[name].float()).abs() <= scale * 0.501).all()
    assert all(torch.equal(read[name], state[name]) for name in state.keys() - whole)


def test_what_was_read_is_written_again_as_it_was(state, tmp_path):
    kept = quantized(state)
    again = quantized(dequantized(kept, tmp_path))
    assert kept.keys() == again.keys()
    assert all(torch.equal(kept[name], again[name]) for name in kept)


def test_rows_of_zeros_and_of_tiny_numbers_stay(tmp_path):
    rows = torch.randn(4, LARGE)
    rows[1], rows[2] = 0, rows[2] * 1e-30
    read = dequantized(quantized({"a": rows}), tmp_path)["a"]
    assert not read[1].any()
    assert torch.allclose(read[2] * 1e30, rows[2] * 1e30, atol=0.05)


def test_model_saved_with_int8_is_smaller_and_draws_nearly_the_same(tmp_path):
    plain = tiny_folder(tmp_path / "plain")
    parts = (SPEC, tiny_transformer(), tiny_tokenizer(), plain / "text_encoder")
    save_model(tmp_path / "int8", *parts, int8=True, shard_bytes=200_000)
    assert len(list((tmp_path / "int8").glob("tokenizer-*"))) > 1
    before, after = (
        load_model(tmp_path / name, "cpu", torch.float32) for name in ("plain", "int8")
    )
    assert before.fingerprint != after.fingerprint
    wanted, found = (model.transformer.state_dict() for model in (before, after))
    assert all(torch.equal(wanted[name], found[name]) for name in wanted)
    latent = torch.randn(1, SPEC.tokenizer.bits, 8, 8)
    with torch.inference_mode():
        pictures = [model.tokenizer.decode(latent) for model in (before, after)]
    assert 0 < (pictures[0] - pictures[1]).abs().max() < 0.05


@pytest.fixture
def damaged(tmp_path):
    """Writes a tokenizer kept as int8 after a change to its tensors."""
    path = tmp_path / "tokenizer.safetensors"

    def write(change):
        tensors = quantized({NAME: torch.randn(64, 64, 3, 3)})
        change(tensors)
        save_file(tensors, path)
        return tmp_path

    return write


@pytest.mark.parametrize(
    "change",
    [
        lambda tensors: tensors.pop(NAME + SCALE),
        lambda tensors: tensors.update({NAME + SCALE: torch.ones(63)}),
        lambda tensors: tensors.update({NAME + SCALE: torch.ones(64, 3)}),
        lambda tensors: tensors.update({NAME + SCALE: torch.tensor(1.0)}),
        lambda tensors: tensors.update({NAME + SCALE: torch.ones(64, dtype=torch.int32)}),
        lambda tensors: tensors.update({NAME + SCALE: torch.full((64,), float("nan"))}),
        lambda tensors: tensors.update({NAME + SCALE: torch.full((64,), float("inf"))}),
        lambda tensors: tensors.update({NAME: torch.tensor(3, dtype=torch.int8)}),
    ],
    ids=["missing", "short", "other", "one", "whole", "nan", "infinite", "number"],
)
def test_int8_without_its_scale_is_refused_in_a_sentence(damaged, change):
    with pytest.raises(CheckpointError) as error:
        read_own_part(damaged(change), "tokenizer")
    assert NAME + SCALE in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("part", ["tokenizer", "transformer"])
def test_scale_without_its_tensor_is_refused(tmp_path, part):
    folder = tiny_folder(tmp_path / "model")
    path = folder / f"{part}.safetensors"
    save_file({**load_file(path), "more.weight" + SCALE: torch.ones(4)}, path)
    with pytest.raises(CheckpointError, match=r"more\.weight\.scale"):
        load_model(folder, "cpu", torch.float32)
