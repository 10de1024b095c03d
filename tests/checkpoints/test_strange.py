"""Folders and weights that no training wrote: one sentence, before anything is built."""

from __future__ import annotations

import json
import os
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from infinity.__main__ import main
from infinity.checkpoints.adapter import merge_adapter, read_adapter
from infinity.checkpoints.load import load_model
from infinity.errors import CheckpointError, RequestError, ResourceError
from infinity.events import Done
from infinity.images import open_image
from infinity.request import GenerationRequest
from tests.checkpoints.upstream_files import write_upstream
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


@pytest.mark.parametrize(
    ("part", "name", "value"),
    [("tokenizer", "channel_multipliers", [1] * 500)]
    + [("text_encoder", "source", bad)
       for bad in ("../../etc", "/etc", "..", "a/../../b", "a/b/c", "a\\b", "", "x" * 9_000 + "/")],
    ids=lambda value: str(value)[:20],
)  # fmt: skip
def test_configuration_that_leads_elsewhere_is_refused(folder, part, name, value):
    path = folder / "config.json"
    config = json.loads(path.read_text())
    config[part][name] = value
    path.write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match=name) as caught:
        load_model(folder)
    assert len(str(caught.value)) < 600


def test_names_in_weights_and_indexes_are_quoted_briefly(folder, tmp_path):
    (path,) = folder.glob("transformer*.safetensors")
    save_file(load_file(path) | {"x" * 9_000: torch.zeros(1)}, path, {"format": "pt"})
    halves = {f"{'y' * 9_000}.lora_{half}.weight": torch.ones(2, 2) for half in "AB"}
    save_file(halves, tmp_path / "adapter.safetensors")
    save_file({"z" * 9_000: torch.ones(1)}, tmp_path / "other.safetensors")
    index = folder / "tokenizer.safetensors.index.json"
    for adapter in (None, "adapter", "other"):
        with pytest.raises(CheckpointError) as caught:
            merge_adapter(tiny_pipeline().transformer, read_adapter(tmp_path / f"{adapter}.safetensors")
                          ) if adapter else load_model(folder)  # fmt: skip
        assert len(str(caught.value)) < 600
    index.write_text(json.dumps({"weight_map": {"a": "x" * 400}}))
    with pytest.raises(CheckpointError, match="outside its own folder"):
        load_model(folder)


def test_name_that_no_system_can_have_is_one_sentence(folder):
    for name in ("x" * 5_000, "a\0b", "d/" * 3_000):
        with pytest.raises((CheckpointError, RequestError)):
            load_model(name)
        with pytest.raises(CheckpointError, match="does not exist"):
            load_model(folder, adapter=name)


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


@pytest.mark.parametrize(
    "name",
    ["config.json", "world.json", "transformer.safetensors", "tokenizer.safetensors",
     "transformer.safetensors.index.json", "text_encoder/model.safetensors"],
)  # fmt: skip
def test_pipe_in_a_model_s_folder_is_not_waited_for(name, folder):
    (folder / name).unlink(missing_ok=True)
    os.mkfifo(folder / name)
    if name.endswith("index.json"):
        load_model(folder)  # an index that is no file is none
    else:
        with pytest.raises(CheckpointError):
            load_model(folder)


@pytest.mark.parametrize("name", ["x.pth", "x.safetensors", "x.bin", "adapter_config.json"])
def test_pipe_in_place_of_weights_is_not_waited_for(name, folder, tmp_path):
    os.mkfifo(tmp_path / name)
    with pytest.raises((CheckpointError, RequestError)):
        load_model(tmp_path / name)
    with pytest.raises(CheckpointError):
        load_model(folder, adapter=tmp_path / name)


def test_pipe_in_place_of_settings_is_not_waited_for(tmp_path):
    from infinity.hosting import Hosting
    from training.config.errors import SettingsError
    from training.config.load import load_config

    for name in ("hosting.toml", "run.json", "run.yaml"):
        os.mkfifo(tmp_path / name)
    with pytest.raises(RequestError, match="is a pipe, not a file"):
        Hosting.from_file(tmp_path / "hosting.toml")
    for name in ("run.json", "run.yaml"):
        with pytest.raises(SettingsError, match="is a pipe, not a file"):
            load_config(tmp_path / name)


def test_settings_nested_without_end_are_one_sentence(tmp_path):
    from infinity.hosting import Hosting

    path = tmp_path / "hosting.toml"
    path.write_text("models = " + "[" * 50_000)
    with pytest.raises(RequestError, match="cannot be read"):
        Hosting.from_file(path)
    path.write_text("memory_gigabytes = " + "9" * 400)
    with pytest.raises(RequestError):
        Hosting.from_file(path).warm_up  # noqa: B018


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("part", ["transformer", "tokenizer"])
def test_upstream_s_weights_that_are_no_numbers_are_refused(part, value, folder, tmp_path):
    path = write_upstream(tmp_path / "released")
    shutil.copytree(folder / "text_encoder", path.parent / "text_encoder")
    broken = path if part == "transformer" else path.with_name("infinity_vae_d8.pth")
    content = torch.load(broken, weights_only=True)
    tensors = content.get("vae", content)
    next(t for t in tensors.values() if t.is_floating_point()).view(-1)[0] = value
    torch.save(content, broken)
    with pytest.raises(CheckpointError, match=f"1 tensors of the {part} hold infinite values"):
        load_model(path)


def test_command_line_draws_nothing_of_broken_weights(folder, tmp_path, capsys):
    (path,) = folder.glob("transformer*.safetensors")
    tensors = load_file(path)
    tensors["head.weight"][0, 0] = float("nan")
    save_file(tensors, path, {"format": "pt"})
    words = ["generate", "x", "--model", str(folder), "--device", "cpu"]
    assert main([*words, "-o", str(tmp_path / "x.png")]) != 0
    assert "hold infinite values" in capsys.readouterr().err
    assert not (tmp_path / "x.png").exists()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("row", [0, -1])
@pytest.mark.parametrize("previews", ["off", "live", "full"])
def test_one_logit_that_is_no_number_ends_without_a_picture(value, row, previews):
    """In any row of the head, so at any bit; the text is sound, the last scale is looked at too."""
    pipeline = tiny_pipeline()
    with torch.no_grad():
        pipeline.transformer.head.bias[row] = value
    events = []
    with pytest.raises(ResourceError, match="float32 or bfloat16"):
        events.extend(pipeline.stream(GenerationRequest(prompt="x"), previews=previews))
    assert not any(isinstance(event, Done) for event in events)
