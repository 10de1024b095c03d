"""A public page: health, warm-up, logins and limits, on a running server."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError

from infinity.errors import CheckpointError, RequestError
from infinity.hosting import Allowance, Hosting
from infinity.manager import ModelManager
from infinity.ui.app import build_app, launch_options
from infinity.ui.serve import SPACE_PROXIES, Health, trust_proxies
from infinity.ui.shared.runs import Runs, caller_of, own_session, visitor_of
from tests.tiny import SPEC, tiny_pipeline
from tests.ui.fakes import FakeManager

PUBLIC = Hosting(
    public=True, models=("tiny",), max_prompt_characters=40, max_pictures=2,
    requests_per_minute=3, upload_megabytes=1, history=False,
)  # fmt: skip


class Page:
    def __init__(self, folder: Path) -> None:
        (folder / "config.json").write_text(json.dumps(SPEC.to_dict()))
        self.manager = ModelManager(
            device="cpu", models={"tiny": folder}, loader=lambda *_, **__: tiny_pipeline()
        )
        self.runs = Runs(Allowance(PUBLIC))
        self.health = Health(self.manager, self.runs)
        self.app = build_app(self.manager, "tiny", self.runs)
        _, self.url, _ = self.app.launch(
            **launch_options(self.app, self.runs, [self.health.route]),
            server_name="127.0.0.1", prevent_thread_lock=True, quiet=True,
        )  # fmt: skip


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(tmp_path_factory.mktemp("gradio")))
        page = Page(tmp_path_factory.mktemp("tiny"))
        yield page
        page.app.close()


@pytest.fixture(scope="module")
def client(page: Page, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    folder = str(tmp_path_factory.mktemp("downloads"))
    client = Client(page.url, verbose=False, download_files=folder)
    yield client
    client.close()


def get(url: str) -> tuple[int, dict[str, Any]]:
    try:
        with urllib.request.urlopen(url, timeout=60) as reply:
            return reply.status, json.load(reply)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def test_health_tells_whether_the_page_is_ready(page):
    thread = page.health.warm_up("tiny")
    thread.join(60)
    status, facts = get(f"{page.url}health")
    assert (status, facts["status"], facts["runs"]) == (200, "ok", 0)
    assert list(facts["models"]) == ["tiny"]
    page.health.status = "starting"
    assert get(f"{page.url}health")[0] == 503
    page.health.status = "ok"


def test_public_page_offers_no_loading_and_only_its_models(client):
    found = client.view_api(return_format="dict", print_info=False)
    assert set(found["named_endpoints"]) == {
        "/generate", "/watch", "/grid", "/stop", "/settings", "/models", "/rewrite",
        "/vary", "/edit", "/mix", "/repair", "/extend", "/inspect", "/flip", "/reconstruct", "/bits",
    }  # fmt: skip
    assert [model["name"] for model in client.predict(api_name="/models")] == ["tiny"]


def test_limits_reach_the_api(client):
    for change, message in (
        ({"prompt": "x" * 41}, "at most 40 characters"),
        ({"prompt": "x", "num_images": 3}, "at most 2 pictures"),
        ({"prompt": "x", "model": "default"}, "Unknown model 'default'; choose one of tiny"),
    ):
        with pytest.raises(AppError, match=message):
            client.predict(**change, api_name="/generate")
    with pytest.raises(AppError, match="at most 2 pictures"):
        client.predict("x", "seed", "1-3", api_name="/grid")


def test_visitor_who_asks_too_often_waits(client, page):
    page.runs.allowance._begun.clear()
    for seed in range(3):
        client.predict("x", seed=seed, api_name="/generate")
    with pytest.raises(AppError, match="3 requests a minute; try again in"):
        client.predict("x", api_name="/generate")
    assert len(page.runs) == 0


def test_page_of_strangers_has_no_history_and_nothing_to_load(page):
    ids = {getattr(block, "elem_id", None) for block in page.app.blocks.values()}
    assert "history" not in ids
    labels = {getattr(block, "label", None) for block in page.app.blocks.values()}
    assert "Models" in labels
    assert "History" not in labels
    buttons = [b for b in page.app.blocks.values() if getattr(b, "elem_id", "") == "models-buttons"]
    assert [button.visible for button in buttons] == [False]


def test_large_upload_is_refused(page):
    body = (
        b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n'
        b"Content-Type: image/png\r\n\r\n" + b"0" * 1_200_000 + b"\r\n--x--\r\n"
    )
    call = urllib.request.Request(
        f"{page.url}gradio_api/upload", body, {"Content-Type": "multipart/form-data; boundary=x"}
    )
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(call, timeout=60)
    assert caught.value.code == 413


class Failing:
    def get(self, name: str) -> Any:
        raise CheckpointError("The folder is missing; put it back.")

    def loaded(self) -> tuple[Any, ...]:
        return ()


def test_warm_up_that_fails_is_told(caplog):
    health = Health(Failing(), Runs())  # type: ignore[arg-type]
    health.warm_up("tiny").join(60)
    assert (health.status, health.problem) == ("failed", "The folder is missing; put it back.")


def test_password_login_comes_from_the_environment(monkeypatch):
    app = build_app(FakeManager())
    runs = Runs(Allowance(Hosting(login="password")))
    monkeypatch.delenv("INFINITY_USER", raising=False)
    with pytest.raises(RequestError, match="set INFINITY_USER and INFINITY_PASSWORD"):
        launch_options(app, runs)
    monkeypatch.setenv("INFINITY_USER", "ada")
    monkeypatch.setenv("INFINITY_PASSWORD", "lovelace")
    assert launch_options(app, runs)["auth"] == ("ada", "lovelace")
    assert "auth" not in launch_options(app, Runs())


def test_callers_that_are_not_told_apart_may_not_stop_or_list():
    asked = caller(headers={"x-gradio-user": "mcp"}, client=None)
    with pytest.raises(RequestError, match="cannot be asked over MCP"):
        own_session(asked)
    asked.headers = {}
    assert own_session(asked) == own_session(asked)
    asked.session_hash = None
    with pytest.raises(RequestError, match="This call has no session"):
        own_session(asked)


def test_session_is_of_no_use_from_another_address():
    first = caller(client=SimpleNamespace(host="1.2.3.4"))
    second = caller(client=SimpleNamespace(host="1.2.3.5"))
    assert caller_of(first) == caller_of(first) != caller_of(second)
    first.session_hash = None
    assert caller_of(first) != caller_of(first)


def test_space_login_is_asked_for_before_anything_is_drawn():
    allowance = Allowance(Hosting(login="huggingface"))
    with pytest.raises(RequestError, match="Log in with Hugging Face first"):
        allowance.admit("127.0.0.1")
    allowance.admit("hf:ada")


@pytest.mark.parametrize(
    ("space", "named", "expected"),
    [
        ("", "", ""),
        ("", "10.0.0.0/8", "10.0.0.0/8"),
        ("ada/infinity", "", SPACE_PROXIES),
        ("ada/infinity", "10.1.0.0/16", "10.1.0.0/16"),
    ],
)
def test_proxies_are_trusted_only_if_named_or_a_spaces_own(monkeypatch, space, named, expected):
    monkeypatch.setenv("SPACE_ID", space)
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", "x")
    monkeypatch.delenv("FORWARDED_ALLOW_IPS")
    trust_proxies(Hosting(trusted_proxies=named))
    assert os.environ["FORWARDED_ALLOW_IPS"] == expected


@pytest.mark.parametrize(("trusted", "told_apart"), [("", False), ("127.0.0.1", True)])
def test_running_server_believes_an_address_only_from_a_trusted_proxy(
    monkeypatch, tmp_path, trusted, told_apart
):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", "x")
    monkeypatch.delenv("FORWARDED_ALLOW_IPS")
    trust_proxies(Hosting(trusted_proxies=trusted))
    page = Page(tmp_path)
    try:
        seen: set[str] = set()
        page.runs.allowance.admit_call = lambda address, **_: seen.add(address)
        for host in ("1.2.3.4", "5.6.7.8"):
            head = {"X-Forwarded-For": host, "Content-Type": "application/json"}
            call = urllib.request.Request(
                f"{page.url}gradio_api/call/models", b'{"data": []}', head
            )
            urllib.request.urlopen(call, timeout=60).close()
    finally:
        page.app.close()
    assert ({"1.2.3.4", "5.6.7.8"} <= seen) is told_apart


def caller(**facts: Any) -> Any:
    session = facts.pop("session", None)
    scope = {"session": session} if session is not None else {}
    return SimpleNamespace(session_hash="hf:spoofed", request=SimpleNamespace(scope=scope), **facts)


@pytest.mark.parametrize(
    ("facts", "visitor"),
    [
        ({}, "session:hf:spoofed"),
        ({"client": SimpleNamespace(host="1.2.3.4")}, "1.2.3.4"),
        ({"client": SimpleNamespace(host="1.2.3.4"), "username": "ada"}, "user:ada"),
        ({"session": {"oauth_info": {"userinfo": {"preferred_username": "ada"}}}}, "hf:ada"),
        ({"session": {}, "username": None, "client": None}, "session:hf:spoofed"),
    ],
)
def test_visitor_is_who_is_logged_in_or_the_address(facts, visitor):
    assert visitor_of(caller(**facts)) == visitor
