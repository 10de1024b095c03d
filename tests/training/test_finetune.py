"""Fine-tuning in one command: from upstream's checkpoints, frozen in part, with adapters."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.distributed.checkpoint.filesystem import FileSystemReader

from infinity.checkpoints.load import load_model
from infinity.errors import CheckpointError
from infinity.pipeline import InfinityPipeline
from infinity.request import GenerationRequest
from tests.checkpoints.upstream_files import training_checkpoint, write_upstream
from tests.t5_folder import write_t5_folder
from tests.tiny import TEXT_WIDTH, tiny_folder
from tests.training.plain_world import write_plain_world
from training.config.load import load_config
from training.data.source import open_source
from training.engine.checkpoints import read_facts, read_state
from training.export import export
from training.train import main


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("finetune")
    (folder / "pictures").mkdir()
    rng = np.random.default_rng(0)
    for i in range(2):
        pixels = rng.integers(0, 255, (64, 64, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "pictures" / f"{i}.png")
        (folder / "pictures" / f"{i}.txt").write_text(f"number {i}")
    tiny_folder(folder / "model")
    return folder


def tuned(place: Path, start: Path, name: str, *words: str, schedule: str) -> Path:
    """One step from ``start`` by the command line; the run's folder."""
    arguments = [
        "--start_from", str(start), "--data.sources", str(place / "pictures"),
        "--output", str(place / name), "--optimization.steps", "1", "--optimization.batch_size",
        "2", "--optimization.learning_rate", "0.01", "--data.workers", "0",
        "--data.schedules", schedule, "--logging.curves", "false", "--logging.tensorboard", "false", *words,
    ]  # fmt: skip
    assert main(arguments) == 0
    return place / name


SMALL = '{"1:1": [[1, 1], [2, 2], [4, 4]]}'


@pytest.mark.parametrize("kind", ["released", "training checkpoint"])
def test_upstream_checkpoint_is_tuned_exported_and_draws(place, tmp_path, kind):
    write_t5_folder(tmp_path / "text_encoder", TEXT_WIDTH)
    if kind == "released":
        start = write_upstream(tmp_path)
    else:
        start = tmp_path / "ar-ckpt-last.pth"
        torch.save(training_checkpoint("gpt_fsdp"), start)
    run = tuned(place, start, kind.replace(" ", "_"), schedule=SMALL)
    folder = export(run)
    changed = load_model(folder).transformer.state_dict()
    before = load_model(start).transformer.state_dict()
    assert changed.keys() == before.keys()
    assert (changed["head.weight"] - before["head.weight"]).abs().max() > 1e-4
    pipeline = InfinityPipeline.from_pretrained(folder, "cpu")
    assert pipeline.generate(GenerationRequest(prompt="number 1")).images[0].size == (64, 64)


OWN = '{"1:1": [[1, 1], [2, 2], [5, 5]]}'


def test_frozen_parts_stay_and_the_rest_moves(place):
    words = (
        "--freeze", "blocks.0.*", "head.weight",
        "--logging.sample_every", "1", "--logging.sample_prompts", "number 1, red",
    )  # fmt: skip
    run = tuned(place, place / "model", "frozen", *words, schedule=OWN)
    assert [path.suffix for path in (run / "samples").iterdir()] == [".png"]
    state = read_state(run)["transformer"]
    for name, tensor in load_model(place / "model").transformer.state_dict().items():
        moved = (state[name] - tensor).abs().max() > 0
        if name.startswith("blocks.0.") or name == "head.weight":
            assert not moved, name
        elif name.endswith(".weight") and "text" not in name:
            assert moved, name


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_adapter_trains_in_every_precision(place, dtype):
    words = ("--lora.rank", "2", "--lora.targets", "feed_forward.up", "--optimization.dtype", dtype)
    run = tuned(place, place / "model", f"lora_{dtype}", *words, schedule=OWN)
    state = read_state(run)["transformer"]
    moved = {name for name, tensor in state.items() if ".lora_B." in name and tensor.any()}
    assert moved == {f"blocks.{n}.feed_forward.up.lora_B.default.weight" for n in range(3)}
    pipeline = InfinityPipeline.from_pretrained(place / "model", "cpu", adapter=export(run))
    pipeline.generate(GenerationRequest(prompt="number 1"))


def test_adapter_run_saves_the_adapter_alone_and_continues_exactly(place, caplog):
    words = ("--lora.rank", "2", "--logging.save_every", "1", "--optimization.schedule", "constant")
    whole = tuned(place, place / "model", "two", *words, "--optimization.steps", "2", schedule=OWN)
    split = tuned(place, place / "model", "split", *words, schedule=OWN)
    tuned(place, place / "model", "split", *words, "--optimization.steps", "2", schedule=OWN)
    one, two = (read_state(run)["transformer"] for run in (whole, split))
    assert one and all(".lora_" in name for name in one)
    assert all(torch.equal(two[name], tensor) for name, tensor in one.items())
    assert read_facts(whole)["base"] == load_model(place / "model").fingerprint
    stored = FileSystemReader(whole / "checkpoints/step_2").read_metadata().state_dict_metadata
    assert all(".lora_" in name for name in stored)


def test_changed_base_of_an_adapter_is_refused(place, tmp_path, caplog):
    start = tiny_folder(tmp_path / "start")
    words = ("--lora.rank", "2")
    run = tuned(place, start, "on_sand", *words, schedule=OWN)
    shutil.rmtree(start)
    tiny_folder(start, seed=5)
    arguments = [str(run / "config.json"), "--optimization.steps", "2"]
    assert main(arguments) == 2
    assert "has other weights than when" in caplog.text
    with pytest.raises(CheckpointError, match="bring the former weights back"):
        export(run, tmp_path / "merged", merge=True)


def test_wrong_command_ends_with_one_sentence(place, caplog):
    assert main(["--start_from", str(place / "model"), "--output", "o", "--lora.rnk", "2"]) == 2
    assert "did you mean lora.rank?" in caplog.text


def test_two_inks_example_of_the_docs_makes_data_its_settings_train_on(tmp_path, monkeypatch):
    root = Path(__file__).resolve().parents[2]
    section = (root / "docs" / "training.md").read_text().split("### Example: two inks")[1]
    code = section.split("```python\n")[1].split("```")[0].replace("1500", "2")
    write_plain_world(tmp_path / "data" / "world")
    monkeypatch.chdir(tmp_path)
    exec(code, {})
    config = load_config(root / "training" / "finetune" / "duotone.yaml")
    assert config.lora is not None and config.start_from == "default"
    assert len(open_source(config.data, config.schedules)) == 2
    with Image.open(tmp_path / "data" / "duotone" / "00000.png") as picture:
        red, green, _ = np.asarray(picture).reshape(-1, 3).astype(int).T
    assert (red >= green - 2).all() and red.mean() > green.mean() + 5  # inks, no longer gray
