"""Other systems, simulated: files are UTF-8 wherever they are written, modules of Unix alone are not
needed, terminals of code page 1252 are written to, and ~ is the home folder."""

from __future__ import annotations

import ast
import os
import pickle
import subprocess
import sys

import pytest
import torch

from tests.test_architecture import FILES, ROOT
from tests.training.data.make import as_folder, config_for, small_set
from training import prepare
from training.config.load import load_config
from training.data.batches import BatchBuilder
from training.data.source import open_data
from training.engine.processes import Clock

OTHER_OPENS = {"Image", "os", "tarfile"}


def opens_text(call):
    """Whether a call opens a text file and leaves the encoding to the system."""
    function = call.func
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    if {keyword.arg for keyword in call.keywords} & {"encoding", None}:
        return False
    if name in ("read_text", "write_text"):
        return isinstance(function, ast.Attribute) and not (name == "read_text" and call.args)
    if name == "open" and not (
        isinstance(function, ast.Attribute)
        and isinstance(function.value, ast.Name)
        and function.value.id in OTHER_OPENS
    ):
        modes = call.args[:1] if isinstance(function, ast.Attribute) else call.args[1:2]
        modes += [keyword.value for keyword in call.keywords if keyword.arg == "mode"]
        return all(isinstance(mode, ast.Constant) and "b" not in str(mode.value) for mode in modes)
    return name in ("run", "Popen", "check_output") and any(
        keyword.arg in ("text", "universal_newlines") for keyword in call.keywords
    )


def test_text_is_utf8_on_every_system():
    assert [
        f"{file.name}:{call.lineno}" for file in FILES for call in file.calls if opens_text(call)
    ] == []


def test_logs_and_paths_of_commands_have_one_owner():
    """Only console.py begins logging and says what ~ means on a command line."""
    starting = [file.name for file in FILES if "basicConfig(" in file.text]
    assert starting == ["infinity.console"]
    assert [file.name for file in FILES if "type=Path" in file.text] == []


def in_process(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        timeout=120,
        check=False,
    )


def test_run_goes_on_where_the_system_tells_no_memory(monkeypatch):
    monkeypatch.setitem(sys.modules, "resource", None)
    clock = Clock(4, torch.device("cpu"))
    assert clock.read(1) == {}
    assert clock.read(2).keys() == {"samples_per_s"}


def test_batches_are_made_by_workers_that_are_started_anew(tmp_path):
    """Windows and macOS start workers with a copy of the data set, through pickle."""
    config = config_for(as_folder(tmp_path / "set", small_set(8)))
    source, plan = open_data(config)
    builder = pickle.loads(pickle.dumps(BatchBuilder(config, source, plan)))
    assert builder.source.buckets.keys() == source.buckets.keys()


@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
def test_training_commands_write_to_any_terminal(encoding):
    done = in_process(
        "from infinity.console import log_to_terminal; import sys, logging\n"
        "log_to_terminal(); logging.info('wrote \\u718a'); sys.stdout.write('\\u718a')",
        PYTHONIOENCODING=f"{encoding}:strict",
    )
    assert done.returncode == 0
    assert done.stdout == rb"\u718a"
    assert done.stderr.strip() == rb"wrote \u718a"


@pytest.fixture
def home(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    return tmp_path


def test_home_folder_is_meant_by_training_settings_from_everywhere(home):
    (home / "run.yaml").write_text(
        "preset: default\noutput: ~/run\n"
        "data:\n  sources: ['~/a', './~b']\n  held_out_sources: ~/c\n",
        encoding="utf-8",
    )
    config = load_config("~/run.yaml", ["--data.picture_folders", "~/d", "e"])
    assert config.output == home / "run"
    assert config.data.sources == (f"{home}/a", "./~b")
    assert config.data.held_out_sources == (f"{home}/c",)
    assert config.data.picture_folders == (f"{home}/d", "e")


def test_home_folder_is_meant_by_prepare(home, capsys):
    as_folder(home / "set", small_set(4))
    prepare.main(["~/set", "--output", "~/told", "--resolution", "256"])
    assert (home / "told").is_dir()
