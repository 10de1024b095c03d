"""Prompt help on the page: shown, editable, never silent; a public page asks only its host's helper."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest

from infinity.hosting import Allowance, Hosting
from infinity.rewriter import RewriterSettings
from infinity.ui.generate.help import build_prompt_help, make_suggest
from tests.stub_chat import StubChat, stub_chat

ALICE: Any = SimpleNamespace(session_hash="alice")


@pytest.fixture
def stub():
    with stub_chat() as stub:
        yield stub


def suggest(hosting: Hosting, *values: str) -> tuple[Any, ...]:
    return make_suggest(Allowance(hosting))(ALICE, *values)


def ids(hosting: Hosting) -> dict[str, Any]:
    with gr.Blocks() as blocks:
        build_prompt_help(gr.Textbox(), Allowance(hosting))
    return {
        block.elem_id: block for block in blocks.blocks.values() if getattr(block, "elem_id", None)
    }


def test_suggestion_is_shown_to_be_read_and_changed(stub):
    said, suggestion, take = suggest(Hosting(), "a fox", "endpoint", "m", stub.url, "")
    assert said == ""
    assert suggestion == {"__type__": "update", "value": stub.answer, "visible": True}
    assert take["visible"] is True


def test_typed_key_is_sent_and_nothing_else_keeps_it(stub):
    updates = suggest(Hosting(), "a fox", "endpoint", "m", stub.url, " sk-typed ")
    assert stub.asked[0][1] == "Bearer sk-typed"
    assert "sk-typed" not in str(updates)


def test_helper_is_asked_about_the_words_alone(stub):
    suggest(Hosting(), "a (red:1.3) [fox:wolf:4]", "endpoint", "m", stub.url, "")
    assert stub.asked[0][2]["messages"][-1]["content"] == "a red fox wolf"


def test_off_says_so():
    assert "Prompt help is off" in suggest(Hosting(), "a fox", "off", "", "", "")[0]


@pytest.mark.parametrize(
    ("values", "text"),
    [
        (("", "endpoint", "m", "http://127.0.0.1:9/v1", ""), "write a few words first"),
        (("a fox", "endpoint", "", "http://127.0.0.1:9/v1", ""), "needs the name of a model"),
        (("a fox", "endpoint", "m", "file:///etc/passwd", ""), "must begin with http"),
        (("a fox", "endpoint", "m", "http://127.0.0.1:9/v1", ""), "cannot be reached"),
    ],
)
def test_failure_is_one_sentence(values, text):
    said, *others = suggest(Hosting(), *values)
    assert text in said
    assert all("value" not in update for update in others)


def test_public_page_asks_its_hosts_helper_whatever_it_is_sent(stub):
    with stub_chat() as elsewhere:
        settings = RewriterSettings(kind="endpoint", model="hosts", base_url=stub.url)
        hosting = Hosting(public=True, rewriter=settings)
        suggest(hosting, "a fox", "endpoint", "mine", elsewhere.url, "sk-typed")
        assert elsewhere.asked == []
    ((_, authorisation, body),) = stub.asked
    assert (authorisation, body["model"]) == ("", "hosts")


def test_hosts_key_goes_to_the_hosts_address_only(stub, monkeypatch):
    monkeypatch.setenv("HOSTS_KEY", "sk-host")
    with stub_chat() as hosts:
        settings = RewriterSettings(
            kind="endpoint", model="m", base_url=hosts.url, key_variable="HOSTS_KEY"
        )
        for address in (hosts.url, stub.url):
            suggest(Hosting(rewriter=settings), "a fox", "endpoint", "m", address, "")
        assert hosts.asked[0][1] == "Bearer sk-host"
    assert stub.asked[0][1] == ""


def test_limits_of_the_host_hold(stub):
    settings = RewriterSettings(kind="endpoint", model="m", base_url=stub.url)
    hosting = Hosting(public=True, max_prompt_characters=5, rewriter=settings)
    assert "at most 5 characters" in suggest(hosting, "a red fox", "", "", "", "")[0]
    assert stub.asked == []


def test_rate_counts_prompt_help_too(stub: StubChat):
    settings = RewriterSettings(kind="endpoint", model="m", base_url=stub.url)
    handler = make_suggest(
        Allowance(Hosting(public=True, requests_per_minute=1, rewriter=settings))
    )
    assert handler(ALICE, "a fox", "", "", "", "")[0] == ""
    assert "1 requests a minute" in handler(ALICE, "a fox", "", "", "", "")[0]


def test_public_page_without_a_helper_shows_nothing():
    assert ids(Hosting(public=True)) == {}


def test_key_is_a_password_box_and_everything_has_a_label():
    parts = ids(Hosting())
    assert parts["help-key"].type == "password"
    for name in ("help-kind", "help-model", "help-address", "help-key", "help-suggestion"):
        assert parts[name].label
