"""What the endpoints share: how they answer with an error, a file, and whom they answer."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import gradio as gr

from infinity.errors import InfinityError, RequestError
from infinity.ui.shared.problems import UNEXPECTED, for_visitors
from infinity.ui.shared.runs import caller_of

logger = logging.getLogger(__name__)


@contextmanager
def plain_errors() -> Iterator[None]:
    """Errors as Gradio's, which reach the caller as one sentence."""
    try:
        yield
    except InfinityError as error:
        raise gr.Error(for_visitors(error), print_exception=False) from error
    except Exception as error:
        logger.exception("A call failed")
        raise gr.Error(UNEXPECTED, print_exception=False) from error


def file_data(path: Path) -> gr.FileData:
    """A file as an endpoint returns it: Gradio wants a plain dictionary, and this type only for the
    endpoint's description."""
    return cast(gr.FileData, gr.FileData(path=str(path)).model_dump())


def own_session(request: gr.Request) -> str:
    """The session whose runs and pictures a caller may stop or list.

    Raises:
        RequestError: a caller without one. Over MCP Gradio gives all callers the same.
    """
    headers = getattr(request, "headers", None) or {}
    if headers.get("x-gradio-user") == "mcp":
        raise RequestError(
            "This cannot be asked over MCP, where callers are not told apart; use the page, or its "
            "HTTP API."
        )
    if not request.session_hash:
        raise RequestError(
            "This call has no session, so nothing here is its own: send the session_hash of the calls "
            "that it is about."
        )
    return caller_of(request)
