"""The Grid tab's handlers, driven as Gradio drives them, with a pipeline that only pretends."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest
from PIL import Image

from infinity.errors import ResourceError
from infinity.grid.plan import read_plan
from infinity.metadata import read_record
from infinity.ui.controls.request import ROLL
from infinity.ui.grid.tab import axis_settings
from tests.ui.fakes import FakeManager, make_context, tabs_of
from tests.ui.test_controls import VALUES

ALICE: Any = SimpleNamespace(session_hash="alice")


PLOT, STATUS, DRAW, STOP, FINISHED, SEED = OUTPUTS = (
    "plot", "status", "draw", "stop", "finished", "seed",
)  # fmt: skip


class Page:
    """A manager, the runs, and the handlers of one page, whose updates are read by name."""

    def __init__(self) -> None:
        self.manager: Any = FakeManager()
        context = make_context(self.manager)
        self.runs, self.written = context.runs, context.written
        _, self.events = tabs_of(context)
        self.axes, drawing = self.events.axes, self.events.drawing
        self.components = (
            self.events.plot, drawing.status, drawing.begin, drawing.stop, drawing.finished,
            self.events.controls["seed"],
        )  # fmt: skip

    def named(self, updates: dict[Any, Any]) -> dict[str, Any]:
        """What the browser gets, by name."""
        assert set(updates) <= set(self.components)
        filled = (updates.get(component, gr.skip()) for component in self.components)
        return dict(zip(OUTPUTS, filled, strict=True))

    def start(self, *axes: str, **changes: Any) -> dict[str, Any]:
        typed = zip(self.axes.values(), axes or ("seed", "1-2", "guidance", "1, 3, 5"), strict=True)
        values = self.events.controls.updates(VALUES | changes) | dict(typed)
        return self.named(self.events.start(ALICE, values))

    def paint(self) -> Any:
        return map(self.named, self.events.paint(ALICE))

    def stop(self) -> dict[str, Any]:
        return self.named(self.events.stop(ALICE))


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Page:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    return Page()


def test_grid_is_shown_cell_by_cell_and_saved_with_its_recipe(page):
    seed = page.start()[SEED]
    updates = list(page.paint())
    plots = [plot for plot, _ in groupby(update[PLOT] for update in updates)]
    assert seed == VALUES["seed"]
    assert [plot.count("<img") for plot in plots[:-1]] == [0, 1, 2, 3, 4, 5, 6]
    assert "Grid finished" in updates[-1][STATUS]
    with Image.open(page.written[-1]) as image:
        plan = read_plan(image)
    runs = updates[-1][FINISHED]
    assert [(run.request.seed, run.request.guidance) for run in runs] == [
        (1, 1.0), (2, 1.0), (1, 3.0), (2, 3.0), (1, 5.0), (2, 5.0),
    ]  # fmt: skip
    assert read_record(page.written[0]).request == runs[0].request
    assert list(axis_settings(plan).values()) == ["seed", "1, 2", "guidance", "1, 3, 5"]
    assert len(page.runs) == 0


@pytest.mark.parametrize(
    ("axes", "sentence"),
    [
        (("seed", "x", "", ""), "not a value"),
        (("seed", "1-9", "guidance", "1-9"), "at most 64"),
        (("words", "pear, plum", "", ""), "not in the prompt"),
        (("model", "default, secret", "", ""), "Unknown model"),
        (("aspect_ratio", "1:1, 1:2", "", ""), "aspect ratio"),
    ],
)
def test_bad_grid_is_told_at_once_and_starts_nothing(page, axes, sentence):
    update = page.start(*axes)
    assert sentence in update[STATUS]
    assert 'role="alert"' in update[STATUS]
    assert len(page.runs) == 0
    assert page.manager.pipelines["default"].requests == []


def test_rolled_seed_is_one_for_the_whole_grid_and_shown(page):
    seed = page.start("guidance", "1, 3", "", "", seed_mode=ROLL)[SEED]
    list(page.paint())
    assert {request.seed for request in page.manager.pipelines["default"].requests} == {seed}


def test_stop_keeps_what_was_drawn(page):
    page.start()
    painting = page.paint()
    for update in painting:
        if isinstance(update[PLOT], str) and update[PLOT].count("<img") == 2:
            break
    assert page.stop()[STOP]["interactive"] is False
    *stopping, last = painting
    assert all(update[STOP]["interactive"] is False for update in stopping)
    assert "Stopped after 2 of 6 pictures." in last[STATUS]
    assert len(last[FINISHED]) == 2
    assert "Download the grid" in last[PLOT]
    assert len(page.runs) == 0


def test_stop_before_the_turn_came_frees_the_page(page):
    page.start()
    assert "Stopped." in page.stop()[STATUS]
    (update,) = page.paint()
    assert all(part == gr.skip() for part in update.values())


def test_failure_is_one_sentence_and_leaves_no_lock(page):
    page.start()
    page.manager.pipelines["default"].error = ResourceError("Out of memory; choose less.")
    *_, last = page.paint()
    assert "Out of memory; choose less." in last[STATUS]
    assert last[DRAW]["visible"] is True
    assert len(page.runs) == 0


def test_style_axis_replaces_the_chosen_style(page):
    page.start("style", '"", oil painting', "", "", style="anime")
    list(page.paint())
    prompts = [request.prompt for request in page.manager.pipelines["default"].requests]
    assert prompts == ["a red apple", "a red apple, oil painting"]
