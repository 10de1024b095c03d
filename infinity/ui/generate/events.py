"""What happens when somebody generates: checked at once, drawn in turn, shown as it grows, stopped.

The handlers know no component: they return updates in the order the tab wires them.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import gradio as gr

from infinity.errors import InfinityError
from infinity.events import Done
from infinity.manager import ModelManager
from infinity.spec import ModelSpec
from infinity.ui.controls import RequestControls, request_from
from infinity.ui.generate import view as present
from infinity.ui.generate.view import View
from infinity.ui.generate.viewer import viewer_value
from infinity.ui.shared.finished import finish
from infinity.ui.shared.loading import Loading, load
from infinity.ui.shared.pages import GENERATE
from infinity.ui.shared.problems import UNEXPECTED, for_visitors
from infinity.ui.shared.runs import Run, Runs, visitor_of
from infinity.ui.shared.turns import Turns
from infinity.ui.shared.wiring import shown

logger = logging.getLogger(__name__)

NUM_OUTPUTS = 6
"""What :func:`show` updates: viewer, status, Generate button, Stop button, finished run, clock."""
NOTHING = (gr.skip(),) * NUM_OUTPUTS
REFINE_SECONDS = 3.0
"""How long the timeline may be completed after a picture is finished, while nobody waits."""


def make_start(runs: Runs, spec_of: Callable[[str], ModelSpec]) -> Callable[..., tuple[Any, ...]]:
    """The handler that checks a request and puts it in line; its outputs: the seed, then the page.

    Args:
        spec_of: what a model is, by its name.
    """

    def start(request: gr.Request, *values: Any) -> tuple[Any, ...]:
        try:
            read = dict(zip(RequestControls.names(), values, strict=True))
            model, wanted = request_from(read, spec_of)
            run = Run(model, wanted, visitor_of(request))
            name = _runs_of(runs, request)
            if not runs.begin(name, run):
                return (gr.skip(), *NOTHING)
        except InfinityError as error:
            failed = present.failed(View(), for_visitors(error))
            return (gr.skip(), *show(failed, runs, _runs_of(runs, request)))
        view = present.waiting(wanted.prompts, runs.before(name) or 0, run.name)
        return (wanted.seed, *show(view, runs, name))

    return start


def make_stop(runs: Runs) -> Callable[[gr.Request], tuple[Any, ...]]:
    """The handler that ends the page's run within a scale, or before its turn came."""

    def stop(request: gr.Request) -> tuple[Any, ...]:
        name = _runs_of(runs, request)
        if runs.stop(name):
            return (*NOTHING[:2], *buttons(runs, name), *NOTHING[4:])
        return show(present.stopped(View(), 0), runs, name)

    return stop


def make_paint(
    manager: ModelManager,
    runs: Runs,
    keep_track: Callable[[str], None],
    *,
    is_back: bool = False,
) -> Callable[[gr.Request], Iterator[tuple[Any, ...]]]:
    """The handler that carries out the page's waiting run and shows it as it grows.

    Args:
        keep_track: told the path of every file written, so that old ones are cleaned up.
        is_back: for a page that was loaded again: shows its newest run, and goes on with it.
    """

    def draw(name: str) -> Iterator[View]:
        with runs.taken(name) as run:
            if run is None:
                return
            view, refined_until_s = View(), 0.0
            try:
                for view in views(manager, run, runs.turns, keep_track):
                    run.is_drawn = not view.is_busy
                    yield view
                    if run.is_drawn:
                        now_s = time.monotonic()
                        refined_until_s = refined_until_s or now_s + REFINE_SECONDS
                        if now_s > refined_until_s or runs.is_anyone_waiting:
                            return
            except InfinityError as error:
                run.is_drawn = True
                yield present.failed(view, for_visitors(error))
            except Exception:
                logger.exception("A run failed")
                run.is_drawn = True
                yield present.failed(view, UNEXPECTED)

    def paint(request: gr.Request) -> Iterator[tuple[Any, ...]]:
        session = request.session_hash or ""
        relay = runs.relay(session, GENERATE, draw, is_back=is_back)
        if relay is None:
            yield NOTHING
            return
        name = runs.pages.of(session).runs_of(GENERATE)
        is_done = False
        for view in runs.pages.follow(session, relay):
            if is_done:
                yield show_timeline(view, runs, name)
                continue
            if view.finished is not None and not all(path.exists() for path in view.finished.files):
                view = replace(view, pictures=())  # the timeline is all that is left of them
            yield show(replace(view, finished=None) if relay.is_told else view, runs, name)
            if view.phase == "done":
                is_done = relay.is_told = True

    return paint


def make_tick(runs: Runs) -> Callable[[gr.Request], str | dict[str, Any]]:
    """The handler of the clock that runs while a page waits: its place in the line."""

    def tick(request: gr.Request) -> str | dict[str, Any]:
        before = runs.before(_runs_of(runs, request))
        return gr.skip() if before is None else present.status_html(present.waiting(before=before))

    return tick


def views(
    manager: ModelManager, run: Run, turns: Turns, keep_track: Callable[[str], None]
) -> Iterator[View]:
    """Every view of one run: loading the model, waiting, drawing, the finished pictures, and after
    them the timeline as it is completed.

    Raises:
        InfinityError: what cannot be done, in one sentence.
    """
    view = present.waiting(run.request.prompts, run=run.name)
    spec = manager.spec(run.model)
    pipeline = None
    for report in load(manager, run.model, run.cancel):
        if isinstance(report, Loading):
            yield (view := present.loading(view, report.what, report.fraction))
        else:
            pipeline = report
    if pipeline is None:
        yield present.stopped(view, 0)
        return
    with turns.place() as turn:
        for before in turn.wait(run.cancel):
            yield (view := present.waiting(run.request.prompts, before, run.name))
        if run.cancel.is_set():
            yield present.stopped(view, 0)
            return
        yield (view := present.opened(view, spec, run.request.aspect_ratio))
        for event in pipeline.stream(run.request, cancel=run.cancel, refine=True):
            saved = finish(event, run.model, keep_track) if isinstance(event, Done) else None
            yield (view := present.after(view, event, saved))


def show(view: View, runs: Runs, name: str) -> tuple[Any, ...]:
    """The updates of the page whose runs go by ``name``; what a view knows nothing of is skipped."""
    return (
        viewer_value(view) if view.frames else gr.skip(),
        present.status_html(view),
        *buttons(runs, name),
        view.finished if view.finished is not None else gr.skip(),
        gr.Timer(active=runs.before(name) is not None),
    )


def show_timeline(view: View, runs: Runs, name: str) -> tuple[Any, ...]:
    """The timeline only: the page may have gone on to the next run."""
    timer = gr.Timer(active=runs.before(name) is not None)
    return viewer_value(view), gr.skip(), *buttons(runs, name), gr.skip(), timer


def buttons(runs: Runs, name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The updates of the button that begins a run and of Stop, as the page's runs stand now.

    A stream sends them with every view, never :func:`gr.skip` instead: the browser's client changes an
    update that it has not shown yet into the next one, and what that one leaves out is lost.
    """
    is_busy, is_stopping = runs.is_busy(name), runs.is_stopping(name)
    return gr.update(visible=shown(not is_busy)), gr.update(
        visible=shown(is_busy),
        value="Stopping …" if is_stopping else "Stop",
        interactive=not is_stopping,
    )


def _runs_of(runs: Runs, request: gr.Request) -> str:
    return runs.pages.of(request.session_hash or "").runs_of(GENERATE)
