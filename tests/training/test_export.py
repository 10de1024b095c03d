"""A run becomes a folder that draws the same as the trained weights: model, adapter, tokenizer."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from infinity.checkpoints.load import load_model, load_tokenizer
from infinity.errors import CheckpointError, InfinityError
from infinity.pipeline import InfinityPipeline
from infinity.request import GenerationRequest
from infinity.spec import read_spec
from infinity.world.vocabulary import Vocabulary
from tests.tiny import SPEC, tiny_folder
from training.config import load_config
from training.engine.checkpoints import read_state
from training.engine.loop import train
from training.export import export, main

PROMPT = GenerationRequest(prompt="a red circle", seed=3)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("export")
    pictures = folder / "pictures"
    pictures.mkdir()
    rng = np.random.default_rng(0)
    for i in range(4):
        pixels = rng.integers(0, 255, (20, 20, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(pictures / f"{i}.png")
        (pictures / f"{i}.txt").write_text(f"a picture with the number {i}")
    tiny_folder(folder / "model")
    return folder


def trained(place: Path, name: str, **settings) -> Path:
    """A run of two steps from the tiny model."""
    base = {
        "output": str(place / name),
        "start_from": str(place / "model"),
        "data": {
            "sources": [str(place / "pictures")],
            "schedules": {"1:1": [[1, 1], [2, 2], [3, 3], [5, 5], [8, 8]]},
            "workers": 0,
        },
        "optimization": {"steps": 2, "batch_size": 2, "learning_rate": 1e-2},
        "logging": {"log_every": 1, "curves": False, "tensorboard": False},
    }
    train(load_config(overrides=base | settings))
    return place / name


@pytest.fixture(scope="module")
def run(place):
    return trained(place, "run")


def test_exported_model_has_the_trained_weights_and_draws(run, place):
    folder = export(run)
    loaded = load_model(folder)
    state = read_state(run)["transformer"]
    for name, tensor in loaded.transformer.state_dict().items():
        torch.testing.assert_close(tensor, state[name], rtol=0, atol=0)
    start = load_model(place / "model")
    assert (loaded.transformer.head.weight - start.transformer.head.weight).abs().max() > 1e-3
    pipeline = InfinityPipeline.from_pretrained(folder, "cpu")
    assert pipeline.spec.name == "run"
    assert pipeline.spec.sampling == read_spec(place / "model").sampling
    assert pipeline.generate(PROMPT).images[0].size == (16, 16)


def test_int8_leaves_the_transformer_and_draws_nearly_the_same(run, tmp_path):
    plain, small = export(run, tmp_path / "plain"), tmp_path / "int8"
    assert main([str(run), "-o", str(small), "--int8"]) == 0
    sizes = [(folder / "tokenizer.safetensors").stat().st_size for folder in (plain, small)]
    assert sizes[1] < sizes[0] / 2
    name = "transformer.safetensors"
    assert (plain / name).read_bytes() == (small / name).read_bytes()
    pictures = [
        np.asarray(InfinityPipeline.from_pretrained(folder, "cpu").generate(PROMPT).images[0])
        for folder in (plain, small)
    ]
    assert 0 < np.abs(pictures[0].astype(int) - pictures[1]).max() < 8


def test_model_card_names_data_steps_metrics_and_settings(run):
    card = (export(run) / "README.md").read_text()
    for text in (
        "base_model:", "app.py --model", "pictures", "2 of 2", "bit accuracy", "| seed | 0 |",
        "3 blocks, width 64",
    ):  # fmt: skip
        assert text in card, text
    settings = json.loads(card.partition("```json\n")[2].partition("```")[0])
    assert load_config(overrides=settings) == load_config(run / "config.json")


def test_export_again_replaces_and_another_folder_is_kept(run, tmp_path):
    folder = export(run, tmp_path / "model", name="My model")
    assert read_spec(export(run, folder)).name == "run"
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("precious")
    with pytest.raises(CheckpointError, match="something else"):
        export(run, tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "precious"


def test_trained_text_encoder_is_exported(place):
    run = trained(
        place,
        "with_text",
        text_encoder={"source": str(place / "model" / "text_encoder"), "train": True},
    )
    folder = export(run)
    pipeline = InfinityPipeline.from_pretrained(folder, "cpu")
    features = pipeline.text_encoder.encode("a picture").features
    plain = InfinityPipeline.from_pretrained(place / "model", "cpu")
    assert (features - plain.text_encoder.encode("a picture").features).abs().max() > 1e-4


def test_known_words_stay_with_the_text_encoder_and_notices_with_the_weights(place):
    words = Vocabulary(
        objects={"animal": ("fox",)},
        synonyms={},
        scenes={},
        styles={},
        colors=("red",),
        other_words=(),
    )
    start = tiny_folder(place / "world_model", replace(SPEC, vocabulary=words))
    (start / "ATTRIBUTION.md").write_text("art by its artists")
    kept = export(trained(place, "kept", start_from=str(start)))
    trained_along = {"source": str(start / "text_encoder"), "train": True}
    run = trained(place, "not_kept", start_from=str(start), text_encoder=trained_along)
    for folder, vocabulary, said in (
        (kept, words, "those of"),
        (export(run), None, "its text encoder is not that of"),
    ):
        assert read_spec(folder).vocabulary == vocabulary
        assert f"| words it knows | {said}" in (folder / "README.md").read_text().replace(
            "not listed: ", ""
        )
        assert (folder / "ATTRIBUTION.md").read_text() == "art by its artists"


def test_adapter_and_merged_model_draw_the_same(place):
    lora = {"rank": 2, "alpha": 4}
    run = trained(place, "adapted", lora=lora)
    adapter, merged = export(run, place / "toon"), export(run, place / "merged", merge=True)
    assert sorted(p.name for p in adapter.glob("adapter*")) == [
        "adapter_config.json", "adapter_model.safetensors",
    ]  # fmt: skip
    one = InfinityPipeline.from_pretrained(place / "model", "cpu", adapter=adapter)
    two = InfinityPipeline.from_pretrained(merged, "cpu")
    start = load_model(place / "model").transformer.state_dict()
    for name, tensor in two.transformer.state_dict().items():
        torch.testing.assert_close(tensor, one.transformer.state_dict()[name])
        if "attention.qkv.weight" in name:
            assert (tensor - start[name]).abs().max() > 1e-5
        elif "head" in name:
            torch.testing.assert_close(tensor, start[name], rtol=0, atol=0)
    assert one.generate(PROMPT).images[0].tobytes() == two.generate(PROMPT).images[0].tobytes()


def test_averaged_weights_are_exported_where_the_run_keeps_them(place):
    steps = {"steps": 2, "batch_size": 2, "learning_rate": 1e-2, "ema_decay": 0.5}
    run = trained(place, "averaged", optimization=steps)
    averaged, last = export(run, place / "ema"), export(run, place / "last", ema=False)
    one, two = load_model(averaged).transformer.head, load_model(last).transformer.head
    assert (one.weight - two.weight).abs().max() > 1e-5


def test_tokenizer_run_gives_a_folder_for_tokenizer_weights(place):
    run = trained(place, "tokenizer", task="tokenizer")
    folder = export(run, place / "my_tokenizer")
    tokenizer = load_tokenizer(folder)
    state = read_state(run)["tokenizer"]
    for name, tensor in tokenizer.state_dict().items():
        torch.testing.assert_close(tensor, state[name], rtol=0, atol=0)
    config = load_config(
        overrides={
            "output": "o",
            "start_from": str(place / "model"),
            "tokenizer": {"weights": str(folder)},
            "optimization": {"steps": 1},
        }
    )
    assert config.tokenizer.model == replace(tokenizer.config)
    with pytest.raises(CheckpointError, match="tokenizer alone"):
        read_spec(folder)


def test_a_sharpened_decoder_goes_into_its_model_which_draws_the_same_bits(place, caplog):
    base = place / "model"
    settings = {"task": "tokenizer", "tokenizer": {"weights": str(base)}, "start_from": None}
    run = trained(place, "decoder", freeze=["encoder.*"], **settings)
    folder = place / "sharpened"
    assert main([str(run), "-o", str(folder), "--model", str(base), "--name", "sharp"]) == 0
    before, after = (InfinityPipeline.from_pretrained(f).generate(PROMPT) for f in (base, folder))
    assert before.bits == after.bits and before.images != after.images
    assert read_spec(folder) == replace(
        read_spec(base), name="sharp", tokenizer=read_spec(folder).tokenizer
    )
    for part in ("transformer", "text_encoder/model"):
        old, new = ((f / f"{part}.safetensors").read_bytes() for f in (base, folder))
        assert old == new
    moved = trained(place, "moved", **settings)
    for words, why in (
        ([str(moved), "--model", str(base)], "not that of"),
        ([str(run), "--model", "infinity-2b"], "not in this package's format"),
    ):
        assert main(words) == 2
        assert why in caplog.text


def test_command_line_prints_the_folder_or_one_sentence(run, place, tmp_path, capsys, caplog):
    words = [str(run), "-o", str(tmp_path / "out"), "--name", "x", "--dtype", "bfloat16"]
    assert main(words) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "out")
    assert load_model(tmp_path / "out").spec.name == "x"
    assert main([str(place / "pictures")]) == 2
    assert "is not a run's folder" in caplog.text


def test_run_folder_is_no_model_and_says_how_to_make_one(run):
    for use in (lambda: read_spec(run), lambda: load_config(None, ["--start_from", str(run)])):
        with pytest.raises(InfinityError, match=r"python -m training\.export"):
            use()
