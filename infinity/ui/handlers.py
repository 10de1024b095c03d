"""What happens when somebody generates: checked at once, drawn in turn, shown as it grows, stopped.

The handlers know no component: they return updates in the order the tab wires them.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from typing import Any

import gradio as gr

from infinity.errors import InfinityError
from infinity.events import Done
from infinity.manager import ModelManager
from infinity.spec import ModelSpec
from infinity.ui import present
from infinity.ui.controls import RequestControls, request_from
from infinity.ui.finished import finish
from infinity.ui.loading import Loading, load
from infinity.ui.present import View
from infinity.ui.problems import UNEXPECTED, for_visitors
from infinity.ui.runs import Run, Runs, visitor_of
from infinity.ui.timeline import viewer_value
from infinity.ui.turns import Turns

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
            if not runs.begin(_session(request), run):
                return (gr.skip(), *NOTHING)
        except InfinityError as error:
            return (gr.skip(), *show(present.failed(View(), for_visitors(error))))
        before = runs.before(_session(request)) or 0
        return (wanted.seed, *show(present.waiting(wanted.prompts, before, run.name)))

    return start


def make_stop(runs: Runs) -> Callable[[gr.Request], tuple[Any, ...]]:
    """The handler that ends the session's run within a scale, or before its turn came."""

    def stop(request: gr.Request) -> tuple[Any, ...]:
        if runs.stop(_session(request)):
            stopping = gr.update(value="Stopping …", interactive=False)
            return (*NOTHING[:3], stopping, *NOTHING[4:])
        return show(present.stopped(View(), 0))

    return stop


def make_paint(
    manager: ModelManager, runs: Runs, keep_track: Callable[[str], None]
) -> Callable[[gr.Request], Iterator[tuple[Any, ...]]]:
    """The handler that carries out the session's waiting run and shows it as it grows.

    Args:
        keep_track: told the path of every file written, so that old ones are cleaned up.
    """

    def paint(request: gr.Request) -> Iterator[tuple[Any, ...]]:
        with runs.taken(_session(request)) as run:
            if run is None:
                yield NOTHING
                return
            view, refined_until_s = View(), 0.0
            try:
                for view in views(manager, run, runs.turns, keep_track):
                    yield show(view) if not refined_until_s else show_timeline(view)
                    if run.is_drawn:
                        now_s = time.monotonic()
                        refined_until_s = refined_until_s or now_s + REFINE_SECONDS
                        if now_s > refined_until_s or runs.is_anyone_waiting:
                            return
            except InfinityError as error:
                yield show(present.failed(view, for_visitors(error)))
            except Exception:
                logger.exception("A run failed")
                yield show(present.failed(view, UNEXPECTED))

    return paint


def make_tick(runs: Runs) -> Callable[[gr.Request], str | dict[str, Any]]:
    """The handler of the clock that runs while a page waits: its place in the line."""

    def tick(request: gr.Request) -> str | dict[str, Any]:
        before = runs.before(_session(request))
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
            if isinstance(event, Done):
                finished = finish(event, run.model, keep_track)
                run.is_drawn = True
            else:
                finished = None
            yield (view := present.after(view, event, finished))


def show(view: View) -> tuple[Any, ...]:
    """The updates of the page. What a view knows nothing of, or leaves be, is skipped."""
    generate, stop, clock = gr.skip(), gr.skip(), gr.skip()
    if view.phase == "waiting" or not view.is_busy:
        generate = gr.update(visible=not view.is_busy)
        stop = gr.update(visible=view.is_busy, value="Stop", interactive=True)
    if view.fraction in (0.0, 1.0):
        clock = gr.Timer(active=view.phase == "waiting")
    return (
        viewer_value(view) if view.frames else gr.skip(),
        present.status_html(view),
        generate,
        stop,
        view.finished if view.finished is not None else gr.skip(),
        clock,
    )


def show_timeline(view: View) -> tuple[Any, ...]:
    """The timeline only: the page may have gone on to the next run."""
    return (viewer_value(view), *NOTHING[1:])


def _session(request: gr.Request) -> str:
    return request.session_hash or ""
