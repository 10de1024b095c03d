"""The page as a program of its own, on a machine as people have them."""

from __future__ import annotations

import json
import signal
import socket
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from infinity.request import MAX_IMAGES
from infinity.ui.server.storage import PREFIX
from tests.e2e.steps import started
from tests.hostile import small_png, uploaded
from tests.tiny import tiny_folder
from tests.ui.test_mcp import use
from tests.visitor import Visitor, lines, post

# Python runs a file of this name first: every way out of the machine is noted and shut.
NO_NETWORK = """
import sys
def hook(event, arguments):
    if event == "socket.connect" and isinstance(arguments[1], tuple):
        host = arguments[1][0]
    elif event == "socket.getaddrinfo":
        host = arguments[0]
    else:
        return
    host = host.decode() if isinstance(host, bytes) else host
    if host not in ("localhost", "127.0.0.1", "::1", "", None):
        sys.stderr.write(f"LEFT THE MACHINE: {host}\\n")
        raise OSError(f"no network: {host}")
sys.addaudithook(hook)
"""
PROXIES = {
    "ALL_PROXY": "socks5://127.0.0.1:9",
    "http_proxy": "http://127.0.0.1:9",
    "HTTPS_PROXY": "http://127.0.0.1:9",
}


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.mark.skipif(not _has_ipv6(), reason="needs IPv6")
def test_page_behind_proxies_on_ipv6_needs_no_network_and_writes_into_its_own_folder(
    tmp_path: Path,
) -> None:
    (tmp_path / "sitecustomize.py").write_text(NO_NETWORK)
    model, log, files = tiny_folder(tmp_path / "model"), tmp_path / "log.txt", tmp_path / "files"
    variables = {"PYTHONPATH": str(tmp_path), "GRADIO_TEMP_DIR": str(files), **PROXIES}
    with started(model, log, "--mcp", host="::1", **variables) as (url, process):
        assert url.startswith("http://[::1]:")
        picture = uploaded(f"{url}gradio_api/", small_png(), "a.png")["path"]
        is_error, text = use(
            f"{url}gradio_api/mcp/", "settings", picture=f"{url}gradio_api/file={picture}"
        )
        assert (is_error, "no Infinity record" in text) == (True, True)
        body = json.dumps({"prompt": "a red apple"}).encode()
        headers = {"Content-Type": "application/json"}
        call = urllib.request.Request(f"{url}gradio_api/call/v2/generate", body, headers)
        event = json.load(urllib.request.urlopen(call))["event_id"]
        answer = urllib.request.urlopen(f"{url}gradio_api/call/v2/generate/{event}").read()
        assert b"event: complete" in answer, answer
        assert list(files.iterdir()) == folders(files)
        process.terminate()
        assert process.wait(120) == 0
    assert list(files.iterdir()) == []
    said = log.read_text(encoding="utf-8")
    assert f"Running on local URL:  {url.rstrip('/')}" in said
    assert "$ALL_PROXY is not used" in said
    assert "LEFT THE MACHINE" not in said


def drawing(url: str) -> None:
    """Returns in the middle of a run, with more of them in line."""
    visitor = Visitor(f"{url}gradio_api/", json.loads("".join(lines(f"{url}config"))))
    for _ in range(8):
        post(f"{visitor.url}call/v2/generate", {"prompt": "a fox", "num_images": MAX_IMAGES})
    visitor.join(visitor.number("models"), [])
    assert "data" in visitor.answer()  # answered meanwhile
    assert health(url)["runs"] > 0


def health(url: str) -> dict[str, Any]:
    return json.loads("".join(lines(f"{url}health")))


def folders(parent: Path) -> list[Path]:
    return list(parent.glob(f"{PREFIX}*"))


def test_page_ended_in_mid_run_leaves_no_files_and_no_traceback(tmp_path: Path) -> None:
    model, log, files = tiny_folder(tmp_path / "model"), tmp_path / "log.txt", tmp_path / "files"
    with started(model, log, GRADIO_TEMP_DIR=str(files)) as (url, process):
        drawing(url)
        (abandoned,) = folders(files)
        process.send_signal(signal.SIGKILL)
        process.wait(120)
        assert abandoned.is_dir()
    with started(model, log, GRADIO_TEMP_DIR=str(files)) as (url, process):
        assert not abandoned.exists()
        drawing(url)
        process.terminate()
        assert process.wait(120) == 0
    assert folders(files) == []
    assert "Traceback" not in log.read_text(encoding="utf-8")


# The first to open a text encoder's settings waits for ever: a model that is loading.
SLOW_LOAD = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # who runs in the background ignores it
def hook(event, arguments):
    if event == "open" and str(arguments[0]).endswith("text_encoder/config.json"):
        sys.stderr.write("LOADING\\n")
        sys.stderr.flush()
        time.sleep(600)
sys.addaudithook(hook)
"""


def test_page_ended_while_a_model_loads_leaves_no_files_and_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(SLOW_LOAD)
    model, log, files = tiny_folder(tmp_path / "model"), tmp_path / "log.txt", tmp_path / "files"
    variables = {"PYTHONPATH": str(tmp_path), "GRADIO_TEMP_DIR": str(files)}
    with started(model, log, **variables) as (url, process):
        post(f"{url}gradio_api/call/v2/generate", {"prompt": "a fox"})
        while "LOADING" not in log.read_text(encoding="utf-8"):
            assert process.poll() is None
            time.sleep(0.1)
        visitor = Visitor(f"{url}gradio_api/", json.loads("".join(lines(f"{url}config"))))
        visitor.join(visitor.number("models"), [])
        assert "data" in visitor.answer()  # answered meanwhile
        process.send_signal(signal.SIGINT)  # SIGTERM: above
        assert process.wait(120) == 0
    assert list(files.iterdir()) == []
    assert "Traceback" not in log.read_text(encoding="utf-8")
