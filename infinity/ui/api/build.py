"""Which endpoints there are, under which names, and which of them wait for each other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from gradio.events import api

from infinity.manager import ModelManager
from infinity.spec import ModelSpec
from infinity.ui.api.draw import make_generate, make_grid, make_stop_mine
from infinity.ui.api.history import make_history, make_settings, make_zip
from infinity.ui.api.models import make_load_named, make_models, make_plan, make_unload_named
from infinity.ui.api.recent import Drawn
from infinity.ui.api.rewrite import make_rewrite
from infinity.ui.shared.runs import Runs
from infinity.ui.shared.wiring import DRAWING, HELP_TWO

FILES_AT_ONCE = 4
BESIDE: dict[str, Any] = {"concurrency_limit": None}
"""Waits for nobody. Not outside the queue: there the JavaScript client drops what an error says, and
MCP says nothing of who asks."""


def build_api(
    manager: ModelManager,
    runs: Runs,
    models: Mapping[str, ModelSpec],
    default_model: str,
    keep_track: Callable[[str], None],
) -> Drawn:
    """Add every named endpoint to the current Blocks: on a public page, not those that load; where
    the host keeps no history, not those of the history.

    Args:
        models: what may be asked for, by name.
        keep_track: told the path of every file written, so that old ones are cleaned up.

    Returns:
        What callers have drawn; a session that ends is to be forgotten.
    """
    hosting = runs.allowance.hosting
    drawn = Drawn(keeps=hosting.history)
    generate = make_generate(manager, runs, models, default_model, keep_track, drawn)
    api(generate, api_name="generate", **DRAWING)
    grid = make_grid(manager, runs, models, default_model, keep_track, drawn)
    api(grid, api_name="grid", **DRAWING)
    api(make_stop_mine(runs), api_name="stop", **BESIDE)
    api(make_settings(manager.fingerprint), api_name="settings", concurrency_limit=FILES_AT_ONCE)
    if hosting.history:
        api(make_history(drawn), api_name="history", **BESIDE)
        api(make_zip(drawn, keep_track), api_name="zip", **BESIDE)
    api(make_models(manager, models), api_name="models", **BESIDE)
    api(make_rewrite(runs.allowance), api_name="rewrite", **HELP_TWO)
    if not hosting.public:
        api(make_plan(manager, models), api_name="plan", **BESIDE)
        api(make_load_named(manager, runs, models), api_name="load", **BESIDE)
        api(make_unload_named(manager, models), api_name="unload", **BESIDE)
    return drawn
