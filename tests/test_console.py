"""The environment that entry points meet: proxies, terminals, addresses."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from infinity.console import bypass_proxies
from infinity.ui.serve import bracketed
from tests.ui.test_serve import NO_NETWORK

ROOT = Path(__file__).resolve().parent.parent
DO_NOT_WAIT = "import time\ntime.sleep = lambda seconds: None  # between the hub's tries\n"
VARIABLES = ("all_proxy", "http_proxy", "https_proxy", "no_proxy")


@pytest.fixture
def environment(monkeypatch):
    for name in (*VARIABLES, *map(str.upper, VARIABLES)):
        monkeypatch.setenv(name, "x")  # so that all is put back
        monkeypatch.delenv(name)
    return monkeypatch


def test_own_addresses_pass_by_every_proxy(environment):
    environment.setenv("NO_PROXY", "example.org, localhost")
    bypass_proxies()
    assert os.environ["NO_PROXY"] == "example.org,localhost,127.0.0.1,::1"
    assert os.environ["no_proxy"] == "localhost,127.0.0.1,::1"


def test_proxy_that_cannot_be_used_is_named_and_others_stay(environment, caplog):
    environment.setattr("importlib.util.find_spec", lambda name: None)
    environment.setenv("ALL_PROXY", "socks5://127.0.0.1:9")
    environment.setenv("https_proxy", "http://127.0.0.1:9")
    bypass_proxies()
    assert "ALL_PROXY" not in os.environ
    assert os.environ["https_proxy"] == "http://127.0.0.1:9"
    assert "$ALL_PROXY is not used" in caplog.text


def test_address_of_version_six_stands_in_brackets():
    assert [bracketed(host) for host in ("::1", "[::1]", "127.0.0.1", None)] == [
        "[::1]", "[::1]", "127.0.0.1", None,
    ]  # fmt: skip


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:9", "http://127.0.0.1:9"])
def test_client_of_the_page_reaches_it_past_proxies(environment, proxy):
    for name in ("ALL_PROXY", "http_proxy", "https_proxy"):
        environment.setenv(name, proxy)
    program = (
        "import http.server, threading\nfrom infinity.console import bypass_proxies\nbypass_proxies()\n"
        "server = http.server.HTTPServer(('127.0.0.1', 0), http.server.SimpleHTTPRequestHandler)\n"
        "threading.Thread(target=server.serve_forever, daemon=True).start()\n"
        "import httpx\n"
        "assert httpx.get(f'http://127.0.0.1:{server.server_port}/').status_code == 200\n"
    )
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, timeout=60)


def test_download_behind_socks_is_one_sentence(environment, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(NO_NETWORK + DO_NOT_WAIT)
    done = subprocess.run(
        [sys.executable, "-m", "infinity", "generate", "x", "--model", "infinity-125m"],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=120,
        env={**os.environ, "ALL_PROXY": "socks5://127.0.0.1:9", "HF_HOME": str(tmp_path),
             "PYTHONPATH": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 1
    assert "$ALL_PROXY is not used: SOCKS needs the package socksio" in done.stderr
    assert "cannot be downloaded" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
