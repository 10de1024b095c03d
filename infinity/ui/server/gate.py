"""The one door of the running server: every request passes here before Gradio sees it.

It bounds what comes in (calls of a visitor, bytes of a body), reads a call's JSON once and refuses in
one sentence what no handler could use, fills in the arguments that were left out, and turns what
Gradio would answer without words into words.
"""

from __future__ import annotations

import difflib
import inspect
import json
import logging
import re
from collections.abc import Callable, Mapping
from typing import Any

from gradio.route_utils import API_PREFIX
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from infinity.errors import InfinityError, RequestError, quoted
from infinity.hosting import Allowance, address_of
from infinity.request import by_our_names
from infinity.ui.server.storage import Storage
from infinity.ui.shared.problems import UNEXPECTED

logger = logging.getLogger(__name__)

Endpoints = Mapping[str, Callable[..., Any]]

MOST_DEPTH = 32
MOST_DIGITS = 300
CALL = re.compile(rf"{API_PREFIX}/(run|api|call/v2|call)/([^/]*)/?|{API_PREFIX}/(queue/join)")
UPLOAD = f"{API_PREFIX}/upload"
SESSION = re.compile(r"[\w-]{8,64}", re.ASCII)
NO_SESSION = (
    "This call has no session: send a random session_hash of 8 to 64 letters and digits with it, and "
    "keep it to yourself."
)
WORDLESS = re.compile(rb'"error": ?null')
WORDS = f'"error": "{UNEXPECTED}"'.encode()
LONG_CHOICE = re.compile(
    rb'("error": ?"Value: (?:\\u[0-9a-f]{4}|\\.|[^"\\]){190})(?:\\.|[^"\\])*"', re.IGNORECASE
)
"""Gradio quotes all of what is none of a component's choices."""


class RefusalError(Exception):
    """What is answered instead of the call's result: one sentence and an HTTP status."""

    def __init__(self, sentence: str, status: int = 400) -> None:
        super().__init__(sentence)
        self.response = JSONResponse({"detail": sentence, "error": sentence}, status)


class Gate:
    """ASGI middleware around the page.

    Args:
        endpoints: the functions behind the named endpoints, whose signatures say what a call may have.
        names: which endpoint a function's number stands for; empty for the page's own handlers.
        storage: kept below its ceiling as calls come in; None where nobody keeps files.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        allowance: Allowance,
        endpoints: Endpoints,
        names: Mapping[int, str],
        storage: Storage | None = None,
    ) -> None:
        self._app = app
        self._allowance = allowance
        self._endpoints = endpoints
        self._names = names
        self._storage = storage
        self._most_bytes = allowance.hosting.upload_megabytes * 1_000_000

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "").removeprefix(scope.get("root_path", ""))
        if scope["type"] != "http" or not path.startswith(API_PREFIX):
            await self._app(scope, receive, send)
            return
        begun = False

        async def answer(message: Message) -> None:
            nonlocal begun
            begun = True
            if message["type"] == "http.response.start":
                _forget_length(message, status_known=message["status"] < 500)
            elif body := message.get("body"):
                body = LONG_CHOICE.sub(
                    rb'\1 ... is none of the choices."', WORDLESS.sub(WORDS, body)
                )
                message = {**message, "body": body}
            await send(message)

        watched = _is_call(path)
        try:
            if scope["method"] == "POST":
                receive = await self._admit(scope, path, receive)
            await self._app(scope, receive, answer if watched else send)
        except RefusalError as refusal:
            if begun:
                raise
            await refusal.response(scope, receive, send)
        except Exception:
            if begun or not watched:
                raise
            logger.exception("A call failed")
            await RefusalError(UNEXPECTED, 500).response(scope, receive, send)

    async def _admit(self, scope: Scope, path: str, receive: Receive) -> Receive:
        """What the page then receives. Raises RefusalError."""
        found = CALL.fullmatch(path)
        client = scope.get("client")
        try:
            self._allowance.admit_call(
                address_of(client[0] if client else ""), is_upload=path.startswith(UPLOAD)
            )
        except InfinityError as error:
            raise RefusalError(str(error), 429) from error
        if self._storage is not None:
            await run_in_threadpool(self._storage.tidy)
        bounded = self._bounded(receive)
        if found is None:
            return bounded
        kind = dict(scope["headers"]).get(b"content-type", b"").split(b";")[0].strip().lower()
        if kind != b"application/json":  # nor may another site's form post a call as plain text
            raise RefusalError("Send the call's JSON as Content-Type: application/json.", 415)
        way, name = found[1] or found[3], found[2] or ""
        body = json.dumps(self._checked(way, name, read_json(await _whole(bounded)))).encode()
        scope["headers"] = [
            (key, str(len(body)).encode() if key == b"content-length" else value)
            for key, value in scope["headers"]
        ]
        return _replayed(body, receive)

    def _bounded(self, receive: Receive) -> Receive:
        received = 0

        async def bounded() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._most_bytes:
                raise RefusalError(
                    f"This is larger than {self._most_bytes // 1_000_000} MB; send less.", 413
                )
            return message

        return bounded

    def _checked(self, way: str, name: str, call: object) -> Any:
        """A call's JSON with every argument in its place. Raises RefusalError."""
        if not isinstance(call, dict):
            raise RefusalError('A call is a JSON object, such as {"data": ["a red apple"]}.')
        if way.startswith("call") and name not in self._endpoints:
            raise RefusalError(
                f"There is no endpoint {quoted(name)}; {_nearest(name, self._endpoints)}", 404
            )
        if way == "call/v2":
            return arguments(call, self._endpoints[name])
        session = call.get("session_hash")
        is_named = isinstance(session, str) and SESSION.fullmatch(session)
        if not is_named and (way != "call" or session is not None):
            raise RefusalError(NO_SESSION)
        if not isinstance(call.get("data", []), list):
            raise RefusalError("data must be a list: the call's arguments in their order.")
        if way == "call":
            data = positional(call.get("data", []), self._endpoints[name])
            return {"data": data, "session_hash": session}
        if way in ("run", "api") and name in self._endpoints and "fn_index" not in call:
            raise RefusalError(
                f"Send this to {API_PREFIX}/call/{name}: a direct call does not wait its turn."
            )
        number = call.get("fn_index")
        if number is None and way == "queue/join":
            raise RefusalError("A call through the queue needs its fn_index; see /info.")
        if number is None:
            return call
        if not _is_number(number) or number not in self._names:
            raise RefusalError(f"There is no function with the number {quoted(number)}.", 404)
        name = self._names[number]
        if name:  # the clients' way in: what must be there is left for the function to say
            return call | {"data": filled(call.get("data", []), self._endpoints[name])}
        return call


def read_json(body: bytes) -> object:
    """Raises RefusalError for what is no JSON that a handler could bear."""
    try:
        found = json.loads(body, parse_int=_whole_number, parse_constant=_no_number)
        json.dumps(found, ensure_ascii=False).encode()
    except RecursionError as error:
        raise RefusalError("The call's JSON is nested too deeply.") from error
    except UnicodeError as error:
        raise RefusalError("The call's text is not valid Unicode; send UTF-8 text.") from error
    except ValueError as error:
        raise RefusalError(f"The call is not valid JSON: {str(error)[:200]}.") from error
    if _is_deep(found, MOST_DEPTH):
        raise RefusalError("The call's JSON is nested too deeply.")
    return found


def arguments(given: Mapping[str, Any], function: Callable[..., Any]) -> dict[str, Any]:
    """Named arguments without those that are null, which means left out. Raises RefusalError."""
    known = parameters(function)
    try:
        given = by_our_names(given)
    except RequestError as error:
        raise RefusalError(f"{error}") from error
    for key in given:
        if key not in known:
            raise RefusalError(f"Unknown argument {quoted(key)}; {_nearest(key, known)}")
    wanted = {key: value for key, value in given.items() if value is not None}
    if missing := [n for n, p in known.items() if p.default is p.empty and n not in wanted]:
        raise RefusalError(f"The argument {missing[0]} is missing.")
    return wanted


def positional(given: list[Any], function: Callable[..., Any]) -> list[Any]:
    """All arguments in their order; a null, and what is missing at the end, is the default. Raises
    Refusal."""
    arguments(dict(zip(parameters(function), given, strict=False)), function)
    return filled(given, function)


def filled(given: list[Any], function: Callable[..., Any]) -> list[Any]:
    """All arguments in their order, None where a necessary one is missing. Raises RefusalError."""
    known = parameters(function)
    if len(given) > len(known):
        raise RefusalError(f"data has {len(given)} arguments; at most {len(known)} are known.")
    given = [*given, *[None] * (len(known) - len(given))]
    defaults = (None if p.default is p.empty else p.default for p in known.values())
    return [
        default if value is None else value for value, default in zip(given, defaults, strict=True)
    ]


def parameters(function: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """What a caller may send to the function behind an endpoint."""
    found = inspect.signature(function).parameters
    return {name: parameter for name, parameter in found.items() if name != "request"}


def _is_call(path: str) -> bool:
    return path.startswith(
        tuple(f"{API_PREFIX}/{way}" for way in ("run", "api", "call", "queue", "upload"))
    )


def _nearest(word: str, known: Mapping[str, Any]) -> str:
    near = difflib.get_close_matches(word[:100], known, n=1)
    return f"did you mean {near[0]}?" if near else f"known: {', '.join(known) or 'none'}."


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _whole_number(text: str) -> int:
    if len(text) > MOST_DIGITS:
        raise ValueError(f"a number has {len(text)} digits")
    return int(text)


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is not a number")


def _is_deep(value: object, most: int) -> bool:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return most < 0 or any(_is_deep(part, most - 1) for part in inner)


async def _whole(receive: Receive) -> bytes:
    parts: list[bytes] = []
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise RefusalError("The call was broken off.")
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(parts)


def _replayed(body: bytes, receive: Receive) -> Receive:
    """The body once more, then whatever else comes (that the caller went away)."""
    is_told = False

    async def replayed() -> Message:
        nonlocal is_told
        if is_told:
            return await receive()
        is_told = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replayed


def _forget_length(message: Message, status_known: bool) -> None:
    """A body whose words may be put in has another length than was announced."""
    if not status_known:
        headers = message["headers"]
        message["headers"] = [(k, v) for k, v in headers if k.lower() != b"content-length"]
