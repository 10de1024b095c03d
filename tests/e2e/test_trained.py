"""A model trained on two processes, killed, continued and exported, on the page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PIL import Image

from tests.bench.trained_in_app import (
    draw_on_page,
    kill_and_continue,
    settings,
    write_pictures,
)
from tests.e2e.steps import ARTIFACTS, served
from tests.tiny import tiny_folder
from training.export import export


def test_model_of_a_killed_run_on_two_processes_draws_on_the_page(
    browser: Any, tmp_path: Path
) -> None:
    write_pictures(tmp_path / "pictures")
    start = tiny_folder(tmp_path / "start")
    config = settings(tmp_path, str(start), steps=4)
    told = kill_and_continue(config)
    assert told["exit_codes_after_the_kill"] == [-9, -9]
    assert told["steps"] == [1, 2, 3, 4]
    exported = export(config.output, name="trained")
    log, shown = tmp_path / "log.txt", ARTIFACTS / "trained.png"
    with served(exported, log) as url:
        draw_on_page(browser, url, "a red ball", shown)
    assert "Traceback" not in log.read_text()
    with Image.open(shown) as picture:
        assert picture.width == 1440
