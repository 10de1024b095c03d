"""What the endpoints share: how they answer with an error, a file, and whom they answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import gradio as gr

from infinity.errors import InfinityError, RequestError
from infinity.hosting import Hosting
from infinity.spec import ModelSpec


@contextmanager
def told_plainly() -> Iterator[None]:
    """Our errors as Gradio's, which reach the caller as one sentence."""
    try:
        yield
    except InfinityError as error:
        raise gr.Error(str(error), print_exception=False) from error


def known_spec(model: str, models: Mapping[str, ModelSpec]) -> ModelSpec:
    """Raises RequestError for a model that is not on offer."""
    if model not in models:
        raise RequestError(f"Unknown model {model!r}; choose one of {', '.join(models)}.")
    return models[model]


def file_data(path: Path) -> gr.FileData:
    """A file as an endpoint returns it: Gradio wants a plain dictionary, and this type only for the
    endpoint's description."""
    return cast(gr.FileData, gr.FileData(path=str(path)).model_dump())


def own_session(request: gr.Request, hosting: Hosting) -> str:
    """The session whose runs and pictures a caller may stop or list.

    Raises:
        RequestError: a stranger's assistant: over MCP Gradio gives all callers one session.
    """
    headers = getattr(request, "headers", None) or {}
    if hosting.public and headers.get("x-gradio-user") == "mcp":
        raise RequestError(
            "On a public page this cannot be asked over MCP, where callers are not told apart; use "
            "the page, or its HTTP API."
        )
    return request.session_hash or ""
