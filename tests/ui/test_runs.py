"""Runs: one a page, cancelled by stop, gone however they end."""

from __future__ import annotations

import threading

import pytest

from infinity.errors import RequestError
from infinity.request import GenerationRequest
from infinity.ui.shared.runs import Run, Runs


def new() -> Run:
    return Run("default", GenerationRequest(prompt="x"))


def test_second_begin_of_a_busy_page_is_refused():
    runs = Runs()
    assert runs.begin("a", new())
    assert not runs.begin("a", new())
    assert runs.begin("b", new())
    with runs.taken("a"):
        assert not runs.begin("a", new())
    assert runs.begin("a", new())


def test_taken_gives_the_waiting_run_once():
    runs, run = Runs(), new()
    runs.begin("a", run)
    with runs.taken("a") as first, runs.taken("a") as second:
        assert first is run
        assert second is None
    assert len(runs) == 0


def test_stop_cancels_a_running_run_of_that_session_only():
    runs, mine, other = Runs(), new(), new()
    runs.begin("a", mine)
    runs.begin("b", other)
    with runs.taken("a"), runs.taken("b"):
        assert runs.stop("a")
        assert mine.cancel.is_set()
        assert not other.cancel.is_set()


def test_stop_before_the_turn_came_removes_the_run():
    runs, run = Runs(), new()
    runs.begin("a", run)
    assert not runs.stop("a")
    assert run.cancel.is_set()
    with runs.taken("a") as taken:
        assert taken is None


def test_error_leaves_nothing_behind():
    runs, run = Runs(), new()
    runs.begin("a", run)
    with pytest.raises(RuntimeError), runs.taken("a"):
        raise RuntimeError
    assert run.cancel.is_set()
    assert len(runs) == 0


def test_abandoned_generator_leaves_nothing_behind():
    runs = Runs()
    runs.begin("a", new())

    def handler():
        with runs.taken("a"):
            yield 1
            yield 2

    generator = handler()
    next(generator)
    assert len(runs) == 1
    generator.close()
    assert len(runs) == 0
    assert runs.begin("a", new())


def test_several_calls_of_one_session_run_beside_each_other():
    runs, first, second = Runs(), new(), new()
    with runs.running("a", first):
        with runs.running("a", second):
            assert len(runs) == 2
        assert second.cancel.is_set()
        assert not first.cancel.is_set()
    assert len(runs) == 0


def test_drawn_run_lets_the_page_begin_another():
    runs, drawn = Runs(), new()
    runs.begin("a", drawn)
    with runs.taken("a"):
        assert not runs.is_waiting("a")
        drawn.is_drawn = True
        assert not runs.is_anyone_waiting
        assert runs.begin("a", new())
        assert runs.is_waiting("a")
        assert runs.is_anyone_waiting
    assert not runs.is_waiting("c")


def test_page_that_ends_stops_everybody_and_lets_nobody_begin():
    runs = Runs()
    waiting, drawing = new(), new()
    runs.begin("a", waiting)
    with runs.loading("b") as load:

        def draw() -> None:
            with runs.running("c", drawing):
                begun.set()
                drawing.cancel.wait(60)

        begun = threading.Event()
        thread = threading.Thread(target=draw)
        thread.start()
        begun.wait(60)
        runs.close(patience_s=60)
        assert (len(runs), load.is_set()) == (0, True)
        assert waiting.cancel.is_set()
        thread.join(60)
    for begin in (runs.begin, lambda *of: runs.running(*of).__enter__()):
        with pytest.raises(RequestError, match="about to end"):
            begin("d", new())
