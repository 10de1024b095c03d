"""Assistants on a public page: its limits and its line are theirs, and nobody sees another's."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from infinity.hosting import Allowance, Hosting
from infinity.ui.shared.runs import Runs
from tests.tiny import tiny_pipeline
from tests.ui.tiny_page import tiny_page

PIPELINE = tiny_pipeline()


@pytest.fixture(scope="module")
def runs() -> Runs:
    return Runs(Allowance(Hosting(public=True, max_pictures=2, requests_per_minute=60)))


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory, runs: Runs) -> Iterator[str]:
    with tiny_page(tmp_path_factory.mktemp("page"), PIPELINE, runs, mcp_server=True) as url:
        yield f"{url}gradio_api/mcp/"


def use(url: str, tool: str, **arguments: Any) -> tuple[bool, str]:
    """(whether it is an error, what a tool says); each call is of another assistant."""
    told = {"name": tool, "arguments": arguments}
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": told}
    kinds = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
    call = urllib.request.Request(url, json.dumps(body).encode(), kinds)
    try:
        reply = urllib.request.urlopen(call, timeout=60)
    except urllib.error.HTTPError as error:
        return True, json.load(error)["detail"]
    with reply:
        (line,) = (
            part for part in reply.read().decode().splitlines() if part.startswith(("data: ", "{"))
        )
    result = json.loads(line.removeprefix("data: "))["result"]
    return result["isError"], result["content"][0]["text"]


def test_assistant_draws_and_others_see_nothing_of_it(url):
    is_error, said = use(url, "generate", prompt="a secret fox")
    assert not is_error
    assert "infinity-a-secret-fox-0.png" in said
    for tool in ("history", "zip_history", "stop"):
        is_error, said = use(url, tool)
        assert is_error
        assert "not told apart" in said or "Unknown tool" in said
        assert "fox" not in said


def test_null_means_left_out_of_a_tool_s_arguments_too(url):
    nulls = dict.fromkeys(["negative_prompt", "seed", "model", "guidance", "num_images", "style"])
    assert not use(url, "generate", prompt="an apple", **nulls)[0]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({}, "The argument prompt is missing."),
        ({"prompt": None}, "The argument prompt is missing."),
        ({"prompt": "x", "promt": 1}, "did you mean 'prompt'?"),
        ({"prompt": "x", "n" * 9_000: 1}, "Unknown argument"),
        ({"prompt": ["x" * 9_000]}, "is no value it can take."),
        ({"prompt": {'"': "\u05e9" * 9_000}}, "is no value it can take."),
        ({"prompt": "x", "num_images": 3}, "at most 2 pictures a request"),
        ({"prompt": "x", "model": "infinity-2b"}, "choose one of tiny"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_tool_refuses_in_one_short_sentence(url, arguments, sentence):
    is_error, said = use(url, "generate", **arguments)
    assert is_error
    assert sentence in said
    assert len(said) < 500


def test_picture_of_the_page_is_known_by_its_address_and_no_other_is_fetched(url):
    _, said = use(url, "generate", prompt="an apple")
    address = next(part for part in said.split("'") if part.startswith("http"))
    is_error, said = use(url, "settings", picture=address)
    assert (is_error, "an apple" in said) == (False, True)
    is_error, said = use(url, "settings", picture="https://example.com/a.png")
    assert (is_error, "upload it" in said) == (True, True)


def test_full_line_and_the_limit_of_requests_hold_for_assistants(url, runs, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(type(runs), "__len__", lambda self: 64)
        assert "64 requests are waiting" in use(url, "generate", prompt="x")[1]
    monkeypatch.setattr(runs.allowance, "hosting", Hosting(public=True, requests_per_minute=8))
    said = [use(url, "generate", prompt="x")[1] for _ in range(9)]
    assert "This page allows 8 requests a minute" in said[-1]
