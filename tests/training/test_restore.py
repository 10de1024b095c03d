"""Shipped weights put back into checkpoints: nothing of them is lost, and training goes on."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from infinity.errors import CheckpointError
from infinity.pipeline import InfinityPipeline
from tests.training.plain_world import plain_world
from training import default_model
from training.run import read_checkpoint, read_metrics
from training.sharpen import sharpened, start_of

DONE = default_model.SHIPPED_STEPS
TEN_MORE = replace(
    default_model.TRANSFORMER, steps=DONE + 10, cooldown=1e-4, batch_size=2, compiled=False
)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(default_model, "RUNS", folder)
        patch.setattr(default_model, "TRANSFORMER", TEN_MORE)
        default_model.restore_shipped()
    return folder


@pytest.fixture
def recipe(runs, monkeypatch):
    monkeypatch.setattr(default_model, "RUNS", runs)
    monkeypatch.setattr(default_model, "TRANSFORMER", TEN_MORE)
    monkeypatch.setattr(default_model, "world", plain_world)
    return default_model


def test_restored_model_is_written_as_it_was(recipe, tmp_path):
    recipe.write_model(tmp_path / "model")
    before = InfinityPipeline.from_pretrained("default", "cpu", "float32")
    after = InfinityPipeline.from_pretrained(tmp_path / "model", "cpu", "float32")
    for part in ("transformer", "tokenizer"):
        wanted, found = (getattr(p, part).state_dict() for p in (before, after))
        assert wanted.keys() == found.keys()
        assert all(torch.equal(wanted[name], found[name]) for name in wanted)
    prompt = "Three RED apples!"
    features = [p.text_encoder.encode(prompt).features for p in (before, after)]
    assert torch.equal(*features)


def test_sharpening_goes_on_from_the_restored_decoder(recipe, runs):
    decoder = sharpened(recipe.trained_tokenizer(), runs / "decoder").decoder
    assert decoder.refinement is not None and decoder.refinement.conv_out.weight.any()
    assert start_of(runs / "decoder").is_dir()


def test_a_run_that_has_begun_is_not_restored_over(recipe):
    with pytest.raises(CheckpointError, match="has a checkpoint already"):
        recipe.restore_shipped()


def test_training_goes_on_with_a_warmup_of_its_own(recipe, runs, monkeypatch):
    monkeypatch.setattr(recipe, "HELD_OUT", 2)
    monkeypatch.setattr(recipe, "FRESH_FROM", 0)
    before = read_checkpoint(runs / "transformer")
    recipe.transformer_step()
    after = read_checkpoint(runs / "transformer")
    assert (before["step"], after["step"], after["begun"]) == (DONE, DONE + 10, DONE)
    rate = read_metrics(runs / "transformer")[0]["learning_rate"]
    assert rate == pytest.approx(TEN_MORE.learning_rate * 10 / TEN_MORE.warmup)
    moved = [
        not np.array_equal(before["transformer"][name], after["transformer"][name])
        for name in before["transformer"]
    ]
    assert np.mean(moved) > 0.9
