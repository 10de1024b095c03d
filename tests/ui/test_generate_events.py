"""The page's handlers, driven as Gradio drives them, with a pipeline that only pretends."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest

from infinity.errors import CheckpointError, ResourceError
from infinity.metadata import read_record
from infinity.request import GenerationRequest
from infinity.ui.controls.request import KEEP, ROLL
from infinity.ui.shared.files import FinishedRun
from infinity.ui.shared.runs import Run
from infinity.ui.shared.status import UNEXPECTED, Status
from infinity.ui.shared.turns import load
from tests.ui.fakes import FakeManager, make_context, tabs_of
from tests.ui.test_controls import VALUES

VIEWER, STATUS, GENERATE, STOP, FINISHED, SEED = OUTPUTS = (
    "viewer", "status", "generate", "stop", "finished", "seed",
)  # fmt: skip
ALICE, BOB = SimpleNamespace(session_hash="alice"), SimpleNamespace(session_hash="bob")


class Page:
    """A manager, the runs, and the handlers of one page, whose updates are read by name."""

    def __init__(self) -> None:
        self.manager: Any = FakeManager()
        self.pipeline = self.manager.pipelines["default"]
        self.context = make_context(self.manager)
        self.runs, self.written = self.context.runs, self.context.written
        self.events, _ = tabs_of(self.context)
        drawing = self.events.drawing
        self.components = (
            self.events.viewer, drawing.status, drawing.begin, drawing.stop, drawing.finished,
            self.events.controls["seed"],
        )  # fmt: skip

    def named(self, updates: dict[Any, Any]) -> dict[str, Any]:
        """What the browser gets, by name."""
        assert updates, "Gradio takes an empty dictionary for a value"
        assert set(updates) <= set(self.components)
        filled = (updates.get(component, gr.skip()) for component in self.components)
        return dict(zip(OUTPUTS, filled, strict=True))

    def start(self, who: Any = ALICE, **changes: Any) -> dict[str, Any]:
        return self.named(self.events.start(who, self.events.controls.updates(VALUES | changes)))

    def stop(self, who: Any) -> dict[str, Any]:
        return self.named(self.events.stop(who))

    def paint(self, who: Any) -> Iterator[dict[str, Any]]:
        for updates in (painting := self.events.paint(who)):
            try:
                yield self.named(updates)
            except GeneratorExit:
                painting.close()  # type: ignore[attr-defined]
                raise

    def come_back(self, who: Any = ALICE) -> Iterator[dict[str, Any]]:
        return map(self.named, self.events.come_back(who))

    def texts(self, who: Any = ALICE) -> list[str]:
        """The status of every update of a whole run."""
        return [update[STATUS] for update in self.updates(who)]

    def updates(self, who: Any = ALICE) -> list[dict[str, Any]]:
        """All updates of a whole run, but for those that only complete its timeline."""
        return [update for update in self.paint(who) if isinstance(update[STATUS], str)]


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Page:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    return Page()


def shows(update: Any, visible: bool) -> bool:
    return update.get("visible") == (True if visible else "hidden")


def test_start_shows_at_once_that_it_was_heard(page):
    update = page.start(seed=5)
    assert update[SEED] == 5
    assert "value" not in update[VIEWER]
    assert "Waiting" in update[STATUS]
    assert shows(update[GENERATE], False)
    assert shows(update[STOP], True)


def test_rolled_seed_is_shown_and_used(page):
    seed = page.start(seed_mode=ROLL)[SEED]
    page.texts()
    assert page.pipeline.requests[0].seed == seed


def test_bad_input_is_told_at_once_and_starts_nothing(page):
    update = page.start(prompt="  ")
    assert "The prompt is empty; describe the picture you want." in update[STATUS]
    assert shows(update[GENERATE], True)
    assert len(page.runs) == 0
    assert page.texts() == []


def test_run_shows_every_scale_then_the_files(page):
    page.start(num_images=2, seed=7, seed_mode=KEEP)
    updates = page.updates()
    texts = [update[STATUS] for update in updates]
    for number in range(1, 8):
        assert any(f"Scale {number} of 7" in text for text in texts)
    assert "2 pictures finished" in texts[-1]
    assert shows(updates[-1][GENERATE], True)
    assert shows(updates[-1][STOP], False)
    assert [read_record(path).request.seed for path in page.written] == [7, 8]
    assert [p["download"] for p in updates[-1][VIEWER]["pictures"]] == [
        Path(path).name for path in page.written
    ]
    assert len(page.runs) == 0


def test_finished_run_is_handed_on_once(page):
    page.start(num_images=2, seed=7, seed_mode=KEEP)
    handed = [update[FINISHED] for update in page.updates()]
    (last,) = [run for run in handed if isinstance(run, FinishedRun)]
    assert (last.model, last.request.seeds, last.request.temperature) == ("default", (7, 8), 0.9)
    assert [str(path) for path in last.files] == list(page.written)


def test_written_files_replay_the_request(page):
    page.start(prompt="un café, s'il vous plaît 🍎", guidance=4.5, top_k=1)
    page.texts()
    (path,) = page.written
    assert Path(path).name == "infinity-un-caf-s-il-vous-pla-t-1.png"
    request = read_record(path).request
    assert (request.prompt, request.guidance, request.top_k) == (
        "un café, s'il vous plaît 🍎",
        4.5,
        1,
    )


def test_every_view_says_how_the_buttons_stand(page):
    """The browser's client changes an update it has not shown yet into the next one of the stream:
    what the next one leaves out, as a skip does, would be lost."""
    page.start()
    for update in page.updates():
        is_done = "finished" in update[STATUS]
        assert shows(update[GENERATE], is_done) and shows(update[STOP], not is_done)
    page.start()
    assert page.stop(ALICE)
    page.start()
    updates = list(page.paint(ALICE))
    for place in (GENERATE, STOP):
        assert len({frozenset(update[place]) for update in updates}) == 1


def test_notes_reach_the_page(page):
    page.pipeline.notes = ("The prompt was cut to its first 23 tokens.",)
    page.start()
    assert "The prompt was cut to its first 23 tokens." in page.texts()[-1]


def test_stop_ends_within_one_scale(page):
    page.start()
    painting = page.paint(ALICE)
    while "Scale 3 of 7" not in next(painting)[STATUS]:
        pass
    update = page.stop(ALICE)
    assert update[STOP]["interactive"] is False
    assert not {"visible"} & {*update[STOP], *update[GENERATE]}, "it may come after the last view"
    rest = [update[STATUS] for update in painting]
    assert len(rest) == 1
    assert "Stopped after scale 3 of 7." in rest[0]
    assert len(page.runs) == 0


def test_stop_before_the_turn_came_frees_the_page_at_once(page):
    page.start()
    update = page.stop(ALICE)
    assert "Stopped." in update[STATUS]
    assert shows(update[GENERATE], True)
    assert page.texts() == []
    assert page.pipeline.requests == []
    page.start()
    assert "finished" in page.texts()[-1]


def test_stop_with_nothing_running_is_harmless(page):
    assert "Stopped." in page.stop(ALICE)[STATUS]


def test_second_enter_while_running_begins_nothing(page):
    page.start()
    painting = page.paint(ALICE)
    next(painting)
    assert all(update == gr.skip() for update in page.start().values())
    assert page.texts() == []
    assert (
        "finished" in [update[STATUS] for update in painting if isinstance(update[STATUS], str)][-1]
    )
    assert len(page.pipeline.requests) == 1


def test_stop_of_one_browser_leaves_the_other_alone(page):
    page.start(ALICE)
    page.start(BOB)
    alice, bob = page.paint(ALICE), page.paint(BOB)
    for _ in range(3):
        next(alice)
    assert "1 before you" in next(bob)[STATUS]
    page.stop(ALICE)
    assert "Stopped" in [update[STATUS] for update in alice if isinstance(update[STATUS], str)][-1]
    assert "finished" in [update[STATUS] for update in bob if isinstance(update[STATUS], str)][-1]


def test_cancelled_run_is_followed_by_a_good_one(page):
    page.start()
    painting = page.paint(ALICE)
    next(painting), next(painting)
    page.stop(ALICE)
    list(painting)
    page.start()
    assert "finished" in page.texts()[-1]


def test_browser_that_leaves_in_the_middle_leaves_no_lock(page):
    page.start()
    painting = page.paint(ALICE)
    next(painting), next(painting)
    page.runs.pages.grace_s = 0.0
    painting.close()
    while len(page.runs):
        time.sleep(0.01)
    page.start()
    assert "finished" in page.texts()[-1]


def test_error_in_the_middle_is_one_sentence_and_frees_the_page(page):
    page.pipeline.error = ResourceError("Out of memory while drawing; choose fewer pictures.")
    page.start()
    updates = page.updates()
    assert "Out of memory while drawing; choose fewer pictures." in updates[-1][STATUS]
    assert updates[-1][VIEWER]["frames"][1]["pictures"], "what was drawn stays"
    assert shows(updates[-1][GENERATE], True)
    assert len(page.runs) == 0


def test_unforeseen_error_is_logged_and_frees_the_page(page, caplog):
    page.pipeline.error = ZeroDivisionError("inside")
    page.start()
    last = page.texts()[-1]
    assert UNEXPECTED in last
    assert "inside" not in last
    assert "ZeroDivisionError" in caplog.text
    assert len(page.runs) == 0


def test_model_that_cannot_be_loaded_is_one_sentence(page):
    page.manager.load_error = CheckpointError(
        "config.json is missing; convert the checkpoint first."
    )
    page.start()
    assert "config.json is missing; convert the checkpoint first." in page.texts()[-1]


def test_aspect_ratio_of_another_model_is_one_sentence(page):
    update = page.start(model="other", aspect_ratio="2:1")
    assert "other makes no pictures of aspect ratio" in update[STATUS]
    assert len(page.runs) == 0


def test_loading_shows_progress(page):
    page.manager.load_seconds = 0.3
    page.start()
    texts = page.texts()
    assert any("Reading the transformer · " in text for text in texts)
    assert "finished" in texts[-1]


def test_stop_while_loading_frees_the_page(page):
    gate = threading.Event()
    original = page.manager.get

    def slow(name: str, progress: Any, *_: Any, **__: Any) -> Any:
        progress("Downloading", 0.1)
        gate.wait(10)
        return original(name)

    page.manager.get = slow
    page.start()
    painting = page.paint(ALICE)
    assert "Downloading · 10%" in next(painting)[STATUS]
    page.stop(ALICE)
    assert (
        "Stopped." in [update[STATUS] for update in painting if isinstance(update[STATUS], str)][-1]
    )
    gate.set()
    assert page.pipeline.requests == []


def test_steps_may_resume_on_other_threads(page):
    """Gradio asks for every step from whichever pool thread is free."""
    page.start()
    painting = page.paint(ALICE)
    texts: list[str] = []
    ended = False

    def step() -> None:
        nonlocal ended
        update = next(painting, None)
        ended = update is None
        if update is not None and isinstance(update[STATUS], str):
            texts.append(update[STATUS])

    while not ended:
        thread = threading.Thread(target=step)
        thread.start()
        thread.join()
    assert "finished" in texts[-1]
    assert len(page.runs) == 0


def test_load_raises_the_managers_error_in_the_callers_thread(page):
    page.manager.load_error = ResourceError("No network.")
    with pytest.raises(ResourceError, match="No network"):
        list(load(page.manager, "default", threading.Event()))


def test_load_gives_the_newest_progress_then_the_pipeline(page):
    *progress, last = load(page.manager, "default", threading.Event())
    assert all(isinstance(report, Status) for report in progress)
    assert last is page.pipeline


def test_cancelled_load_gives_nothing(page):
    cancel = threading.Event()
    cancel.set()
    assert list(load(page.manager, "default", cancel)) == []


def test_run_of_the_api_does_not_block_the_page(page):
    with page.runs.running("bob", Run("default", GenerationRequest(prompt="x"))):
        page.start(ALICE)
        assert "finished" in page.texts(ALICE)[-1]


def test_timeline_is_completed_after_the_picture_and_changes_nothing_else(page):
    page.start()
    done, *after = [update for update in page.paint(ALICE) if "finished" in update[STATUS]]
    assert len(after) == 6
    assert all("value" not in update[FINISHED] for update in after)
    assert {update[STATUS] for update in after} == {done[STATUS]}
    assert all(shows(update[GENERATE], True) for update in after)
    assert all(frame["exact"] for frame in after[-1][VIEWER]["frames"])


def test_next_run_may_begin_while_the_timeline_is_completed(page):
    page.start()
    painting = page.paint(ALICE)
    while "finished" not in next(painting)[STATUS]:
        pass
    assert "Waiting" in page.start(prompt="another")[STATUS]
    later = list(painting)
    assert len(later) <= 1, "the timeline waits for nobody's turn"
    assert all(shows(update[STOP], True) for update in later), "of the next run"
    assert not any(isinstance(update[STATUS], str) for update in later), "that is the next run's"
    assert "finished" in page.texts()[-1]


def test_timeline_is_not_completed_for_long(page, monkeypatch):
    monkeypatch.setattr("infinity.ui.shared.drawing.REFINE_SECONDS", 0.0)
    page.start()
    updates = list(page.paint(ALICE))
    assert sum(not isinstance(update[STATUS], str) for update in updates) <= 1


def test_waiting_page_is_told_its_place(page):
    carol = SimpleNamespace(session_hash="carol")
    for who in (ALICE, BOB, carol):
        page.start(who)
    painting = page.paint(ALICE)
    for _ in range(3):
        next(painting)
    second, third = page.paint(BOB), page.paint(carol)
    assert "1 before you" in next(second)[STATUS]
    assert "2 before you" in next(third)[STATUS]
    list(painting)
    assert "before" not in next(second)[STATUS]
    assert "1 before you" in next(third)[STATUS]


def test_previews_are_prepared_with_the_model(page):
    page.start()
    page.texts()
    assert page.pipeline.prepared


def test_page_that_is_back_shows_the_run_as_it_is_and_goes_on_with_it(page):
    page.start()
    painting = page.paint(ALICE)
    while "Scale 3 of 7" not in next(painting)[STATUS]:
        pass
    first, *others = page.come_back()
    assert "Scale 3 of 7" in first[STATUS]
    assert sum(bool(frame["pictures"]) for frame in first[VIEWER]["frames"]) == 3
    assert shows(first[GENERATE], False)
    assert shows(first[STOP], True)
    handed = [u[FINISHED] for u in others if isinstance(u[FINISHED], FinishedRun)]
    assert len(handed) == 1
    assert list(painting) == [], "the page before it is gone"
    assert len(page.pipeline.requests) == 1


def test_page_that_is_back_is_not_handed_a_finished_run_twice(page):
    page.start()
    page.texts()
    (update,) = page.come_back()
    assert "finished" in update[STATUS]
    assert update[VIEWER]["pictures"]
    assert not isinstance(update[FINISHED], FinishedRun)


def test_page_that_is_back_shows_the_timeline_where_the_files_are_gone(page):
    page.start()
    page.texts()
    Path(page.written[0]).unlink()
    (update,) = page.come_back()
    assert update[VIEWER]["pictures"] == []
    assert update[VIEWER]["frames"][-1]["pictures"]


def test_page_that_is_back_takes_up_a_run_that_still_waits(page):
    page.start()
    assert any("finished" in u[STATUS] for u in page.come_back() if isinstance(u[STATUS], str))
    assert len(page.pipeline.requests) == 1


def test_page_that_is_back_with_nothing_drawn_changes_nothing(page):
    (update,) = page.come_back()
    assert all(part == gr.skip() for part in update.values())
