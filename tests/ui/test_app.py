"""What the page is started with, and what it does not do."""

from __future__ import annotations

import asyncio
import socket
import sys
import threading
from pathlib import Path
from types import ModuleType
from typing import Any

import gradio as gr
import pytest

import app as entry
from infinity.errors import CheckpointError, RequestError
from infinity.hosting import Hosting
from infinity.ui import app as page
from infinity.ui import serve
from infinity.ui.app import build_app, launch_options
from infinity.ui.shared import theme
from infinity.ui.shared.context import offered_models
from infinity.ui.shared.files import address, file_name
from infinity.ui.shared.runs import Runs
from tests.ui.fakes import FakeManager, make_spec
from tests.visitor import lines, post


class RegistryManager(FakeManager):
    """Knows the registry's names too; the default's folder is damaged."""

    def names(self):
        return ("default", "infinity-2b", "infinity-361m")

    def spec(self, name):
        if name == "default":
            raise CheckpointError("config.json is missing.")
        return make_spec(name, name.title())


def test_theme_uses_fonts_of_the_system_only():
    assert theme.theme()._stylesheets == []
    assert theme.theme()._font_css == []
    sheets = theme.style_sheets()
    assert len(sheets) > 5
    assert not [
        sheet for sheet in sheets if "url(" in (text := sheet.read_text()) or "@import" in text
    ]


def test_page_reports_nothing_and_keeps_no_history():
    app = build_app(FakeManager())
    assert app.analytics_enabled is False
    assert launch_options(app, Runs())["run_history"] is False


def test_sessions_beyond_the_newest_are_forgotten(monkeypatch, tmp_path):
    monkeypatch.setattr(page, "MOST_SESSIONS", 3, raising=False)
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    app, runs = build_app(FakeManager()), Runs()
    _, url, _ = app.launch(
        **launch_options(app, runs), server_name="127.0.0.1", prevent_thread_lock=True, quiet=True
    )
    address = f"{url}gradio_api/call/models"
    for _ in range(6):  # each begins a session of its own
        event = post(address, {"data": []})["event_id"]
        assert "event: complete" in lines(f"{address}/{event}")
    assert len(app.app.state_holder.session_data) == 3
    app.close()


def test_offer_leaves_out_what_has_no_weights_or_is_damaged(caplog):
    assert list(offered_models(RegistryManager(), "infinity-2b", Hosting())) == ["infinity-2b"]
    assert "default is not on offer: config.json is missing." in caplog.text


def test_chosen_model_comes_first_and_must_exist():
    assert list(offered_models(FakeManager(), "other", Hosting())) == ["other", "default"]
    with pytest.raises(RequestError):
        build_app(FakeManager(), "nobody")
    with pytest.raises(CheckpointError):
        build_app(RegistryManager(), "default")


def test_start_with_an_unknown_model_ends_with_one_line(capsys):
    assert entry.main(["--model", "infinity-2c"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("app.py: Unknown model 'infinity-2c'; did you mean 'infinity-2b'?")
    assert error.count("\n") == 1


def test_start_with_a_damaged_folder_ends_with_one_line(tmp_path, capsys):
    (tmp_path / "config.json").write_text("{}")
    assert entry.main(["--model", str(tmp_path)]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_start_on_a_device_that_is_not_there_ends_with_one_line(capsys):
    assert entry.main(["--device", "cuda:99"]) == 1
    assert "has no device" in capsys.readouterr().err


@pytest.mark.parametrize("host", ["x" * 300, "999.1.1.1.", "a b"])
def test_start_on_an_address_that_is_none_ends_with_one_line(monkeypatch, capsys, host):
    assert entry.main(["--host", host]) == 1
    monkeypatch.setenv("GRADIO_SERVER_PORT", "abc")
    assert entry.main([]) == 1
    first, second = capsys.readouterr().err.splitlines()
    assert "to listen on" in first
    assert second == "app.py: $GRADIO_SERVER_PORT must be a whole number, not 'abc'."


def test_start_on_a_taken_port_ends_with_one_line(monkeypatch, capsys):
    monkeypatch.setattr(serve, "build_app", lambda *_: build_app(FakeManager()))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        assert entry.main(["--host", "127.0.0.1", "--port", port]) == 1
    error = capsys.readouterr().err
    assert error.startswith("app.py: ")
    assert port in error
    assert error.count("\n") == 1


def run_again(path: Path) -> ModuleType:
    """app.py as Gradio's reload mode runs it: as the program, in a thread beside it."""
    module = ModuleType("__main__")
    code = compile(path.read_text(encoding="utf-8"), path, "exec")
    thread = threading.Thread(target=exec, args=(code, module.__dict__))
    thread.start()
    thread.join()
    return module


def test_reload_mode_and_a_space_find_the_page_as_demo(monkeypatch):
    launched: list[gr.Blocks] = []
    built = build_app(FakeManager())
    monkeypatch.setattr(serve, "build_app", lambda *_: built)
    monkeypatch.setattr(built, "block_thread", lambda: launched.append(vars(entry)["demo"]))
    monkeypatch.setattr(built, "launch", lambda **options: None)
    monkeypatch.setattr(sys, "argv", ["app.py"])
    monkeypatch.delitem(vars(entry), "demo", raising=False)  # of an earlier test
    assert entry.demo is built
    monkeypatch.delitem(vars(entry), "demo")
    assert entry.main([]) == 0
    assert launched == [built]
    monkeypatch.delitem(vars(entry), "demo")
    assert vars(run_again(Path(entry.__file__)))["demo"] is built
    assert not hasattr(entry, "nothing")


def test_page_is_built_without_loops_that_nobody_closes(monkeypatch):
    def begun() -> None:
        raise AssertionError("Gradio began a loop of its own")

    monkeypatch.setattr(asyncio, "new_event_loop", begun)
    assert isinstance(serve.within_loop(build_app, FakeManager()), gr.Blocks)


@pytest.mark.parametrize(
    ("arguments", "status"), [(["--device", "cuda:99"], 1), (["--port", "x"], 2)]
)
def test_program_ends_with_its_status_and_no_unwinding_of_threads(monkeypatch, arguments, status):
    statuses: list[int] = []
    monkeypatch.setattr(sys, "argv", ["app.py", *arguments])
    monkeypatch.setattr(entry.atexit, "_run_exitfuncs", lambda: None)
    monkeypatch.setattr(entry.os, "_exit", statuses.append)
    entry.run()
    assert statuses == [status]


@pytest.mark.parametrize(
    "arguments",
    [["--port", "x"], ["--port", "99999"], ["--port", "-1"], ["--dtype", "int3"], ["--nonsense"]],
)
def test_bad_usage_exits_with_status_2(arguments):
    with pytest.raises(SystemExit, match="2"):
        entry.main(arguments)


@pytest.mark.parametrize(
    ("prompt", "name"),
    [
        ("a red apple on a sandy beach", "infinity-a-red-apple-on-a-sandy-beach-42.png"),
        ("../../etc/passwd", "infinity-etc-passwd-42.png"),
        ("🍎", "infinity-42.png"),
        ("word " * 100, "infinity-word-word-word-word-word-word-word-word-word-wor-42.png"),
    ],
)
def test_file_names_are_plain_and_short(prompt, name):
    assert file_name(prompt, 42) == name


def test_address_is_relative_and_quoted(tmp_path):
    text = address(tmp_path / "a b.png")
    assert text.startswith("gradio_api/file=")
    assert text.endswith("a%20b.png")


def test_canvas_is_asked_for_its_files_only_as_somebody_draws():
    """Of what shows an event's progress, and all inside it, Gradio asks the value at every step of a run."""
    config = build_app(FakeManager(), "default").get_config_file()
    canvas = next(one["id"] for one in config["components"] if one["type"] == "imageeditor")

    def around(part: dict[str, Any]) -> list[int]:
        inside = [found for child in part.get("children", []) if (found := around(child))]
        return [part["id"], *inside[0]] if inside else [part["id"]] * (part["id"] == canvas)

    asked = {*around(config["layout"])}
    assert len(asked) > 3
    for event in (event for event in config["dependencies"] if event["backend_fn"]):
        shows = event["show_progress_on"] or event["outputs"]
        assert not asked & {*event["inputs"], *shows}, f"see quick_on: {event['api_name']}"
