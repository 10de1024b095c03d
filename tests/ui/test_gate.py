"""What passes the page's one door, and what is refused in one sentence."""

from __future__ import annotations

import json
import re
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from gradio import processing_utils

from infinity.errors import RequestError, quoted
from infinity.hosting import Allowance, Hosting, address_of
from infinity.ui.server import gate
from infinity.ui.shared.files import NOT_OURS
from infinity.ui.shared.runs import Runs
from infinity.ui.shared.status import UNEXPECTED, for_visitors
from tests.hostile import functions
from tests.tiny import tiny_pipeline
from tests.ui.tiny_page import tiny_page

PIPELINE = tiny_pipeline()


@pytest.fixture(scope="module")
def runs() -> Runs:
    return Runs(Allowance(Hosting(upload_megabytes=1)))


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory, runs: Runs) -> Iterator[str]:
    with tiny_page(tmp_path_factory.mktemp("page"), PIPELINE, runs) as url:
        yield f"{url}gradio_api/"


def post(address: str, body: bytes | dict[str, Any] | None) -> tuple[int, Any]:
    sent = body if isinstance(body, bytes) else json.dumps(body).encode()
    call = urllib.request.Request(address, sent, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(call, timeout=60) as reply:
            return reply.status, json.load(reply)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def ask(url: str, name: str, body: dict[str, Any] | bytes, way: str = "call") -> tuple[str, Any]:
    """(kind of the answer, answer) of one queued call; a refusal's kind is "refused"."""
    status, found = post(f"{url}{way}/{name}", body)
    if status != 200:
        return "refused", found["detail"]
    with urllib.request.urlopen(f"{url}{way}/{name}/{found['event_id']}", timeout=60) as reply:
        lines = reply.read().decode().splitlines()
    kind = next(line for line in reversed(lines) if line.startswith("event: "))
    data = next(line for line in reversed(lines) if line.startswith("data: "))
    return kind.removeprefix("event: "), json.loads(data.removeprefix("data: "))


def test_two_callers_without_a_session_see_nothing_of_each_other(url):
    kind, _ = ask(url, "generate", {"data": ["a secret apple"]})
    assert kind == "complete"
    for way, nothing in (("call", {"data": []}), ("call/v2", {})):
        assert ask(url, "history", nothing, way) == ("complete", [[]])
        assert ask(url, "stop", nothing, way) == ("complete", [False])
        kind, said = ask(url, "zip", nothing, way)
        assert (kind, "no pictures of yours" in str(said)) == ("error", True)
    _, (mine,) = ask(url, "history", {"data": [], "session_hash": "somebody-else"})
    assert mine == []


def test_caller_with_a_session_has_its_own_history(url):
    session = {"session_hash": "first-of-two"}
    assert ask(url, "generate", {"data": ["an apple"], **session})[0] == "complete"
    _, (mine,) = ask(url, "history", {"data": [], **session})
    assert [entry["prompt"] for entry in mine] == ["an apple"]


@pytest.mark.parametrize("way", ["run", "api"])
@pytest.mark.parametrize("name", ["generate", "history", "stop"])
def test_direct_calls_do_not_pass_the_line(url, way, name):
    for session in ({}, {"session_hash": "a-session-of-mine"}):
        status, said = post(f"{url}{way}/{name}", {"data": ["x"], **session})
        assert 400 <= status < 500
        assert said["detail"].endswith(".")


BAD = (
    (b"", "not valid JSON"),
    (b"[]", "JSON object"),
    (b'{"data": [' + b"9" * 400 + b"]}", "400 digits"),
    (b'{"data": [' + b"9" * 4301 + b"]}", "4301 digits"),
    (b'{"data": ["\\ud800"]}', "not valid Unicode"),
    (b'{"data": ["\xff"]}', "not valid"),
    (b'{"data": [NaN]}', "not a number"),
    (b'{"data": ' + b"[" * 100 + b"]" * 100 + b"}", "nested too deeply"),
    (b'{"data": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deeply"),
    (b'{"data": {}}', "must be a list"),
    (b'{"data": []}', "argument prompt is missing"),
    (b'{}', "argument prompt is missing"),
    (json.dumps({"data": ["x"] * 40}).encode(), "data has 40 arguments"),
    (b'{"data": ["x"], "session_hash": ""}', "random session_hash"),
    (b'{"data": ["x"], "session_hash": 3}', "random session_hash"),
    (b'{"data": ["' + b"x" * 1_100_000 + b'"]}', "larger than 1 MB"),
)  # fmt: skip


@pytest.mark.parametrize(("body", "sentence"), BAD, ids=lambda value: str(value)[:30])
def test_call_that_no_handler_could_use_is_one_sentence(url, body, sentence):
    status, said = post(f"{url}call/generate", body)
    assert 400 <= status < 500
    assert sentence in said["detail"]
    assert said["detail"].endswith(".")
    assert len(said["detail"]) < 500


@pytest.mark.parametrize("kind", ["text/plain", "multipart/form-data; boundary=x", ""])
def test_call_that_is_not_sent_as_json_is_one_sentence(url, kind):
    call = urllib.request.Request(f"{url}call/generate", b'{"data": ["x"]}', {"Content-Type": kind})
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(call, timeout=60)
    assert refused.value.code == 415
    assert "application/json" in json.load(refused.value)["detail"]


BAD_ARGUMENTS: tuple[tuple[dict[str, Any], str], ...] = (
    ({}, "argument prompt is missing"),
    ({"prompt": None}, "argument prompt is missing"),
    ({"promt": "x"}, "did you mean 'prompt'?"),
    *(({"prompt": "x", key: 1}, "Unknown argument")
      for key in ("request", "self", "session_hash", "event_id", "fn_index", "oauth_token", "x" * 999)),
)  # fmt: skip


@pytest.mark.parametrize(("body", "sentence"), BAD_ARGUMENTS, ids=lambda value: str(value)[:30])
def test_named_arguments_are_checked_by_name(url, body, sentence):
    status, said = post(f"{url}call/v2/generate", body)
    assert 400 <= status < 500
    assert sentence in said["detail"]
    assert len(said["detail"]) < 500


@pytest.mark.parametrize("way", ["call", "call/v2"])
def test_unknown_endpoint_is_one_sentence(url, way):
    status, said = post(f"{url}{way}/genrate", {"data": []} if way == "call" else {})
    assert (status, said["detail"]) == (
        404, "There is no endpoint 'genrate'; did you mean 'generate'?",
    )  # fmt: skip


@pytest.mark.parametrize("number", [None, -1, 9999, "0", True, 1e9, {}])
def test_function_that_there_is_not_is_one_sentence(url, number):
    call = {"data": [], "fn_index": number, "session_hash": "a-session-of-mine"}
    status, said = post(f"{url}queue/join", call)
    assert 400 <= status < 500
    assert said["detail"].endswith(".")


BESIDE = (
    ("GET", "gradio_api/deep_link?session_hash=x"), ("GET", "gradio_api/proxy=https://example.org/x"),
    ("GET", "gradio_api/file=https://example.org/x.png"), ("GET", "gradio_api/file=HTTP://x/y.png"),
    ("GET", "monitoring"), ("GET", "monitoring/summary"), ("POST", "gradio_api/process_recording"),
    ("POST", "gradio_api/vibe-edit"), ("POST", "gradio_api/component_server"),
    ("POST", "gradio_api/stream/x"), ("POST", "gradio_api/run-history/connect"), ("POST", "queue/join"),
)  # fmt: skip


@pytest.mark.parametrize(("method", "address"), BESIDE, ids=str)
def test_what_gradio_offers_beside_the_page_is_closed(url, method, address):
    call = urllib.request.Request(url.replace("gradio_api/", address), method=method)
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(call, timeout=60)
    assert (refused.value.code, json.load(refused.value)["detail"]) == (
        404, "There is nothing at this address.",
    )  # fmt: skip


def test_null_means_left_out_whichever_way_in(url):
    nulls = {
        "prompt": "x", "negative_prompt": None, "model": None, "aspect_ratio": None, "seed": None,
        "guidance": None, "num_images": None, "preset": None, "style": None,
    }  # fmt: skip
    assert ask(url, "generate", nulls, "call/v2")[0] == "complete"
    assert ask(url, "generate", {"data": ["x", *[None] * 13]})[0] == "complete"
    assert ask(url, "generate", {"data": ["x"]})[0] == "complete"


@pytest.mark.parametrize(
    "arguments",
    [
        {"prompt": ["x"]}, {"prompt": {"a": 1}}, {"prompt": 3}, {"prompt": True},
        {"prompt": "x", "model": ["tiny"]}, {"prompt": "x", "model": {}},
        {"prompt": "x", "style": 3}, {"prompt": "x", "preset": [1]},
        {"prompt": "x", "aspect_ratio": {}}, {"prompt": "x", "seed": 10**200},
        {"prompt": "x", "guidance": {"a": 1}}, {"prompt": "x", "guidance_layers": "abc"},
        {"prompt": "x", "seed": "9" * 5000}, {"prompt": "x", "style": "s" * 5000},
    ],
    ids=str,
)  # fmt: skip
def test_arguments_of_the_wrong_kind_are_one_sentence(url, arguments):
    kind, said = ask(url, "generate", arguments, "call/v2")
    assert kind in ("error", "refused")
    sentence = said if isinstance(said, str) else said["error"]
    assert isinstance(sentence, str)
    assert len(sentence) < 700


STRANGE = (3.5, True, [[]], {"a": 1}, "{a|b}" * 3000)


def test_strange_value_of_any_argument_of_any_endpoint_is_told_by_the_program_itself(url):
    unexpected = []
    session = {"session_hash": "one-for-all"}  # to make one took most of the time of a call
    for function in (one for one in functions(url) if one.name):
        for key in function.values:
            for value in STRANGE:
                data = [*{**function.values, key: value}.values()]
                kind, said = ask(url, function.name, {"data": data, **session})
                text = re.sub(r"data:image/[\w+/;,=]+", "a picture", str(said))
                if UNEXPECTED in text or (kind != "complete" and len(text) > 1_000):
                    unexpected.append((function.name, key, str(value)[:40], text[:300]))
    assert not unexpected


def test_handler_of_the_page_quotes_little_of_what_is_none_of_its_choices(url):
    handler = next(one for one in functions(url) if one.values and set(one.values) == {"0", "1"})
    for value in ("x" * 5_000, '"' * 5_000, "\u05e9" * 5_000):
        call = {
            "data": [value, "none"], "fn_index": handler.number, "session_hash": "session-of-mine",
        }  # fmt: skip
        said = post(f"{url}run/predict", call)[1]["error"]
        assert said.startswith("Value: ")
        assert said.endswith(" is no value it can take.")
        assert len(said) < 250


def test_server_path_is_never_read_nor_named(url):
    for path in ("/etc/passwd", {"path": "/etc/passwd"}, {"path": "~/.ssh/id"}, {}, [], 3, "x\0"):
        kind, said = ask(url, "settings", {"picture": path}, "call/v2")
        assert kind in ("error", "refused")
        assert "/etc" not in str(said)
        assert "None" not in str(said)


META = {"meta": {"_type": "gradio.FileData"}}


@pytest.mark.parametrize(
    "path",
    ["http://example.com/a.png", "https://[::1]/a.png", "ftp://a/b", "data:image/png;base64,AA",
     "/etc/passwd", "x" * 300, "x" * 9_000, "", None, 3, "/gradio_api/file=/etc/passwd"],
    ids=lambda value: str(value)[:20],
)  # fmt: skip
@pytest.mark.parametrize("meta", [META, {"meta": 3}, {"meta": None}], ids=str)
def test_file_that_is_not_the_page_s_own_is_never_fetched(url, path, meta, monkeypatch):
    for name in ("async_ssrf_protected_get", "async_ssrf_protected_download"):
        monkeypatch.setattr(processing_utils, name, lambda *_: pytest.fail("fetched"))
    kind, said = ask(url, "settings", {"picture": {"path": path, **meta}}, "call/v2")
    assert (kind, said) == ("refused", NOT_OURS)


def test_picture_is_the_page_s_own_by_its_path_and_by_any_address_of_the_page(url):
    _, ((drawn,),) = ask(url, "generate", {"data": ["an apple"]})
    for path in (
        drawn["path"],
        drawn["url"],
        f"https://example.com/gradio_api/file={drawn['path']}",
    ):
        kind, said = ask(url, "settings", {"picture": {"path": path, **META}}, "call/v2")
        assert (kind, said[0]["arguments"]["prompt"]) == ("complete", "an apple")


@pytest.mark.parametrize(
    ("way", "body"),
    [
        ("component_server", {"session_hash": "a-session", "component_id": 10**9, "data": {}}),
        ("component_server", None), ("cancel", {}), ("cancel", {"session_hash": [], "fn_index": "x"}),
        ("stream/x", {"data": ["x"]}), ("stream/x", {}), ("undo-vibe-edit", {}), ("nowhere", {}),
        ("queue/join", {"fn_index": 0, "session_hash": "a-session", "trigger_id": [[]]}),
        ("run/nowhere", {"data": [], "session_hash": "a-session"}), ("generate", {}),
    ],
    ids=str,
)  # fmt: skip
def test_what_gradio_refuses_is_one_sentence_too(url, way, body):
    status, said = post(f"{url}{way}", body)
    assert status >= 400
    assert said["error"] == said["detail"]
    assert said["error"][-1] in ".!"
    assert len(said["error"]) < 250


def test_long_name_of_a_file_is_quoted_briefly(url):
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"{url}file={'x' * 5_000}", timeout=60)
    assert len(json.load(refused.value)["detail"]) < 250


def sent(url: str, length: int, body: bytes) -> bytes:
    """What a server says to a body of which no more than this comes."""
    address = urlsplit(url)
    with socket.create_connection((address.hostname, address.port), timeout=60) as line:
        line.sendall(
            f"POST /gradio_api/call/generate HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
            f"Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n".encode()
            + body
        )
        with line.makefile("rb") as answer:
            return answer.read()


def test_body_that_does_not_come_is_waited_for_no_longer(url, monkeypatch):
    monkeypatch.setattr(gate, "PATIENCE_S", 0.2)
    answer = sent(url, 500, b'{"data": [')
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"does not come" in answer


def test_body_that_is_too_large_is_read_so_that_its_sender_hears_why(url):
    answer = sent(url, 9_000_000, b" " * 9_000_000)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"larger than 1 MB" in answer


def test_calls_and_uploads_of_a_visitor_are_counted():
    clock = [0.0]
    allowance = Allowance(Hosting(requests_per_minute=1), lambda: clock[0])
    for _ in range(3):
        allowance.admit_call("1.2.3.4", is_upload=True)
    with pytest.raises(RequestError, match="try again in"):
        allowance.admit_call("1.2.3.4", is_upload=True)
    for _ in range(17):
        allowance.admit_call("1.2.3.4")
    with pytest.raises(RequestError, match="try again in"):
        allowance.admit_call("1.2.3.4")
    allowance.admit_call("1.2.3.5")
    clock[0] = 61.0
    allowance.admit_call("1.2.3.4", is_upload=True)


def test_full_line_turns_away_and_everything_else_answers(url, runs, monkeypatch):
    monkeypatch.setattr(type(runs), "__len__", lambda self: 64)
    kind, said = ask(url, "generate", {"data": ["x"]})
    assert (kind, "64 requests are waiting" in str(said)) == ("error", True)
    session = {"data": [], "session_hash": "somebody"}
    assert ask(url, "stop", session) == ("complete", [False])
    assert ask(url, "models", session)[0] == "complete"


def test_address_stands_for_its_home():
    assert address_of("1.2.3.4") == "1.2.3.4"
    assert (
        address_of("2001:db8:1:2:3:4:5:6")
        == address_of("2001:db8:1:2::9")
        != address_of("2001:db8:1:3::9")
    )
    assert address_of("::ffff:1.2.3.4") == "1.2.3.4"
    assert address_of("testclient") == "testclient"


def test_refusals_quote_little_and_name_no_place(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    assert len(quoted("x" * 10_000)) <= 200
    assert quoted("\ud800").isascii()
    for place in (tmp_path / "abc/infinity-1.png", "/srv/models/x.safetensors", "~/m/config.json",
                  "C:\\models\\x.json", "D:/m/x.json"):  # fmt: skip
        said = for_visitors(OSError(f"{place} cannot be written: disk full."))
        assert said == "a file of the server cannot be written: disk full."
    for plain in ("ask https://huggingface.co/a/b", "1/2 or 3/4", "a {red|blue} car/bus/train"):
        assert for_visitors(plain) == plain
