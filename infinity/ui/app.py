"""The page as a whole: ``build_app(manager).launch(**launch_options(app, runs))``."""

import os
from collections.abc import Sequence
from typing import Any

import gradio as gr
from starlette.middleware import Middleware
from starlette.routing import Route

from infinity.errors import RequestError
from infinity.manager import ModelManager
from infinity.registry import DEFAULT_MODEL
from infinity.shipped import shipped
from infinity.ui.api.build import build_api
from infinity.ui.edit.tab import EditTab
from infinity.ui.edit.ways import VARY, WAYS
from infinity.ui.generate.tab import GenerateTab
from infinity.ui.grid.tab import GridTab
from infinity.ui.history.tab import HistoryTab, build_keeper
from infinity.ui.inside.tab import InsideTab
from infinity.ui.models.tab import ModelsTab, load_session
from infinity.ui.opening.replay import Replay
from infinity.ui.opening.wiring import build_back, wire_opening
from infinity.ui.pictures.hand_over import Button, build_hand_over
from infinity.ui.server.gate import Gate
from infinity.ui.server.storage import Storage
from infinity.ui.shared.context import Context, offered_models
from infinity.ui.shared.runs import Runs, caller_of
from infinity.ui.shared.theme import style_sheets, theme
from infinity.ui.tokenizer.tab import TokenizerTab

TITLE = "Infinity"
HOUR, DAY = 3600, 86400
MOST_SESSIONS = 256
"""Sessions that Gradio keeps the values of: half a megabyte each and more, and every call that names
none begins another. The one used longest ago goes first."""
THREADS_BESIDE = 40
USER_VARIABLE, PASSWORD_VARIABLE = "INFINITY_USER", "INFINITY_PASSWORD"
API_PAGE = shipped("docs/api.md")

REBUILD = "Rebuild it from its bits, scale by scale"
LOOK_INSIDE = "What the model thought of every bit of this picture"

HEADER = """
<header class="masthead"><h1><span aria-hidden="true">∞</span> Infinity</h1>
<p>Words to pictures, bit by bit and scale by scale.</p></header>
"""


def build_app(
    manager: ModelManager, model: str = DEFAULT_MODEL, runs: Runs | None = None
) -> gr.Blocks:
    """The page over ``manager``'s models. Pictures it wrote are deleted after a day, and at exit.

    Args:
        model: the one chosen at first, and the endpoint's default.
        runs: shared with the caller only to look inside; a new one by default.

    Raises:
        RequestError: the manager does not know ``model``.
        CheckpointError: its folder is missing or damaged.
    """
    runs = runs if runs is not None else Runs()
    hosting = runs.allowance.hosting
    context = Context(manager, runs, offered_models(manager, model, hosting))
    with gr.Blocks(analytics_enabled=False, title=TITLE, delete_cache=(HOUR, DAY)) as app:
        # First, so that no other handler has taken one of its names.
        recent = build_api(context)
        with gr.Row(elem_id="top"):
            gr.HTML(HEADER)
            opened = gr.UploadButton(
                "Open a PNG",
                file_types=context.file_types,
                size="sm",
                scale=0,
                elem_id="open-png",
            )
            if hosting.login == "huggingface":
                gr.LoginButton(size="sm", scale=0, elem_id="login")
        note = gr.HTML("", elem_id="note")
        back = build_back()
        with gr.Tabs(elem_id="tabs") as tabs:
            with gr.Tab("Generate", id="generate"):
                generate = GenerateTab(context, back)
            with gr.Tab("Edit", id="edit") as edit_tab:
                edit = EditTab(context, back)
            with gr.Tab("Inside", id="inside") as inside_tab:
                inside = InsideTab(context, generate.controls["model"], back)
            with gr.Tab("Grid", id="grid"):
                grid = GridTab(context, generate.controls, back)
            replay = Replay(context, generate.controls, grid.axes, tabs, note)
            if hosting.history:
                with gr.Tab("History", id="history"):
                    HistoryTab(replay)
            with gr.Tab("Tokenizer", id="tokenizer") as tokenizer_tab:
                tokenizer = TokenizerTab(context, tokenizer_tab, generate.drawing.finished, back)
            with gr.Tab("Models", id="models-tab") as models_tab:
                ModelsTab(context, models_tab, generate.controls)
            with gr.Tab("API", id="api-tab"):
                gr.Markdown(API_PAGE.read_text(encoding="utf-8"), elem_id="api-page")
        drawing = generate.drawing, edit.drawing, inside.drawing, grid.drawing
        build_keeper(*(each.finished for each in drawing), is_kept=hosting.history)
        varied = edit.controls.updates({"way": VARY, "keep_scales": WAYS[VARY].keep_scales})
        buttons = [
            Button(
                "vary", "Vary", "Keep its coarse scales, draw the rest anew", edit_tab, edit, varied
            ),
            Button(
                "edit", "Edit", "Brush over a place and say what is to be there", edit_tab, edit
            ),
            Button("inside", "Inside", LOOK_INSIDE, inside_tab, inside),
            Button("tokens", "Tokens", REBUILD, tokenizer_tab, tokenizer),
        ]
        build_hand_over(buttons, tabs, note, generate.controls)
        wire_opening(app, replay, opened, generate.kept | edit.kept | grid.axes)

        def leave(request: gr.Request) -> None:
            runs.pages.leave(request.session_hash or "")
            runs.stop(load_session(request.session_hash))
            runs.stop(caller_of(request))
            recent.forget(caller_of(request))

        app.unload(leave)
    app.temp_file_sets.append(context.written)
    # Who waits to draw is counted by the runs; Gradio's own line has only calls that are answered soon.
    return app.queue(max_size=None, api_open=False)


def launch_options(
    app: gr.Blocks,
    runs: Runs,
    routes: Sequence[Route] = (),
    storage: Storage | None = None,
) -> dict[str, Any]:
    """Keyword arguments of ``launch`` that belong to the page: looks, limits, and nothing kept of its
    users.

    Args:
        app, runs: of :func:`build_app`.
        routes: addresses beside the page's, for which no login is asked.
        storage: kept below its ceiling.

    Raises:
        RequestError: the settings ask for a password and none is set.
    """
    hosting = runs.allowance.hosting
    gate = Middleware(
        Gate,
        functions=lambda: (app.app.blocks or app).fns,
        allowance=runs.allowance,
        storage=storage,
    )
    options: dict[str, Any] = {
        "theme": theme(),
        "css_paths": style_sheets(),
        "footer_links": ["api", "settings"],
        "run_history": False,
        "state_session_capacity": MOST_SESSIONS,
        "ssr_mode": False,
        "max_file_size": f"{hosting.upload_megabytes}mb",
        # Whoever waits for a turn keeps a thread; the rest is for all that does not wait.
        "max_threads": hosting.queue_length + THREADS_BESIDE,
        "app_kwargs": {"routes": list(routes), "middleware": [gate]},
    }
    if hosting.login == "password":
        options["auth"] = os.environ.get(USER_VARIABLE), os.environ.get(PASSWORD_VARIABLE)
        if not all(options["auth"]):
            raise RequestError(
                f"The settings ask for a login; set {USER_VARIABLE} and {PASSWORD_VARIABLE} in the "
                "environment."
            )
    return options
