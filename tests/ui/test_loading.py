"""A stop, and a browser that leaves, end a load as they end a drawing."""

from __future__ import annotations

import json
import threading
import time
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest

from infinity.manager import ModelManager
from infinity.request import GenerationRequest
from infinity.ui.api.build import plain_errors
from infinity.ui.api.draw import DrawEndpoints, takes_settings
from infinity.ui.api.history import RecentRuns
from infinity.ui.api.models import ModelEndpoints
from infinity.ui.grid.tab import GridRun, make_plan
from infinity.ui.shared.context import Context
from infinity.ui.shared.pages import GENERATE
from infinity.ui.shared.runs import Run, Runs
from tests.tiny import SPEC, tiny_pipeline
from tests.ui.fakes import models_tab, tabs_of

WHO: Any = SimpleNamespace(session_hash="one")


class Page:
    """A model whose load goes on until it is stopped, at every way in."""

    def __init__(self, folder: Any) -> None:
        (folder / "config.json").write_text(json.dumps(SPEC.to_dict()))
        self.begun, self.ended, self.goes_on = (threading.Event() for _ in range(3))
        self.manager = ModelManager(device="cpu", models={"tiny": folder}, loader=self._load)
        self.context = Context(self.manager, Runs(), {"tiny": SPEC})
        self.runs = self.context.runs
        draw = DrawEndpoints(self.context, RecentRuns())
        self.generate = plain_errors(takes_settings(draw.generate, "tiny"))
        self.grid = plain_errors(takes_settings(draw.grid, "tiny", without="num_images"))
        self.load = plain_errors(ModelEndpoints(self.context).load)
        self.stop = draw.stop
        self.events, self.grid_events = tabs_of(self.context)

    def _load(self, name: str, device: Any, dtype: Any, progress: Any, **_: Any) -> Any:
        self.begun.set()
        try:
            while not self.goes_on.wait(0.01):
                progress("Reading", 0.5)
        finally:
            self.ended.set()
        return tiny_pipeline()


@pytest.fixture
def page(tmp_path, monkeypatch) -> Page:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "gradio"))
    return Page(tmp_path)


@pytest.mark.parametrize(
    "call",
    [
        lambda page: page.generate(WHO, "x", model="tiny"),
        lambda page: page.grid(WHO, "x", "seed", "1-3", model="tiny"),
        lambda page: page.load(WHO, "tiny"),
    ],
    ids=["generate", "grid", "load"],
)
def test_stop_of_the_api_ends_a_load(page, call):
    told: list[str] = []

    def run() -> None:
        with pytest.raises(gr.Error) as caught:
            call(page)
        told.append(str(caught.value))

    thread = threading.Thread(target=run)
    thread.start()
    assert page.begun.wait(60)
    assert not page.stop(SimpleNamespace(session_hash="another"))
    assert not page.ended.is_set()
    assert page.stop(WHO)
    thread.join(60)
    assert page.ended.wait(60)
    assert "stopped before its pictures were finished" in told[0]
    assert page.manager.loaded() == ()
    assert len(page.runs) == 0
    page.goes_on.set()
    assert page.generate(WHO, "x", model="tiny")


@pytest.mark.parametrize("leaves", [False, True])
def test_stop_of_the_page_ends_a_load_and_so_does_leaving(page, leaves):
    name = page.runs.pages.of("one").runs_of(GENERATE)
    page.runs.begin(name, Run("tiny", GenerationRequest(prompt="x")))
    painting: Any = page.events.paint(WHO)
    status = page.events.drawing.status
    assert "Reading · 50%" in next(painting)[status]
    if leaves:
        page.runs.pages.grace_s = 0.0
        painting.close()
    else:
        page.events.stop(WHO)
        assert "Stopped." in [update[status] for update in painting][-1]
    assert page.ended.wait(60)
    assert page.manager.loaded() == ()
    while len(page.runs):
        time.sleep(0.01)


def test_stop_of_a_grid_ends_a_load(page):
    request = GenerationRequest(prompt="x")
    plan = make_plan(page.context, "tiny", request, "seed", "1-2", "", "")
    run = GridRun("tiny", plan.request, plan=plan)
    with page.runs.running("one", run):
        views = page.grid_events.views(run)
        assert "Reading" in next(views).status.message
        page.runs.stop("one")
        assert [view.status.phase for view in views][-1] == "stopped"
    assert page.ended.wait(60)
    assert page.manager.loaded() == ()


@pytest.mark.parametrize("leaves", [False, True])
def test_stop_of_the_models_tab_ends_a_load(page, leaves):
    events = models_tab(page.context, page.events.controls)
    loading: Any = events.load_model(WHO, "tiny", "none", "1:1", "")
    next(loading)
    assert "Reading" in next(loading)[events.status]
    if leaves:
        loading.close()
    else:
        events.stop_load(WHO)
        *_, last = loading
        assert "Stopped" in last[events.status]
        assert last[events.load]["interactive"]
    assert page.ended.wait(60)
    assert page.manager.loaded() == ()
    assert "Nothing is being loaded" in events.stop_load(WHO)


def test_load_that_another_caller_waits_for_goes_on_after_one_stops(page):
    pictures: list[Any] = []
    other: Any = SimpleNamespace(session_hash="two")
    threads = [
        threading.Thread(target=lambda: pictures.append(page.generate(other, "x", model="tiny")))
    ]
    threads[0].start()
    assert page.begun.wait(60)
    name = page.runs.pages.of("one").runs_of(GENERATE)
    page.runs.begin(name, Run("tiny", GenerationRequest(prompt="x")))
    painting = page.events.paint(WHO)
    next(painting)
    page.events.stop(WHO)
    list(painting)
    page.goes_on.set()
    threads[0].join(60)
    assert len(pictures) == 1
