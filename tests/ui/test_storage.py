"""What visitors leave behind is gone with the page, however it ended, and never grows beyond its ceiling."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from infinity.ui.server.storage import Storage, opened_storage

PROGRAM = """
import pathlib, signal, sys, time
from infinity.ui.server.storage import opened_storage
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
with opened_storage() as storage:
    (storage.folder / "picture.png").write_bytes(b"x")
    print(storage.folder, flush=True)
    time.sleep(60)
"""


def started(parent: Path) -> tuple[subprocess.Popen[str], Path]:
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM], env={**os.environ, "GRADIO_TEMP_DIR": str(parent)},
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def test_files_are_gone_after_sigterm(tmp_path):
    process, folder = started(tmp_path)
    assert (folder / "picture.png").is_file()
    process.terminate()
    assert process.wait(60) == 0
    assert not folder.exists()


def test_files_of_a_killed_page_are_gone_at_the_next_start_and_a_living_ones_are_not(
    tmp_path, monkeypatch
):
    killed, abandoned = started(tmp_path)
    alive, kept = started(tmp_path)
    killed.send_signal(signal.SIGKILL)
    killed.wait(60)
    try:
        assert (abandoned / "picture.png").is_file()
        monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
        with opened_storage() as storage:
            assert not abandoned.exists()
            assert (kept / "picture.png").is_file()
            assert os.environ["GRADIO_TEMP_DIR"] == str(storage.folder)
        assert not storage.folder.exists()
        assert os.environ["GRADIO_TEMP_DIR"] == str(tmp_path)
    finally:
        alive.kill()
        alive.wait(60)


@pytest.mark.parametrize("ceiling", [None, 25])
def test_oldest_files_go_first_above_the_ceiling(tmp_path, ceiling):
    now = time.time()
    for age in (3, 1, 2):
        path = tmp_path / f"{age}.png"
        path.write_bytes(b"x" * 10)
        os.utime(path, (now - age, now - age))
    clock = [0.0]
    storage = Storage(tmp_path, ceiling, lambda: clock[0])
    storage.tidy()
    kept = sorted(path.name for path in tmp_path.iterdir())
    assert kept == (["1.png", "2.png", "3.png"] if ceiling is None else ["1.png", "2.png"])
    (tmp_path / "4.png").write_bytes(b"x" * 100)
    storage.tidy()
    assert (tmp_path / "4.png").exists()  # it was looked a moment ago
    clock[0] = 6.0
    storage.tidy()
    assert ceiling is None or not list(tmp_path.iterdir())
