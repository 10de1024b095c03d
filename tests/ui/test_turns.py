"""One draws at a time, in the order they came; who waits for a model keeps nobody waiting."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest

from infinity.errors import StoppedError
from infinity.request import GenerationRequest
from infinity.ui.api.draw import DrawEndpoints, takes_settings
from infinity.ui.api.history import RecentRuns
from infinity.ui.shared.pages import GENERATE
from infinity.ui.shared.runs import Run
from infinity.ui.shared.turns import Turns
from tests.ui.fakes import FakeManager, Gate, make_context, tabs_of


def test_turns_come_in_the_order_of_the_places():
    turns, never = Turns(), threading.Event()
    with turns.place(never) as first:
        second, third = turns.place(never), turns.place(never)
        waiting, last = second.__enter__(), third.__enter__()
        assert list(first) == []
        assert (next(waiting), next(last)) == (1, 2)
        second.__exit__(None, None, None)
        assert next(last) == 1
    assert list(last) == []
    assert not turns.is_anyone_waiting
    third.__exit__(None, None, None)


def test_cancelled_wait_is_told_and_leaves_the_line():
    turns, cancel = Turns(), threading.Event()
    with turns.place(threading.Event()):
        with turns.place(cancel) as told:
            assert next(told) == 1
            cancel.set()
            assert list(told) == []
        with pytest.raises(StoppedError), turns.turn(cancel):
            raise AssertionError("drawn after all")
        assert not turns.is_anyone_waiting


def test_error_while_drawing_gives_the_turn_on():
    turns = Turns()
    with pytest.raises(ZeroDivisionError), turns.turn(threading.Event()):
        raise ZeroDivisionError
    with turns.turn(threading.Event()):
        pass


class Blocked(FakeManager):
    """The second model loads until ``loaded`` is set."""

    def __init__(self, gate: Gate | None = None) -> None:
        super().__init__(gate)
        self.loaded_other, self.begun = threading.Event(), threading.Event()

    def get(self, name, *arguments, **options):
        if name == "other":
            self.begun.set()
            assert self.loaded_other.wait(60)
        return super().get(name)


class Page:
    def __init__(self, manager: Any) -> None:
        self.manager = manager
        context = make_context(manager)
        self.runs, self.files = context.runs, context.written
        draw = DrawEndpoints(context, RecentRuns())
        self.generate = takes_settings(draw.generate, context.first_model)
        self.events, _ = tabs_of(context)

    def paint(self, who: Any) -> Iterator[str | None]:
        """The status of every update."""
        painting = self.events.paint(who)
        try:
            for updates in painting:
                yield updates.get(self.events.drawing.status)
        finally:
            cast(Generator[Any], painting).close()

    def in_thread(self, **options) -> threading.Thread:
        caller = SimpleNamespace(session_hash="api")
        thread = threading.Thread(target=lambda: self.generate(caller, "x", **options))
        thread.start()
        return thread

    def begin(self, who: str) -> Any:
        name = self.runs.pages.claim(who).runs_of(GENERATE)
        self.runs.begin(name, Run("default", GenerationRequest(prompt="x")))
        return SimpleNamespace(session_hash=who)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))


def test_picture_is_drawn_while_another_model_loads():
    page = Page(Blocked())
    slow = page.in_thread(model="other")
    assert page.manager.begun.wait(60)
    page.generate(SimpleNamespace(session_hash="quick"), "y")
    assert "finished" in [said for said in page.paint(page.begin("page")) if said][-1]
    assert len(page.files) == 2
    page.manager.loaded_other.set()
    slow.join(60)
    assert len(page.files) == 3


def test_page_waits_for_the_api_and_is_told_its_place():
    page = Page(FakeManager(gate := Gate()))
    drawing = page.in_thread()
    while not page.manager.pipelines["default"].requests:
        drawing.join(0.01)
    painting = page.paint(page.begin("page"))
    assert any("1 before you" in next(painting) for _ in range(2))
    assert len(page.manager.pipelines["default"].requests) == 1, "nothing is drawn beside it"
    gate.open()
    assert "finished" in [said for said in painting if said][-1]
    drawing.join(60)
    assert len(page.files) == 2


def test_closed_page_that_nobody_comes_back_to_leaves_the_line():
    page = Page(FakeManager(gate := Gate()))
    page.runs.pages.grace_s = 0.0
    drawing = page.in_thread()
    while not page.manager.pipelines["default"].requests:
        drawing.join(0.01)
    painting = page.paint(page.begin("page"))
    while "before you" not in next(painting):
        pass
    cast(Generator[Any], painting).close()
    while page.runs.is_anyone_waiting:
        drawing.join(0.01)
    assert drawing.is_alive(), "it left before its turn came"
    gate.open()
    drawing.join(60)
    assert len(page.runs) == 0
