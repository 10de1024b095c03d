"""The recipe's steps that need no long training: hours, the sharpened decoder, gentle prompts."""

import json
import time

import numpy as np
import pytest
import torch

from infinity.config import TokenizerConfig
from infinity.errors import CheckpointError
from infinity.schedule import ScaleSchedule
from infinity.tokenizer.tokenizer import Tokenizer
from tests.training.plain_world import plain_world, write_plain_world
from training import default_model, hours, latents, lessons, text_encoder
from training.engine.checkpoints import read_state
from training.latents import write_latents
from training.run import Run
from training.sharpen import sharpen, sharpened
from training.train_tokenizer import stack, to_float

CONFIG = TokenizerConfig(
    bits=8, base_channels=32, channel_multipliers=(1,), num_res_blocks=1, stem_patch=8
)
SCHEDULE = ScaleSchedule([(1, 1), (2, 2), (4, 4)])


def test_hours_add_up_over_resumptions_and_steps(tmp_path, monkeypatch):
    monkeypatch.setattr(hours, "KEPT_EVERY_S", 0.02)
    path = tmp_path / "seconds.json"
    for _ in range(2):
        with hours.counted(path, "tokenizer"):
            time.sleep(0.2)
    with pytest.raises(KeyboardInterrupt), hours.counted(path, "export"):
        raise KeyboardInterrupt
    found = hours.read_seconds(path)
    assert found["tokenizer"] >= 0.3
    assert set(found) == {"tokenizer", "export"}


def test_a_runs_own_metrics_tell_its_time(tmp_path):
    run = Run(tmp_path, default_model.TOKENIZER)
    run.log(25, pictures_per_s=50.0)
    run.log(40, held_out_psnr=20.0)
    run.log(50, pictures_per_s=100.0)
    assert hours.spent_seconds(tmp_path, 12) == pytest.approx(25 * 12 / 50 + 25 * 12 / 100)
    assert hours.spent_seconds(tmp_path / "none", 12) == 0


def test_steps_that_a_restored_run_had_elsewhere_are_not_counted(tmp_path):
    run = Run(tmp_path, default_model.TRANSFORMER)
    run.log(1010, samples_per_s=24.0)
    assert hours.spent_seconds(tmp_path, 24) == pytest.approx(1010)  # it cannot be told yet
    run.log(1020, samples_per_s=12.0)
    assert hours.spent_seconds(tmp_path, 24) == pytest.approx(10 + 20)


def test_status_tells_hours_and_how_to_go_on(tmp_path, monkeypatch):
    monkeypatch.setattr(default_model, "RUNS", tmp_path)
    (tmp_path / "seconds.json").write_text(json.dumps({"judge": 1800.0}))
    assert "judge 0.50 h" in default_model.status()
    assert "training.default_model all" in default_model.status()
    assert json.loads((tmp_path / "hours.json").read_text()) == {"judge": 0.5}


def test_recipe_has_every_part_in_an_order_that_works():
    names = list(default_model.STEPS)
    for before, after in (
        ("world", "tokenizer"), ("tokenizer", "transformer"), ("text", "transformer"),
        ("tokenizer", "decoder"), ("transformer", "export"), ("decoder", "export"),
        ("judge", "scores"), ("export", "scores"),
    ):  # fmt: skip
        assert names.index(before) < names.index(after)


def test_sharpening_changes_the_decoder_alone_and_resumes(tmp_path):
    world = write_plain_world(tmp_path / "world")
    torch.manual_seed(0)
    tokenizer = Tokenizer(CONFIG)
    run = tmp_path / "decoder"
    assert sharpened(tokenizer, run) is tokenizer
    small = {"steps": 2, "batch_size": 2, "warmup": 0}
    logging = {"log_every": 1, "save_every": 1, "tensorboard": False}
    changes = {"optimization": small, "logging": logging}
    sharpen(tokenizer, SCHEDULE, world, run, **changes)
    sharpen(tokenizer, SCHEDULE, world, run, **changes, seed=0)  # done: nothing more
    found = read_state(run)["tokenizer"]
    state = tokenizer.state_dict()
    moved = {name for name, value in state.items() if not torch.equal(found[name], value)}
    assert moved and all(name.startswith("decoder.") for name in moved)
    result = sharpened(tokenizer, run)
    assert result.decoder.refinement is not None
    assert result.decoder.refinement.conv_out.weight.any()
    assert torch.equal(result.decoder.conv_out.weight, found["decoder.conv_out.weight"])
    with torch.no_grad():
        tokenizer.encoder.conv_in.weight.add_(1)
    with pytest.raises(CheckpointError, match="other codes"):
        sharpened(tokenizer, run)


CAPTIONS = ["a red dog left of a car", "two t-rex, 3d style", "a jack-o'-lantern, 2 cats, 3 or 4"]


def test_forgiving_tokenizer_reads_captions_as_before_and_passes_over_strange_signs():
    tokenizer = text_encoder.train_tokenizer(
        [*CAPTIONS * 20, *"abcdefghijklmnopqrstuvwxyz"], 300, 64
    )
    before = [tokenizer(caption)["input_ids"] for caption in CAPTIONS]
    text_encoder.forgive(tokenizer)
    assert [tokenizer(caption)["input_ids"] for caption in CAPTIONS] == before
    plain = tokenizer("a red dog left of a car")["input_ids"]
    for prompt in (
        "A RED DOG LEFT OF A CAR!", "  a red dog   left of a car.", "a réd dog\nleft of a car \U0001f600",
        "“a red dog” left of a car?",
    ):  # fmt: skip
        assert tokenizer(prompt)["input_ids"] == plain
    unknown = tokenizer.unk_token_id
    for prompt in ("a zebra; quickly", "5 dogs", "chien à gauche d’une voiture", "犬", "🐶"):
        assert unknown not in tokenizer(prompt)["input_ids"]


def noise(index: int) -> np.ndarray:
    return np.random.default_rng(index).integers(0, 256, (32, 32, 3), np.uint8)


def test_features_are_the_tokenizers_and_go_on_where_they_stopped(tmp_path, monkeypatch):
    monkeypatch.setattr(latents, "CHUNK", 8)
    monkeypatch.setattr(latents, "BATCH", 4)
    torch.manual_seed(0)
    tokenizer = Tokenizer(CONFIG).eval()
    files = write_latents(tmp_path, noise, 12, tokenizer)
    assert [file.shape for file in files] == [(8, 8, 4, 4)] * 2
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        wanted = tokenizer.features(to_float(stack([noise(index) for index in range(8, 12)])))
    np.testing.assert_allclose(files[1][:4], wanted.float().numpy(), atol=2e-3)
    first, second = (np.array(file) for file in files)
    (tmp_path / "0001.npy").unlink()
    untouched = (tmp_path / "0000.npy").stat().st_mtime_ns
    again = write_latents(tmp_path, noise, 12, tokenizer)
    assert (tmp_path / "0000.npy").stat().st_mtime_ns == untouched
    np.testing.assert_array_equal(again[0], first)
    np.testing.assert_array_equal(again[1], second)


def test_lessons_caption_the_picture_whose_features_they_give(monkeypatch):
    world = plain_world()
    shown = []
    monkeypatch.setattr(lessons, "caption", lambda scene, rng: shown.append(scene) or "a cat")
    numbers = np.arange(16).reshape(2, 8, 1, 1, 1)
    kept = {stage: list(100 * place + numbers) for place, stage in enumerate(lessons.PICTURE_SEEDS)}
    curriculum = [(0, {"single": 0.7, "full": 0.3}), (1000, {"full": 0.2, "composed": 0.8})]
    example = lessons.Lessons(world, kept, curriculum, 16, fresh_from=1100)
    seen = []
    for index in (*range(100), *range(1000, 1100)):
        features, _ = example(index)
        place, number = divmod(int(features.item()), 100)
        stage, seed = list(lessons.PICTURE_SEEDS.items())[place]
        drawn = world.example(seed, number, size=16, stage=stage)
        assert shown.pop() == drawn.scene
        seen.append(stage)
    assert set(seen[:100]) == {"single", "full"}
    assert 15 < seen[:100].count("full") < 45
    assert set(seen[100:]) == {"full", "composed"}
    assert 65 < seen[100:].count("composed") < 95


def test_fresh_lessons_are_new_pictures_in_words_of_their_own():
    world = plain_world()
    example = lessons.Lessons(world, {}, [(0, {"full": 1.0})], 16, fresh_from=0)
    for index in range(20):
        picture, text = example(index)
        drawn = world.example(lessons.FRESH_SEED, index, size=16, stage="full")
        np.testing.assert_array_equal(picture, drawn.image)
        assert example(index)[1] == text
    assert lessons.FRESH_SEED not in (*lessons.PICTURE_SEEDS.values(), lessons.HELD_OUT_SEED)


def test_lessons_word_a_picture_anew():
    one = [np.zeros((1, 1, 1, 1))]
    example = lessons.Lessons(plain_world(), {"single": one}, [(0, {"single": 1.0})], 16)
    captions = [example(index)[1] for index in range(40)]
    assert captions == [example(index)[1] for index in range(40)]
    assert len(set(captions)) > 10
