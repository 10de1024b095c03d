"""Hostile calls made from a running app's own schema, and what kind of answer each one gets."""

from __future__ import annotations

import http.client
import json
import random
import re
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

MOST_CHARACTERS = 1_200
WAYS = ("call", "call/v2", "run", "api", "queue/join")
SERVER_PLACE = re.compile(r"Traceback|File \"|/site-packages/|root:x:|/tmp/|/root/|/home/")
SESSIONS: tuple[Any, ...] = (
    "a-good-session", "a-good-session", None, "", "x", "s" * 5_000, 3, [], {}, "../../etc", "\0" * 9,
)  # fmt: skip
CONTENT_TYPES = (
    *["application/json"] * 8,
    "text/plain",
    "multipart/form-data",
    "application/xml",
    "",
)
BODIES = (
    b"", b"{", b"null", b"[]", b"3", b"\xff\xfe", b"{}", b'{"data": null}', b'{"data": "x"}',
    b"[" * 50_000, b'{"data": [' + b"9" * 4_301 + b"]}", b'{"data": [NaN, Infinity]}',
)  # fmt: skip
VALUES: tuple[Any, ...] = (
    10**399, -(10**399), int("9" * 4_300), 1e308, 2**63, -1, 0, 0.5, float("nan"), float("inf"),
    "\ud800", "a\udfff", "", " ", "x" * 30_000, "\0\x01\x1b[31m", "\u202eelppa", "\u05e9\u05dc\u05d5\u05dd",
    "{a|b}" * 3_000, "{a|" * 3_000 + "}" * 3_000, "{", "__a__", None, True, False, [], {}, [[[]]],
    {"path": "/etc/passwd"}, {"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}},
    {"url": "file:///etc/passwd"}, "/etc/passwd", "../../etc/passwd", "C:\\Windows\\win.ini",
    "9" * 5_000, ["x"] * 500, {"a": {"b": {"c": None}}}, "<script>alert(1)</script>", "%s%n{0}",
)  # fmt: skip
RESERVED = ("request", "self", "session_hash", "event_id", "fn_index", "oauth_token", "", "x" * 999)


@dataclass(frozen=True)
class Call:
    """One POST: where to (below ``gradio_api/``), its body and its content type."""

    path: str
    body: bytes
    content_type: str


def endpoints(url: str) -> dict[str, Any]:
    """The named endpoints of the app at ``url``, which ends in ``gradio_api/``."""
    with urllib.request.urlopen(f"{url}info", timeout=60) as reply:
        return json.load(reply)["named_endpoints"]


def calls(endpoints: Mapping[str, Any], count: int, seed: int = 0) -> Iterator[Call]:
    """Hostile calls over every endpoint of ``/info`` and every way in, the same for the same seed."""
    chance = random.Random(seed)
    names = sorted(endpoints)
    for number in range(count):
        name = names[number % len(names)]
        way = WAYS[number // len(names) % len(WAYS)]
        path = way if way == "queue/join" else f"{way}{name}"
        kind = chance.choice(CONTENT_TYPES)
        if chance.random() < 0.1:
            yield Call(path, chance.choice(BODIES), kind)
            continue
        known = [one["parameter_name"] for one in endpoints[name]["parameters"]]
        given = {key: _value(chance) for key in known if chance.random() < 0.8}
        if known and chance.random() < 0.15:
            given = {known[0]: "a red apple"}
        elif known and chance.random() < 0.5:  # one strange value among good ones
            given = {known[0]: "a red apple", chance.choice(known): _value(chance)}
        if way == "call/v2":
            if chance.random() < 0.15:
                given[chance.choice(RESERVED)] = _value(chance)
            body: dict[str, Any] = given
        else:
            body = {"data": list(given.values())}
            if chance.random() < 0.7:
                body["session_hash"] = chance.choice(SESSIONS)
            if way == "queue/join":
                body["fn_index"] = chance.choice((0, 1, 2, 5, 9, 10**6, -1, None, "0", 0.5))
        yield Call(path, _written(body), kind)


def _value(chance: random.Random) -> Any:
    return chance.choice(VALUES)


def _written(body: object) -> bytes:
    return json.dumps(body).encode()


def answer(url: str, call: Call, timeout: float = 60) -> tuple[str, str]:
    """(kind, text) of what ``url`` (ends in ``gradio_api/``) answers: picture, value, sentence,
    wordless, bare 500 or hang."""
    try:
        status, text = _request(url + call.path, call.body, call.content_type, timeout)
        if status != 200:
            return _judged(status, text), text
        found = json.loads(text)
        if not isinstance(found, dict) or "event_id" not in found or call.path == "queue/join":
            return "value", text
        status, text = _request(f"{url}{call.path}/{found['event_id']}", None, "", timeout)
    except (TimeoutError, http.client.HTTPException, urllib.error.URLError) as error:
        return "hang", repr(error)
    last = text.rpartition("event: ")[2]
    data = last.partition("data: ")[2].strip()
    if last.startswith("complete"):
        return ("picture" if ".png" in data or ".webp" in data else "value"), data
    return _judged(status, data), data


def _request(address: str, body: bytes | None, kind: str, timeout: float) -> tuple[int, str]:
    sent = urllib.request.Request(address, body, {"Content-Type": kind} if body is not None else {})
    try:
        with urllib.request.urlopen(sent, timeout=timeout) as reply:
            return reply.status, reply.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def _judged(status: int, text: str) -> str:
    try:
        said = json.loads(text)
    except ValueError:
        return "bare 500" if status >= 500 else "wordless"
    if isinstance(said, dict):
        said = said.get("error") or said.get("detail")
    if not isinstance(said, str) or said.strip() in ("", "None", "null"):
        return "wordless"
    is_fair = len(said) <= MOST_CHARACTERS and not SERVER_PLACE.search(said)
    return "sentence" if is_fair else "wordless"
