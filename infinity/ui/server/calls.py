"""What a call's JSON may be: read once, checked in one sentence, every argument in its place."""

import inspect
import json
from collections.abc import Callable, Mapping
from itertools import zip_longest
from typing import Any
from urllib.parse import unquote

from gradio.route_utils import API_PREFIX
from starlette.responses import JSONResponse

from infinity.errors import RequestError, quoted, suggestion
from infinity.request import by_our_names
from infinity.ui.shared.files import NOT_OURS, own_file

MOST_DEPTH = 32
MOST_DIGITS = 300
FILE = f"{API_PREFIX}/file="


class RefusalError(Exception):
    """What is answered instead of the call's result: one sentence and an HTTP status."""

    def __init__(self, sentence: str, status: int = 400) -> None:
        super().__init__(sentence)
        self.response = JSONResponse({"detail": sentence, "error": sentence}, status)


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
            raise RefusalError(f"Unknown argument {quoted(key)}{suggestion(key, known)}")
    wanted = {key: value for key, value in given.items() if value is not None}
    if missing := [n for n, p in known.items() if p.default is p.empty and n not in wanted]:
        raise RefusalError(f"The argument {missing[0]} is missing.")
    return wanted


def positional(
    given: list[Any], function: Callable[..., Any], *, is_whole: bool = False
) -> list[Any]:
    """All arguments in their order; a null, and what is missing at the end, is the default, or None
    where there is none, unless the call must be whole. Raises RefusalError."""
    known = parameters(function)
    if is_whole:
        arguments(dict(zip(known, given, strict=False)), function)
    if len(given) > len(known):
        raise RefusalError(f"data has {len(given)} arguments; at most {len(known)} are known.")
    return [
        (None if p.default is p.empty else p.default) if value is None else value
        for value, p in zip_longest(given, known.values())
    ]


def parameters(function: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """What a caller may send to the function behind an endpoint."""
    found = inspect.signature(function).parameters
    return {name: parameter for name, parameter in found.items() if name != "request"}


def with_own_files(value: Any) -> Any:
    """A call whose files are the page's own, by their path or their address here: none is fetched from
    anywhere else. Raises RefusalError."""
    if isinstance(value, list):
        return [with_own_files(part) for part in value]
    if not isinstance(value, dict):
        return value
    if "path" not in value or "meta" not in value:
        return {key: with_own_files(part) for key, part in value.items()}
    name = value.get("path")
    if isinstance(name, str) and FILE in name:
        name = unquote(name.partition(FILE)[2])
    if (path := own_file(name)) is None:
        raise RefusalError(NOT_OURS)
    return {**value, "path": str(path), "url": None}


def _whole_number(text: str) -> int:
    if len(text) > MOST_DIGITS:
        raise ValueError(f"a number has {len(text)} digits")
    return int(text)


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is not a number")


def _is_deep(value: object, most: int) -> bool:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return most < 0 or any(_is_deep(part, most - 1) for part in inner)
