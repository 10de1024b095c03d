"""Without a network the hub is not asked again and again."""

import socket

import pytest
from huggingface_hub import constants

from infinity.checkpoints.download import HubRequest
from infinity.errors import ResourceError
from infinity.hub import check_hub, is_here


def without_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """No name is known, no proxy may know it."""

    def unknown(*_, **__):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    monkeypatch.setattr(constants, "ENDPOINT", "https://hub.invalid")
    for name in ("https_proxy", "all_proxy", "socks_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def test_hub_that_is_not_to_be_found_is_one_sentence(monkeypatch, tmp_path):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    without_network(monkeypatch)
    wanted = HubRequest("some/model", "main", (("config.json",),))
    for ask in (lambda: check_hub("some/model"), wanted.fetch, wanted.bytes_to_fetch):
        with pytest.raises(ResourceError, match=r"some/model cannot .* hub\.invalid is not to be"):
            ask()


@pytest.mark.parametrize("proxy", ["https_proxy", "ALL_PROXY"])
def test_hub_behind_a_proxy_is_asked(monkeypatch, proxy):
    without_network(monkeypatch)
    monkeypatch.setenv(proxy, "http://127.0.0.1:9")
    check_hub("some/model")


def test_offline_mode_is_told_by_the_hub_s_own_library(monkeypatch):
    without_network(monkeypatch)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    check_hub("some/model")


def test_folder_is_here_and_so_is_what_is_in_the_cache(monkeypatch, tmp_path):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    assert is_here(str(tmp_path)) and not is_here("some/model")
    snapshot = tmp_path / "models--some--model" / "snapshots" / "0abc"
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text("{}")
    refs = tmp_path / "models--some--model" / "refs"
    refs.mkdir()
    (refs / "main").write_text("0abc")
    assert is_here("some/model")
