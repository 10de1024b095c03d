"""What fits is decided, told or refused before anything is loaded; documented launches fit."""

from __future__ import annotations

import logging
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import torch

from infinity.errors import ResourceError
from tests.tiny import tiny_folder
from tests.training.engine.tiny_run import (
    build_tiny_step,
    tiny_batches,
    tiny_config,
    tiny_held_out,
    train_alone,
)
from training.config import TrainingConfig, load_config
from training.config.sources import PRESETS
from training.engine import fit
from training.engine.checkpoints import read_state
from training.engine.fit import changed, fitted, with_micro_batch
from training.engine.loop import run
from training.engine.memory import needs
from training.engine.processes import Processes

ROOT = Path(__file__).resolve().parents[3]
PAGES = ("README.md", "docs/training.md", "docs/scaling.md", "docs/from-nothing.md")
CARDS = {24: 23.5, 40: 39.5, 80: 79.1}
"""GB a card is sold with -> GiB that its driver shows."""


def with_memory(monkeypatch: pytest.MonkeyPatch, total: float, free: float | None = None) -> None:
    found = (int(total if free is None else free), int(total))
    monkeypatch.setattr(fit, "memory_of", lambda device: found)


def process(count: int = 1, device: str = "cpu") -> Processes:
    return Processes(0, count, torch.device(device))


def released(*words: str) -> TrainingConfig:
    given = ["--output", "o", "--optimization.steps", "10", "--data.sources", "pictures"]
    return load_config(None, [*given, *words])


def test_released_model_brings_bfloat16_and_recomputation_unless_told_otherwise() -> None:
    for name in ("infinity-2b", "infinity-8b"):
        optimization = released("--start_from", name).optimization
        assert (optimization.dtype, optimization.activation_checkpointing) == ("bfloat16", True)
    default = released("--start_from", "default").optimization
    assert (default.dtype, default.activation_checkpointing) == ("float32", False)
    words = ["--optimization.dtype", "float32", "--optimization.activation_checkpointing", "false"]
    told = released("--start_from", "infinity-2b", *words).optimization
    assert (told.dtype, told.activation_checkpointing) == ("float32", False)


def test_micro_batch_fills_the_memory_and_the_batch_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    config = load_config(None, ["--preset", "2b-256", "--output", "o"])
    with_memory(monkeypatch, 79.1 * 2**30)
    found = fitted(config, process(8, "cuda"))
    micro = found.optimization.micro_batch_size
    assert micro is not None and 512 % micro == 0 and micro > 8
    assert found == changed(config, {"optimization.micro_batch_size": micro})
    need = needs(found, 8)
    assert need.memory <= 0.9 * 79.1 * 2**30 < need.memory + micro * need.sample
    given = changed(config, {"optimization.micro_batch_size": 2})
    assert fitted(given, process(8, "cuda")) == given


def test_loss_is_the_same_with_the_micro_batches_that_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train_alone(tiny_config(tmp_path / "whole"))
    config = tiny_config(tmp_path / "parts")
    need = needs(changed(config, {"optimization.micro_batch_size": 2}), device="cpu")
    with_memory(monkeypatch, need.memory / fit.FILLED + 1)
    assert fitted(config, process()).optimization.micro_batch_size == 2
    train_alone(config)
    whole, parts = (read_state(tmp_path / name)["transformer"] for name in ("whole", "parts"))
    for name, tensor in whole.items():
        torch.testing.assert_close(parts[name], tensor, rtol=1e-4, atol=1e-6)
    assert load_config(tmp_path / "parts" / "config.json") == config  # as it was asked for


def test_estimate_is_told_before_anything_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[str] = []

    def build(config: TrainingConfig) -> Any:
        told.append(caplog.text)
        return build_tiny_step(config)

    with_memory(monkeypatch, 4e9, free=1e9)
    with caplog.at_level(logging.INFO):
        run(tiny_config(tmp_path / "run"), build, tiny_batches, open_held_out=tiny_held_out)
    assert re.search(r"needs about 1\.\d GB \(.*\) of the 4\.0 GB of cpu", told[0])
    assert "only 1.0 GB are free now" in told[0]


def test_run_that_cannot_fit_is_refused_before_anything_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def build(config: TrainingConfig) -> Any:
        raise AssertionError("was built")

    with_memory(monkeypatch, 1e8)
    with pytest.raises(ResourceError, match=r"needs about .* more than the 0\.1 GB of cpu"):
        run(tiny_config(tmp_path / "run"), build, tiny_batches)
    assert not (tmp_path / "run").exists()


REFUSED = [
    ("--start_from infinity-8b", 1, 80, "--lora.rank 16"),
    ("--start_from infinity-8b", 8, 40, "--parallel.shard full"),
    ("--start_from infinity-2b --optimization.dtype float32", 1, 40, "--lora.rank 16"),
    ("--preset 8b-256 --parallel.shard none", 8, 80, "--parallel.shard full"),
    ("--start_from infinity-2b --optimization.micro_batch_size 16", 1, 80, "micro_batch_size 1"),
    (
        "--task tokenizer --tokenizer.model.bits 32 --data.resolution 1024",
        1, 24, "--optimization.activation_checkpointing true",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("words", "count", "card", "option"), REFUSED)
def test_refusal_names_settings_that_do_fit(
    monkeypatch: pytest.MonkeyPatch, words: str, count: int, card: int, option: str
) -> None:
    total = int(CARDS[card] * 2**30)
    with_memory(monkeypatch, total)
    config = released(*words.split())
    with pytest.raises(ResourceError) as refused:
        fitted(config, process(count, "cuda"))
    sentence = str(refused.value)
    assert "\n" not in sentence
    ways = re.findall(r"with ((?:--\S+ \S+ ?)+)\(", sentence)
    assert option in ways[0]
    for way in ways:
        again = fitted(released(*words.split(), *way.split()), process(count, "cuda"))
        assert needs(again, count).memory <= total


def test_refusal_says_how_many_processes_would_do(monkeypatch: pytest.MonkeyPatch) -> None:
    with_memory(monkeypatch, CARDS[80] * 2**30)
    with pytest.raises(ResourceError, match=r"it fits (\d+) such processes with ") as refused:
        fitted(load_config(None, ["--preset", "8b-1024", "--output", "o"]), process(1, "cuda"))
    (count,) = map(int, re.findall(r"it fits (\d+)", str(refused.value)))
    with_memory(monkeypatch, CARDS[80] * 2**30)
    assert fitted(
        load_config(None, ["--preset", "8b-1024", "--output", "o"]), process(count, "cuda")
    )


def test_processes_of_one_machine_share_its_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    config = tiny_config("runs/computed")
    need = needs(config, 2, "cpu").memory
    with_memory(monkeypatch, 1.5 * need)
    with pytest.raises(ResourceError, match="of a process"):
        fitted(config, process(2))
    with_memory(monkeypatch, 2.5 * need)
    assert fitted(config, process(2)) == config


def test_upstream_checkpoint_and_own_folder_are_estimated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = released("--start_from", str(tiny_folder(tmp_path / "model")))
    need = needs(config, device="cpu")
    assert need.frozen > 4 * 10**5  # its tokenizer and text encoder
    with_memory(monkeypatch, 1.2 * need.memory)
    assert fitted(config, process()) == config


def machine(text: str) -> tuple[int, str, float] | None:
    """Processes, kind and bytes of what a page says a launch is for."""
    if found := re.search(r"(\d+) GPUs? of (\d+) GB", text):
        return int(found[1]), "cuda", CARDS[int(found[2])] * 2**30
    if found := re.search(r"a CPU with (\d+) GB", text):
        return 1, "cpu", 0.95 * int(found[1]) * 2**30
    return None


def documented() -> list[tuple[str, tuple[int, str, float]]]:
    """(options, machine) of every launch and every line of a table in the pages."""
    found = []
    for page in PAGES:
        text = (ROOT / page).read_text()
        for block in re.findall(r"```\w*\n(.*?)```", text, re.DOTALL):
            place = None
            for line in block.replace("\\\n", " ").splitlines():
                place = machine(line) if line.startswith("# on ") else place
                if match := re.search(r"-m training\.train (?!run\.json)(.*)", line):
                    assert place is not None, f"{page}: on what? {line}"
                    found.append((match[1].partition("#")[0], place))
        for cells, on in re.findall(r"^\| (`--.*?) \| (.*?) \|$", text, re.MULTILINE):
            if (place := machine(on)) is not None:
                first, *others = re.findall(r"`(.*?)`", cells)
                found.append((first, place))
                found += [(f"--preset {other}", place) for other in others]
    return found


def test_every_preset_is_documented_with_a_card() -> None:
    named = {options.removeprefix("--preset ") for options, _ in documented()}
    assert set(PRESETS) <= named


@pytest.mark.parametrize(("options", "place"), documented(), ids=lambda each: str(each))
def test_documented_launch_fits_what_it_is_documented_for(
    options: str, place: tuple[int, str, float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (yaml,) = re.findall(
        r"```yaml\n(# run\.yaml.*?)```", (ROOT / "docs/training.md").read_text(), re.DOTALL
    )
    (tmp_path / "run.yaml").write_text(yaml)
    words = [word for word in shlex.split(options) if word != "..."]
    file = None if words[0].startswith("-") else words.pop(0)
    for made in ("--start_from models/", "--tokenizer.weights models/"):  # of an earlier command
        name, folder = made.split()
        for place_of in [i for i, word in enumerate(words) if word == name]:
            if words[place_of + 1].startswith(folder):
                del words[place_of : place_of + 2]
    monkeypatch.chdir(ROOT)
    if "run.yaml" in (file, *words):
        monkeypatch.chdir(tmp_path)
    given: dict[str, Any] = {} if "--output" in words or file else {"output": "runs/documented"}
    if "--optimization.steps" not in words and "--preset" not in words and file is None:
        given["optimization"] = {"steps": 10}
    if file == "training/examples/transformer.yaml":  # whose tokenizer the page has just made
        made_of = load_config("training/examples/tokenizer.yaml").tokenizer
        given["tokenizer"] = {"model": made_of.model.to_dict()}
    config = load_config(file, words, given)
    count, kind, total = place
    _, need = with_micro_batch(config, count, kind, int(total))
    assert need.memory <= total, f"{options}: {need}"
