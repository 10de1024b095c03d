"""A caller of a running page, as a browser or a program is one: a session, its queue, its heartbeat."""

from __future__ import annotations

import json
import os
import secrets
import time
import urllib.error
import urllib.request
from collections.abc import Generator
from typing import Any

PATIENCE_S = float(os.environ.get("INFINITY_TEST_PATIENCE_S", "60"))
"""How long one answer may take; more where the machine is slow or shared."""


def lines(address: str, patience_s: float = PATIENCE_S) -> Generator[str, None, None]:
    """The lines of a stream as they come; closing the generator hangs up.

    Raises:
        TimeoutError: it has not ended in time. Heartbeats on the line do not put that off.
        OSError: it cannot be opened (HTTPError), or is broken off.
    """
    ends = time.monotonic() + patience_s
    with urllib.request.urlopen(address, timeout=patience_s) as reply:
        for line in reply:
            if time.monotonic() > ends:
                raise TimeoutError(f"no end after {patience_s:.0f} s: {address}")
            yield line.decode().rstrip("\n")


def post(address: str, body: object, patience_s: float = PATIENCE_S) -> Any:
    """The answer to a call's JSON. Raises OSError as urllib does (HTTPError of a refusal)."""
    headers = {"Content-Type": "application/json"}
    sent = urllib.request.Request(address, json.dumps(body).encode(), headers)
    with urllib.request.urlopen(sent, timeout=patience_s) as reply:
        return json.load(reply)


def refusal(error: urllib.error.HTTPError) -> str:
    """The sentence of a refusal; empty where it has none."""
    try:
        said = json.load(error)["detail"]
    except (ValueError, KeyError, TypeError):
        return ""
    return said if isinstance(said, str) else ""


class Visitor:
    """One session of the page.

    Args:
        url: ends in ``gradio_api/``.
        config: what ``/config`` tells of the page.
    """

    def __init__(self, url: str, config: dict[str, Any]) -> None:
        self.url = url
        self.config = config
        self.session = secrets.token_hex(8)

    def number(self, name: str) -> int:
        """Of the function behind an endpoint or a handler."""
        return next(d["id"] for d in self.config["dependencies"] if d["api_name"] == name)

    def values(self, number: int) -> list[Any]:
        """What a page that was just opened sends to a function."""
        shown = {part["id"]: part["props"].get("value") for part in self.config["components"]}
        return [shown[i] for i in self.config["dependencies"][number]["inputs"]]

    def _body(self, number: int, data: list[Any]) -> dict[str, Any]:
        return {"data": data, "fn_index": number, "session_hash": self.session}

    def call(self, number: int, data: list[Any]) -> list[Any]:
        """The answer of a handler that does not queue."""
        return post(f"{self.url}run/predict", self._body(number, data))["data"]

    def join(self, number: int, data: list[Any]) -> str:
        """Queue a call; returns its event's name."""
        return post(f"{self.url}queue/join", self._body(number, data))["event_id"]

    def messages(self, patience_s: float = PATIENCE_S) -> Generator[dict[str, Any], None, None]:
        """What the queue tells this session, as it comes, until all its calls are answered."""
        for line in lines(f"{self.url}queue/data?session_hash={self.session}", patience_s):
            if line.startswith("data: "):
                yield json.loads(line.removeprefix("data: "))

    def heartbeat(self) -> Generator[str, None, None]:
        """The connection that keeps the session; begun when this returns, and closed by its close."""
        beats = lines(f"{self.url}heartbeat/{self.session}", 24 * 3600)
        next(beats)
        return beats

    def answer(self, patience_s: float = PATIENCE_S) -> dict[str, Any]:
        """The last output of the call that was queued: with "data", or with "error"."""
        output: dict[str, Any] = {}
        for message in self.messages(patience_s):
            if message["msg"] == "process_completed":
                output = message["output"]
            elif message["msg"] == "unexpected_error":
                output = {"error": message["message"]}
        return output
