"""The one door of the running server: every request passes here before Gradio sees it.

It bounds what comes in (calls of a visitor, bytes of a body, seconds between them), has a call's JSON
checked before any handler, and turns what Gradio would answer without words into words.
"""

import asyncio
import json
import logging
import re
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

from gradio import FileData
from gradio.block_function import BlockFunction
from gradio.route_utils import API_PREFIX
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from infinity.errors import MOST_QUOTED, InfinityError, quoted, suggestion
from infinity.hosting import Allowance, address_of
from infinity.ui.server.calls import (
    RefusalError,
    arguments,
    parameters,
    positional,
    read_json,
    with_own_files,
)  # fmt: skip
from infinity.ui.server.storage import Storage
from infinity.ui.shared.status import UNEXPECTED

logger = logging.getLogger(__name__)

CALL = re.compile(
    rf"{API_PREFIX}/(run|api|call/v2|call|mcp)/([^/]*)/?|{API_PREFIX}/(queue/join|mcp)"
)
UPLOAD = f"{API_PREFIX}/upload"
POSTS = re.compile(rf"/login.*|{API_PREFIX}/(run|api|call|queue|upload|cancel|reset|mcp)(/.*)?")
CLOSED = re.compile(rf"({API_PREFIX})?/(deep_link|monitoring|proxy=|file=https?:)", re.IGNORECASE)
"""What Gradio offers beside: it keeps a page's state, tells who calls what, fetches from elsewhere."""
SESSION = re.compile(r"[\w-]{8,64}", re.ASCII)
NO_SESSION = (
    "This call has no session: send a random session_hash of 8 to 64 letters and digits with it, and "
    "keep it to yourself."
)
PATIENCE_S = 30.0
"""Seconds until the next part of a body."""
MOST_READ = 20
"""How many times the limit is read of a body that is too large: who still sends hears no answer."""
WORDLESS = re.compile(rb'"error": ?null')
WORDS = f'"error": "{UNEXPECTED}"'.encode()
_CHARACTER = rb"\\ud[89ab][0-9a-f]{2}\\u[0-9a-f]{4}|\\u[0-9a-f]{4}|\\.|[\xc0-\xff][\x80-\xbf]*|[^\"\\\x80-\xff]"
LONG_VALUE = re.compile(
    rb'("error": ?"Value: |"text": ?"Input validation error: )((?:%b){180})(?:%b)*"'
    % (_CHARACTER, _CHARACTER),
    re.IGNORECASE,
)
"""Gradio quotes all of what is no value of a component's, or of a tool's argument."""


class Gate:
    """ASGI middleware around the page.

    Args:
        functions: gives all of the page, by their number: a reload changes them. The signatures of
            those that are public, which are its endpoints, say what a call may have.
        storage: kept below its ceiling as calls come in; None where nobody keeps files.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        functions: Callable[[], Mapping[int, BlockFunction]],
        allowance: Allowance,
        storage: Storage | None = None,
    ) -> None:
        self._app = app
        self._allowance = allowance
        self._functions = functions
        self._storage = storage
        self._most_bytes = allowance.hosting.upload_megabytes * 1_000_000

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "").removeprefix(scope.get("root_path", ""))
        is_post = scope["type"] == "http" and scope["method"] == "POST"
        if CLOSED.match(path) or (is_post and not POSTS.fullmatch(path)):
            nothing = RefusalError("There is nothing at this address.", 404)
            return await nothing.response(scope, receive, send)
        if scope["type"] != "http" or not (is_post or path.startswith(API_PREFIX)):
            return await self._app(scope, receive, send)
        begun: Message | None = None
        bad = b""

        async def answer(message: Message) -> None:
            nonlocal begun, bad
            if begun is None:
                begun = message
                if message["status"] < HTTPStatus.BAD_REQUEST:
                    await send(message)
            elif begun["status"] >= HTTPStatus.BAD_REQUEST:
                bad += message.get("body", b"")
                if not message.get("more_body"):
                    await _in_words(begun, _brief(bad))(scope, receive, send)
            else:
                kind = Headers(raw=begun["headers"]).get("content-type", "")
                if kind.startswith("text/event-stream") and (body := message.get("body")):
                    message = {**message, "body": _brief(WORDLESS.sub(WORDS, body))}
                await send(message)

        try:
            if is_post:
                receive = await self._admit(scope, path, receive)
            await self._app(scope, receive, answer)
        except Exception as error:
            if begun is not None:
                raise
            if not isinstance(error, RefusalError):
                logger.exception("A call failed")
                error = RefusalError(UNEXPECTED, 500)
            await error.response(scope, receive, send)

    @property
    def _endpoints(self) -> dict[str, Callable[..., Any]]:
        return {
            str(function.api_name): function.fn
            for function in self._functions().values()
            if function.api_visibility == "public" and function.fn is not None
        }

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
        kind = Headers(scope=scope).get("content-type", "").split(";")[0].strip().lower()
        if kind != "application/json":  # nor may another site's form post a call as plain text
            raise RefusalError("Send the call's JSON as Content-Type: application/json.", 415)
        way, name = found[1] or found[3], found[2] or ""
        try:
            call = read_json(await Request(scope, bounded).body())
        except ClientDisconnect as error:
            raise RefusalError("The call was broken off.") from error
        checked = self._tool_call(call) if way == "mcp" else self._checked(way, name, call)
        body = json.dumps(with_own_files(checked)).encode()
        MutableHeaders(scope=scope)["content-length"] = str(len(body))
        whole: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def replayed() -> Message:  # then whatever else comes: that the caller went away
            return whole.pop() if whole else await receive()

        return replayed

    def _bounded(self, receive: Receive) -> Receive:
        received, is_whole = 0, False

        async def bounded() -> Message:
            nonlocal received, is_whole
            while True:
                try:
                    message = await asyncio.wait_for(receive(), None if is_whole else PATIENCE_S)
                except TimeoutError as error:
                    raise RefusalError(
                        "The call's body does not come; send it again.", 408
                    ) from error
                is_whole = not message.get("more_body")
                received += len(message.get("body", b""))
                if received <= self._most_bytes:
                    return message
                if is_whole or received > MOST_READ * self._most_bytes:
                    raise RefusalError(
                        f"This is larger than {self._most_bytes // 1_000_000} MB; send less.", 413
                    )

        return bounded

    def _checked(self, way: str, name: str, call: object) -> Any:
        """A call's JSON with every argument in its place. Raises RefusalError."""
        if not isinstance(call, dict):
            raise RefusalError('A call is a JSON object, such as {"data": ["a red apple"]}.')
        if way.startswith("call") and name not in self._endpoints:
            raise RefusalError(
                f"There is no endpoint {quoted(name)}{suggestion(name, self._endpoints)}", 404
            )
        if way == "call/v2":
            return arguments(call, self._endpoints[name])
        session = call.get("session_hash")
        is_named = isinstance(session, str) and SESSION.fullmatch(session)
        if not is_named and (way != "call" or session is not None):
            raise RefusalError(NO_SESSION)
        if not isinstance(data := call.get("data", []), list):
            raise RefusalError("data must be a list: the call's arguments in their order.")
        if way == "call":
            data = positional(data, self._endpoints[name], is_whole=True)
            return {"data": data, "session_hash": session}
        number = call.get("fn_index")
        if number is None and name in self._endpoints:
            raise RefusalError(
                f"Send this to {API_PREFIX}/call/{name}: a direct call does not wait its turn."
            )
        if number is None:
            raise RefusalError("This call needs its fn_index; see /info.")
        functions = self._functions()
        if type(number) is not int or number not in functions:
            raise RefusalError(f"There is no function with the number {quoted(number)}.", 404)
        function = functions[number]
        if function.api_visibility != "public" or function.fn is None:
            return call  # the page's own
        # The clients' way in: what must be there is left for the function to say.
        return call | {"data": positional(call.get("data", []), function.fn)}

    def _tool_call(self, call: Any) -> Any:
        """An MCP message; of a tool's arguments, those that are null are left out. Raises
        RefusalError."""
        if not isinstance(call, dict):
            raise RefusalError("Send one JSON-RPC message: a JSON object.")
        told = call.get("params")
        if not isinstance(told, dict) or not isinstance(given := told.get("arguments"), dict):
            return call
        tools = {function.__name__: function for function in self._endpoints.values()}
        if (function := tools.get(str(told.get("name")))) is None:
            return call
        try:
            wanted = arguments(given, function)
            for name, parameter in parameters(function).items():
                if parameter.annotation is FileData and name in wanted:
                    with_own_files({"path": wanted[name], "meta": None})
        except RefusalError as error:
            said = {"content": [{"type": "text", "text": str(error)}], "isError": True}
            error.response = JSONResponse({"jsonrpc": "2.0", "id": call.get("id"), "result": said})
            raise
        return call | {"params": told | {"arguments": wanted}}


def _brief(body: bytes) -> bytes:
    return LONG_VALUE.sub(rb'\1\2 ... is no value it can take."', body)


def _in_words(begun: Message, body: bytes) -> JSONResponse:
    """An answer that something went wrong, with a sentence whatever it had."""
    status = begun["status"]
    try:
        told = json.loads(body)
    except ValueError:
        told = body.decode(errors="replace") if status < HTTPStatus.INTERNAL_SERVER_ERROR else None
    headers = {
        key: value
        for key, value in Headers(raw=begun["headers"]).items()
        if not key.startswith("content-")  # which say what the body is
    }
    if isinstance(told, dict) and "jsonrpc" in told:
        return JSONResponse(told, status, headers)
    said = told.get("error") or told.get("detail") if isinstance(told, dict) else told
    if isinstance(said, list) and said and isinstance(said[0], dict):  # what pydantic found
        place = ".".join(map(str, said[0].get("loc", ())))
        said = f"{place}: {said[0].get('msg', 'wrong')}."
    if not isinstance(said, str) or not said.strip():
        is_ours = status >= HTTPStatus.INTERNAL_SERVER_ERROR
        said = UNEXPECTED if is_ours else HTTPStatus(status).phrase
    if not (isinstance(told, dict) and "error" in told):  # not one of ours
        said = f"{said.rstrip('.')}." if len(said) <= MOST_QUOTED else f"{said[:MOST_QUOTED]} …"
    kept = told if isinstance(told, dict) else {}
    return JSONResponse(kept | {"detail": said, "error": said}, status, headers)
