"""Hostile calls made from a running app's own schema, and what kind of answer each one gets."""

from __future__ import annotations

import http.client
import io
import json
import random
import re
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

MOST_CHARACTERS = 1_200
WAYS = (
    "call",
    "queue/join",
    "call/v2",
    "queue/join",
    "call",
    "run",
    "call/v2",
    "queue/join",
    "run",
    "api",
)
SERVER_PLACE = re.compile(r"Traceback|File \"|/site-packages/|root:x:|/tmp/|/root/|/home/")
SESSIONS: tuple[Any, ...] = (
    "a-good-session", None, "", "x", "s" * 5_000, 3, [], {}, "../../etc", "\0" * 9,
)  # fmt: skip
CONTENT_TYPES = ("text/plain", "multipart/form-data", "application/xml", "")
GOOD: dict[str, Any] = {
    "prompt": "a red apple",
    "x": "seed",
    "x_values": "1, 2",
    "y": "",
    "seed": 0,
    "bits": [[1, 1, 1, 1]],
}
PICTURES = ("picture", "fine", "mask")
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
    """One POST: where to (below ``gradio_api/``), its body, its content type, and the session in whose
    queue the answer of ``queue/join`` appears."""

    path: str
    body: bytes
    content_type: str
    session: str


@dataclass(frozen=True)
class Function:
    """What can be called: an endpoint, or, without a name, a handler of the page. ``values`` are those
    of a page that was just opened, or what an endpoint takes, in their order; ``files`` are strange ones
    that the app has, for endpoints."""

    number: int
    name: str
    values: Mapping[str, Any]
    files: tuple[Any, ...] = ()


def functions(url: str) -> list[Function]:
    """The functions of the app at ``url``, which ends in ``gradio_api/``: endpoints come first."""
    with urllib.request.urlopen(f"{url}info", timeout=60) as reply:
        endpoints = json.load(reply)["named_endpoints"]
    with urllib.request.urlopen(f"{url.removesuffix('gradio_api/')}config", timeout=60) as reply:
        config = json.load(reply)
    picture = uploaded(url, small_png(), "a.png")
    good = GOOD | {"picture": picture, "fine": picture}
    files = tuple(uploaded(url, content, name) for name, content in strange_files().items())
    shown = {part["id"]: part["props"].get("value") for part in config["components"]}
    numbers = {one["api_name"]: one["id"] for one in config["dependencies"]}
    found = [
        Function(
            numbers[name[1:]],
            name[1:],
            {
                one["parameter_name"]: good.get(one["parameter_name"], one["parameter_default"])
                for one in told["parameters"]
            },
            files,
        )
        for name, told in sorted(endpoints.items())
    ]
    known = {function.number for function in found}
    handlers = [
        Function(
            one["id"], "", {str(n): shown[part] for n, part in enumerate(one["inputs"])}, files
        )
        for one in config["dependencies"]
        if one["backend_fn"] and one["id"] not in known
    ]
    return found + handlers


def small_png() -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (8, 8)).save(stream, "PNG")
    return stream.getvalue()


def strange_files() -> dict[str, bytes]:
    """Bits that are none: damaged, cut off, of a model there is not, a bomb, Python's own objects."""
    arrays = {"scale_1_bits": np.ones((1, 8), bool)}
    files = {}
    for name, members in {
        "other": {**arrays, "about": np.array('{"model": "x", "aspect_ratio": "1:1"}')},
        "bomb": {"scale_1_bits": np.zeros(2**27, bool), "about": np.array("{}")},
        "objects": {"scale_1_bits": np.array([{}], object), "about": np.array("{}")},
        "wordless": arrays,
    }.items():
        np.savez_compressed(stream := io.BytesIO(), allow_pickle=True, **members)
        files[f"{name}.npz"] = stream.getvalue()
    whole = files["other.npz"]
    half = len(whole) // 2
    return files | {
        "cut.npz": whole[:half],
        "damaged.npz": whole[:half] + b"\xff" * 9 + whole[half + 9 :],
        "named.png": whole,
        "empty.npz": b"",
    }


def uploaded(url: str, content: bytes, name: str) -> dict[str, Any]:
    """A file as an argument, once the app at ``url`` has it."""
    head = f'--x\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n\r\n'
    body = head.encode() + content + b"\r\n--x--\r\n"
    status, text = _request(f"{url}upload", body, "multipart/form-data; boundary=x", 60)
    assert status == 200, text
    return {"path": json.loads(text)[0], "meta": {"_type": "gradio.FileData"}}


def calls(functions: Sequence[Function], count: int, seed: int = 0) -> Iterator[Call]:
    """Hostile calls over every function and every way in, the same for the same seed.

    Most have a session of their own, their arguments in place, and one or two strange values.
    """
    chance = random.Random(seed)
    endpoints = [one for one in functions if one.name]
    handlers = [one for one in functions if not one.name]
    for number in range(count):
        way = WAYS[number % len(WAYS)]
        is_handler = bool(handlers) and way in ("run", "queue/join") and chance.random() < 0.5
        function = chance.choice(handlers if is_handler else endpoints)
        values = dict(function.values)
        for key in _some(chance, list(values)):
            strange = VALUES + 3 * function.files if key in PICTURES else VALUES
            values[key] = chance.choice(strange)
        session = f"session-{seed}-{number}"
        if way == "call/v2":
            body: dict[str, Any] = values
            if chance.random() < 0.05:
                body[chance.choice(RESERVED)] = chance.choice(VALUES)
        else:
            body = {"data": list(values.values()), "session_hash": session}
            if way == "queue/join" or is_handler:
                body["fn_index"] = function.number
            if chance.random() < 0.05:
                body["session_hash"] = session = chance.choice(SESSIONS)
            elif chance.random() < 0.05:
                body["fn_index"] = chance.choice((10**6, -1, None, "0", 0.5, True))
            elif chance.random() < 0.05:
                body["data"] = body["data"][: chance.randrange(3)] * chance.randrange(20)
        yield Call(
            way if way == "queue/join" else f"{way}/{function.name or 'predict'}",
            chance.choice(BODIES) if chance.random() < 0.04 else json.dumps(body).encode(),
            chance.choice(CONTENT_TYPES) if chance.random() < 0.02 else "application/json",
            str(session),
        )


def _some(chance: random.Random, keys: list[str]) -> list[str]:
    """None of them, one or two, or all."""
    count = chance.choices((0, 1, 2, len(keys)), (10, 60, 20, 10))[0]
    return chance.sample(keys, min(count, len(keys)))


def answer(url: str, call: Call, timeout: float = 60) -> tuple[str, str]:
    """(kind, text) of what ``url`` (ends in ``gradio_api/``) answers: picture, value, sentence,
    wordless, bare 500 or hang."""
    try:
        status, text = _request(url + call.path, call.body, call.content_type, timeout)
        if status != 200:
            return _judged(status, text), text
        found = json.loads(text)
        if not isinstance(found, dict) or "event_id" not in found:
            return ("value" if "data" in found else _judged(status, text)), text
        if call.path == "queue/join":
            return _queued(url, call.session, timeout)
        status, text = _request(f"{url}{call.path}/{found['event_id']}", None, "", timeout)
    except (TimeoutError, http.client.HTTPException, urllib.error.URLError) as error:
        return "hang", repr(error)
    last = text.rpartition("event: ")[2]
    data = last.partition("data: ")[2].strip()
    if last.startswith("complete"):
        return ("picture" if ".png" in data or ".webp" in data else "value"), data
    return _judged(status, data), data


def _queued(url: str, session: str, timeout: float) -> tuple[str, str]:
    """What a session's queue says at last."""
    _, text = _request(f"{url}queue/data?session_hash={session}", None, "", timeout)
    said = [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: ")]
    done = [one["output"] for one in said if one["msg"] == "process_completed"]
    if done and "data" in done[-1]:
        data = json.dumps(done[-1]["data"])
        return ("picture" if ".png" in data or ".webp" in data else "value"), data
    found = done[-1] if done else {"error": [m["message"] for m in said if m.get("message")][-1:]}
    return _judged(200, json.dumps(found)), text


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
