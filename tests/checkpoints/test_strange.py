"""Folders and weights that no training wrote: one sentence, before anything is built."""

from __future__ import annotations

import json
import os

import pytest
import torch
from safetensors.torch import load_file, save_file

from infinity.checkpoints.load import load_model
from infinity.errors import CheckpointError, RequestError, ResourceError
from infinity.images import open_image
from infinity.request import GenerationRequest
from tests.tiny import tiny_folder, tiny_pipeline


@pytest.fixture
def folder(tmp_path):
    return tiny_folder(tmp_path / "tiny")


@pytest.mark.parametrize("part", ["transformer", "tokenizer"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_weights_that_are_no_numbers_are_refused(folder, part, value):
    (path,) = folder.glob(f"{part}*.safetensors")
    tensors = load_file(path)
    name = next(name for name, tensor in tensors.items() if tensor.is_floating_point())
    tensors[name].view(-1)[0] = value
    save_file(tensors, path, {"format": "pt"})
    with pytest.raises(CheckpointError, match=f"1 tensors of the {part} hold infinite values"):
        load_model(folder)


def test_logits_that_are_no_numbers_end_without_a_picture():
    pipeline = tiny_pipeline()
    with torch.no_grad():
        pipeline.transformer.blocks[0].attention.qkv.weight.fill_(float("nan"))
    with pytest.raises(ResourceError, match="there is no picture"):
        pipeline.generate(GenerationRequest(prompt="x"))


@pytest.mark.parametrize(
    "change",
    [
        {"depth": 10**9}, {"depth": 10**400}, {"width": 10**12}, {"depth": float("inf")},
        {"depth": True}, {"depth": "6"}, {"mlp_ratio": float("nan")}, {"mlp_ratio": 1e30},
    ],
    ids=str,
)  # fmt: skip
def test_configuration_beyond_all_sizes_is_refused(folder, change):
    path = folder / "config.json"
    config = json.loads(path.read_text())
    config["transformer"] |= change
    path.write_text(json.dumps(config))
    with pytest.raises(CheckpointError) as caught:
        load_model(folder)
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, "9" * 5000, "", "\0"])
def test_configuration_that_is_no_configuration_is_refused(folder, text):
    (folder / "config.json").write_text(text)
    with pytest.raises(CheckpointError):
        load_model(folder)


def test_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "picture.png")
    with pytest.raises(RequestError, match="is a pipe, not a file"):
        open_image(tmp_path / "picture.png")
    with pytest.raises(RequestError, match="is a device, not a file"):
        open_image("/dev/zero")
