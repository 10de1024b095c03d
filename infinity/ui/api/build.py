"""Which endpoints there are, under which names, and which of them wait for each other."""

from typing import Any

from gradio.events import api

from infinity.ui.api.draw import make_generate, make_grid, make_stop
from infinity.ui.api.history import HistoryEndpoints
from infinity.ui.api.models import ModelEndpoints
from infinity.ui.api.recent import RecentRuns
from infinity.ui.api.rewrite import make_rewrite
from infinity.ui.shared.context import Context
from infinity.ui.shared.wiring import DRAW, HELP_TWO

FILES_AT_ONCE = 4
BESIDE: dict[str, Any] = {"concurrency_limit": None}
"""Waits for nobody. Not outside the queue: there the JavaScript client drops what an error says, and
MCP says nothing of who asks."""


def build_api(context: Context) -> RecentRuns:
    """Add every named endpoint to the current Blocks: on a public page, not those that load; where
    the host keeps no history, not those of the history.

    Returns:
        What callers have drawn; a session that ends is to be forgotten.
    """
    runs, hosting = context.runs, context.hosting
    recent = RecentRuns(is_kept=hosting.history)
    history, models = HistoryEndpoints(context, recent), ModelEndpoints(context)
    api(make_generate(context, recent), api_name="generate", **DRAW)
    api(make_grid(context, recent), api_name="grid", **DRAW)
    api(make_stop(runs), api_name="stop", **BESIDE)
    api(history.settings, api_name="settings", concurrency_limit=FILES_AT_ONCE)
    if hosting.history:
        api(history.history, api_name="history", **BESIDE)
        api(history.zip_history, api_name="zip", **BESIDE)
    api(models.list_models, api_name="models", **BESIDE)
    api(make_rewrite(runs.allowance), api_name="rewrite", **HELP_TWO)
    if not hosting.public:
        api(models.plan, api_name="plan", **BESIDE)
        api(models.load, api_name="load", **BESIDE)
        api(models.unload, api_name="unload", **BESIDE)
    return recent
