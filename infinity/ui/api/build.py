"""Which endpoints there are, under which names, and which of them wait for each other."""

import inspect
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

import gradio as gr
from gradio.events import api

from infinity.errors import InfinityError
from infinity.ui.api.draw import DrawEndpoints, takes_settings
from infinity.ui.api.edit import EditEndpoints
from infinity.ui.api.history import HistoryEndpoints, RecentRuns
from infinity.ui.api.inside import InsideEndpoints
from infinity.ui.api.models import ModelEndpoints
from infinity.ui.api.tokenizer import TokenizerEndpoints
from infinity.ui.shared.context import Context
from infinity.ui.shared.status import UNEXPECTED, for_visitors
from infinity.ui.shared.wiring import DRAW, HELP_TWO

logger = logging.getLogger(__name__)

FILES: dict[str, Any] = {"concurrency_limit": 4}
BESIDE: dict[str, Any] = {"concurrency_limit": None}
"""Waits for nobody. Not outside the queue: there the JavaScript client drops what an error says, and
MCP says nothing of who asks."""


def build_api(context: Context) -> RecentRuns:
    """Add every named endpoint to the current Blocks: on a public page, not those that load; where
    the host keeps no history, not those of the history.

    Returns:
        What callers have drawn; a session that ends is to be forgotten.
    """
    recent = RecentRuns()
    draw, history = DrawEndpoints(context, recent), HistoryEndpoints(context, recent)
    models, edits = ModelEndpoints(context), EditEndpoints(context, recent)
    tokenizer, inside = TokenizerEndpoints(context), InsideEndpoints(context, recent)
    first = context.first_model
    endpoints: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
        "generate": (takes_settings(draw.generate, first), DRAW),
        "watch": (takes_settings(draw.watch, first), DRAW),
        "grid": (takes_settings(draw.grid, first, without="num_images"), DRAW),
        "vary": (edits.vary, DRAW),
        "edit": (edits.edit, DRAW),
        "mix": (edits.mix, DRAW),
        "repair": (edits.repair, DRAW),
        "extend": (edits.extend, DRAW),
        "inspect": (inside.inspect, DRAW),
        "flip": (inside.flip, DRAW),
        "reconstruct": (tokenizer.reconstruct, DRAW),
        "bits": (tokenizer.bits, DRAW),
        "stop": (draw.stop, BESIDE),
        "settings": (history.settings, FILES),
        "models": (models.list_models, BESIDE),
        "rewrite": (draw.rewrite, HELP_TWO),
    }
    if context.hosting.history:
        endpoints |= {
            "history": (history.history, BESIDE),
            "zip": (history.zip_history, BESIDE),
        }
    if not context.hosting.public:
        endpoints |= {
            "plan": (models.plan, BESIDE),
            "load": (models.load, BESIDE),
            "unload": (models.unload, BESIDE),
        }
    for name, (function, options) in endpoints.items():
        api(plain_errors(function), api_name=name, **options)
    return recent


def plain_errors(function: Callable[..., Any]) -> Callable[..., Any]:
    """``function`` with its errors as Gradio's, which reach the caller as one sentence."""

    @wraps(function)
    def endpoint(*arguments: Any, **named: Any) -> Any:
        with _plain():
            return function(*arguments, **named)

    @wraps(function)
    def streaming(*arguments: Any, **named: Any) -> Iterator[Any]:
        with _plain():
            yield from function(*arguments, **named)

    return streaming if inspect.isgeneratorfunction(inspect.unwrap(function)) else endpoint


@contextmanager
def _plain() -> Iterator[None]:
    try:
        yield
    except InfinityError as error:
        raise gr.Error(for_visitors(error), print_exception=False) from error
    except Exception as error:
        logger.exception("A call failed")
        raise gr.Error(UNEXPECTED, print_exception=False) from error
