"""The Grid tab's handlers, driven as Gradio drives them, with a pipeline that only pretends."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image

from infinity.errors import ResourceError
from infinity.grid.plan import read_plan
from infinity.metadata import read_record
from infinity.ui.controls import ROLL, RequestControls
from infinity.ui.grid.events import make_paint_grid, make_start_grid, make_stop_grid
from infinity.ui.grid.tab import axis_values
from infinity.ui.shared.runs import Runs
from tests.ui.fakes import FakeManager
from tests.ui.test_controls import VALUES

ALICE = SimpleNamespace(session_hash="alice")


class Page:
    def __init__(self) -> None:
        self.manager = FakeManager()
        self.runs = Runs()
        self.written: list[str] = []
        specs = {name: self.manager.spec(name) for name in self.manager.names()}
        self._start = make_start_grid(self.runs, specs)
        self._paint = make_paint_grid(self.manager, self.runs, self.written.append)  # type: ignore[arg-type]
        self.stop = make_stop_grid(self.runs)

    def start(self, *axes: str, **changes: Any) -> tuple[Any, ...]:
        values = VALUES | changes
        axes = axes or ("seed", "1-2", "guidance", "1, 3, 5")
        return self._start(ALICE, *axes, *(values[name] for name in RequestControls.names()))

    def paint(self) -> Any:
        return self._paint(ALICE)  # type: ignore[arg-type]


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Page:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    return Page()


def test_grid_is_shown_cell_by_cell_and_saved_with_its_recipe(page):
    seed, *_ = page.start()
    updates = list(page.paint())
    plots = [update[0] for update in updates if isinstance(update[0], str)]
    assert seed == VALUES["seed"]
    assert [plot.count("<img") for plot in plots[:-1]] == [1, 2, 3, 4, 5, 6]
    assert "Grid finished" in updates[-1][1]
    with Image.open(page.written[-1]) as image:
        plan = read_plan(image)
    runs = updates[-1][4]
    assert [(run.request.seed, run.request.guidance) for run in runs] == [
        (1, 1.0), (2, 1.0), (1, 3.0), (2, 3.0), (1, 5.0), (2, 5.0),
    ]  # fmt: skip
    assert read_record(page.written[0]).request == runs[0].request
    assert axis_values(plan) == ("seed", "1, 2", "guidance", "1, 3, 5")
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
    assert sentence in update[2]
    assert 'role="alert"' in update[2]
    assert len(page.runs) == 0
    assert page.manager.pipelines["default"].requests == []


def test_rolled_seed_is_one_for_the_whole_grid_and_shown(page):
    seed, *_ = page.start("guidance", "1, 3", "", "", seed_mode=ROLL)
    list(page.paint())
    assert {request.seed for request in page.manager.pipelines["default"].requests} == {seed}


def test_stop_keeps_what_was_drawn(page):
    page.start()
    painting = page.paint()
    for update in painting:
        if isinstance(update[0], str) and update[0].count("<img") == 2:
            break
    assert page.stop(ALICE)[3]["interactive"] is False
    *stopping, last = painting
    assert all(update[3]["interactive"] is False for update in stopping)
    assert "Stopped after 2 of 6 pictures." in last[1]
    assert len(last[4]) == 2
    assert "Download the grid" in last[0]
    assert len(page.runs) == 0


def test_stop_before_the_turn_came_frees_the_page(page):
    page.start()
    assert "Stopped." in page.stop(ALICE)[1]
    (update,) = page.paint()
    assert all("value" not in part for part in update)


def test_failure_is_one_sentence_and_leaves_no_lock(page):
    page.start()
    page.manager.pipelines["default"].error = ResourceError("Out of memory; choose less.")
    *_, last = page.paint()
    assert "Out of memory; choose less." in last[1]
    assert last[2]["visible"] is True
    assert len(page.runs) == 0


def test_style_axis_replaces_the_chosen_style(page):
    page.start("style", '"", oil painting', "", "", style="anime")
    list(page.paint())
    prompts = [request.prompt for request in page.manager.pipelines["default"].requests]
    assert prompts == ["a red apple", "a red apple, oil painting"]
