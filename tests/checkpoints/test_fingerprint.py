"""A model's fingerprint: the same for the same weights, another for others; pictures carry it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from infinity.__main__ import main
from infinity.checkpoints.adapter import read_adapter
from infinity.checkpoints.fingerprint import fingerprint
from infinity.checkpoints.load import convert, fingerprint_of, load_model
from infinity.manager import ModelManager
from infinity.metadata import KEY, PictureRecord, read_record
from infinity.pipeline import InfinityPipeline
from infinity.request import GenerationRequest
from tests.checkpoints.upstream_files import write_upstream
from tests.tiny import SPEC, tiny_folder, tiny_transformer
from training.config.sections import LoraSettings
from training.finetune.lora import add_lora, save_adapter


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return tiny_folder(tmp_path_factory.mktemp("own") / "tiny")


@pytest.fixture
def copy(model, tmp_path) -> Path:
    return Path(shutil.copytree(model, tmp_path / "copy"))


def write_adapter(folder: Path, scale: float = 0.1) -> Path:
    transformer = tiny_transformer()
    add_lora(transformer, settings := LoraSettings(rank=3, alpha=6), seed=1)
    with torch.no_grad():
        for name, parameter in transformer.named_parameters():
            if ".lora_B." in name:
                parameter.fill_(scale)
    save_adapter(folder, settings, transformer.state_dict(), base="tiny")
    return folder


def test_fingerprint_is_that_of_every_machine(tmp_path):
    folder = tmp_path / "text"
    folder.mkdir()
    numbers = {
        "large": torch.arange(50_000, dtype=torch.int32).view(250, 200),
        "decoder.left": torch.ones(1),
        "one": torch.tensor(0.5, dtype=torch.bfloat16),
    }
    save_file(numbers, folder / "model.safetensors")
    (folder / "tokenizer.json").write_bytes(b"{}")
    parts = {"b": torch.arange(6, dtype=torch.float32).view(2, 3), "a": torch.zeros(0)}
    assert fingerprint(parts, {"x": torch.tensor([1, -2])}, folder) == "188e8e4c099fd8f7"
    del numbers["decoder.left"]
    save_file(numbers, folder / "model.safetensors")
    backwards = dict(reversed(parts.items()))
    assert fingerprint(backwards, {"x": torch.tensor([1, -2])}, folder) == "188e8e4c099fd8f7"


@pytest.mark.parametrize("part", ["transformer", "tokenizer", "text_encoder/model"])
def test_change_of_any_tensor_is_another_model(part, model, copy):
    path = copy / f"{part}.safetensors"
    tensors = load_file(path)
    changed = {name for name in tensors}
    for name in list(changed)[::7]:
        save_file({**tensors, name: tensors[name] * 1.001 + 1e-4}, path, {"format": "pt"})
        assert fingerprint_of(copy) != fingerprint_of(model), name
    save_file(tensors, path, {"format": "pt"})
    assert fingerprint_of(copy) == fingerprint_of(model)


def test_text_pieces_belong_to_the_model(model, copy):
    path = copy / "text_encoder" / "tokenizer.json"
    path.write_text(path.read_text() + " ")
    assert fingerprint_of(copy) != fingerprint_of(model)


def test_fingerprint_does_not_depend_on_how_weights_are_loaded_or_cut_into_files(model, tmp_path):
    from infinity.checkpoints.save import save_model

    loaded = load_model(model)
    assert loaded.fingerprint == fingerprint_of(model)
    assert load_model(model, dtype=torch.bfloat16).fingerprint == loaded.fingerprint
    save_model(
        tmp_path / "sharded", SPEC, loaded.transformer, loaded.tokenizer, model / "text_encoder",
        shard_bytes=200_000,
    )  # fmt: skip
    assert fingerprint_of(tmp_path / "sharded") == loaded.fingerprint


def test_upstream_s_file_and_its_conversion_are_one_model(model, tmp_path):
    path = write_upstream(tmp_path / "released")
    shutil.copytree(model / "text_encoder", path.parent / "text_encoder")
    before = load_model(path).fingerprint
    convert(path, tmp_path / "converted")
    assert fingerprint_of(path) == ""  # only loading tells
    assert fingerprint_of(tmp_path / "converted") == before


def test_adapter_belongs_to_the_model(model, tmp_path):
    one, other = write_adapter(tmp_path / "a"), write_adapter(tmp_path / "b", 0.2)
    marks = [fingerprint_of(model, adapter) for adapter in (None, one, other)]
    assert len({*marks}) == 3
    assert load_model(model, adapter=one).fingerprint == marks[1]
    edited = json.loads((one / "adapter_config.json").read_text()) | {"lora_alpha": 7}
    (one / "adapter_config.json").write_text(json.dumps(edited))
    assert read_adapter(one).layers
    assert fingerprint_of(model, one) not in marks


def test_manager_tells_what_is_not_loaded_and_nothing_of_other_folders(model, tmp_path):
    adapter = write_adapter(tmp_path / "toon")
    manager = ModelManager(
        device="cpu", models={"tiny": model}, adapted={"tiny_toon": ("tiny", adapter)}
    )
    assert manager.fingerprint("tiny") == fingerprint_of(model) != ""
    assert manager.fingerprint("tiny_toon") == fingerprint_of(model, adapter)
    assert manager.fingerprint(str(model)) == ""  # a path in somebody's PNG is not followed
    assert manager.fingerprint("infinity-2b") == ""
    assert manager.get("tiny").fingerprint == manager.fingerprint("tiny")


def test_picture_records_the_weights_that_drew_it(model):
    pipeline = InfinityPipeline.from_pretrained(model, "cpu")
    (image,) = pipeline.generate(GenerationRequest(prompt="a red circle")).images
    assert read_record(image).weights == pipeline.fingerprint == fingerprint_of(model)


def test_replay_with_other_weights_says_so_before_it_draws(model, tmp_path, capsys, monkeypatch):
    other = tiny_folder(tmp_path / "other", seed=3)
    picture = tmp_path / "picture.png"
    words = ["--device", "cpu", "-o"]
    assert main(["generate", "a red circle", "--model", str(model), *words, str(picture)]) == 0

    said: list[str] = []
    draw = InfinityPipeline.stream

    def watched(self, *arguments, **options):
        said.append(capsys.readouterr().out)
        return draw(self, *arguments, **options)

    monkeypatch.setattr(InfinityPipeline, "stream", watched)
    capsys.readouterr()
    again = [*words, str(tmp_path / "again.png")]
    assert main(["replay", str(picture), "--model", str(model), *again]) == 0
    assert "weights" not in said[0]
    assert "pixels are the same" in capsys.readouterr().out
    again = [*words, str(tmp_path / "other.png")]
    assert main(["replay", str(picture), "--model", str(other), *again]) == 0
    assert "other weights" in said[1]
    assert fingerprint_of(other) in said[1]


@pytest.mark.parametrize("change", [{"weights": ""}, {"weights": None}, {"weights": [1]}, {}])
def test_picture_without_a_fingerprint_still_replays(change, model, tmp_path, capsys):
    from PIL import Image

    from infinity.metadata import save_png

    picture = tmp_path / "picture.png"
    words = ["--model", str(model), "--device", "cpu", "-o"]
    assert main(["generate", "a red circle", *words, str(picture)]) == 0
    with Image.open(picture) as image:
        data = json.loads(image.info[KEY])
        del data["weights"]
        image.info[KEY] = json.dumps(data | change)
        save_png(image, tmp_path / "old.png")
    assert read_record(tmp_path / "old.png").weights == ""
    assert main(["replay", str(tmp_path / "old.png"), *words, str(tmp_path / "again.png")]) == 0
    told = capsys.readouterr().out
    assert "pixels are the same" in told
    assert "weights" not in told


def test_record_keeps_no_more_of_a_fingerprint_than_one_has():
    data = {"request": {"prompt": "x"}, "model": "m", "weights": "f" * 100_000}
    assert len(PictureRecord.from_json(json.dumps(data)).weights) <= 100
