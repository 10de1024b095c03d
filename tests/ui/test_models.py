"""The Models tab's handlers and texts."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest

from infinity.errors import ResourceError
from infinity.ui.models.tab import ModelsTab, loaded_html, plan_html, size
from tests.ui.fakes import FakeManager, make_context, models_tab, tabs_of

ALICE: Any = SimpleNamespace(session_hash="alice")


class Tab:
    """The handlers of the tab, whose updates are read by name."""

    def __init__(self) -> None:
        self.manager: Any = FakeManager()
        context = make_context(self.manager)
        self.models = context.models
        controls = tabs_of(context)[0].controls
        self.events = models_tab(context, controls)
        names = ("table", "memory_mode", "plan", "status", "load")
        parts = {name: getattr(self.events, name) for name in names}
        self.unload = self.events.unload
        named = controls | parts
        self.names = {component: name for name, component in named.items()}

    def named(self, updates: dict[Any, Any]) -> dict[str, Any]:
        return {self.names[component]: update for component, update in updates.items()}

    def look(self, name: str) -> dict[str, Any]:
        return self.named(self.events.look(name))

    def load(self, name: str = "other", memory_mode: str = "none") -> list[dict[str, Any]]:
        return list(map(self.named, self.events.load_model(ALICE, name, memory_mode, "1:1", "")))


@pytest.fixture
def tab() -> Tab:
    return Tab()


def test_empty_memory_is_told_in_words(tab):
    assert "No model is in memory" in tab.look("default")["table"]


def test_loaded_models_are_listed_the_newest_first(tab):
    tab.manager.get("other")
    tab.manager.get("default")
    table = tab.look("default")["table"]
    assert table.index("Infinity emoji") < table.index("Another model")
    for fact in ("1.5 GB", "float32", "cpu", "3.0 GB altogether"):
        assert fact in table


def test_need_is_shown_before_loading(tab):
    update = tab.look("other")
    memory_mode, plan, button = update["memory_mode"], update["plan"], update["load"]
    assert tab.manager.in_memory == []
    assert memory_mode["value"] == "none"
    for fact in ("5.0 GB on cpu, float32", "8.0 GB free of 8.0 GB", "nothing"):
        assert fact in plan
    assert "alert" not in plan
    assert button["interactive"] is True


def test_too_little_memory_is_told_but_not_forbidden(tab):
    tab.manager.free = 4 * 10**9
    update = tab.look("other")
    plan, button = update["plan"], update["load"]
    assert "more than the free memory" in plan
    assert button["interactive"] is True


def test_obstacle_is_told_and_the_button_is_off(tab):
    tab.manager.obstacle = "The network cannot be reached; <check> it."
    update = tab.look("other")
    plan, button = update["plan"], update["load"]
    assert "cannot be reached; &lt;check&gt; it." in plan
    assert button["interactive"] is False


def test_loading_shows_progress_and_switches_the_generate_tab(tab):
    tab.manager.load_seconds = 0.3
    updates = tab.load(memory_mode="some")
    texts = [update["status"] for update in updates]
    assert any("Reading the transformer · " in text for text in texts)
    assert "Another model is loaded and chosen." in texts[-1]
    assert updates[-1]["model"]["value"] == "other"
    assert tab.manager.in_memory == ["other"]
    assert tab.manager.memory_mode_of("other") == "some"


def test_obstacle_stops_a_load_before_it_begins(tab):
    tab.manager.obstacle = "The disk is full."
    (update,) = tab.load()
    assert "The disk is full." in update["status"]
    assert tab.manager.in_memory == []


@pytest.mark.parametrize(
    ("error", "text"),
    [(ResourceError("No network."), "No network."), (ZeroDivisionError("x"), "unexpected")],
)
def test_failed_load_is_one_sentence_and_changes_no_control(tab, error, text):
    tab.manager.load_error = error
    last = tab.load()[-1]
    assert text in last["status"]
    assert 'role="alert"' in last["status"]
    assert set(last) == {"status", "load"}
    assert last["load"]["interactive"] is True


def test_unload_says_what_it_did(tab):
    tab.manager.get("other")
    assert "Another model is unloaded." in tab.unload("other")
    assert "Another model was not loaded." in tab.unload("other")


def test_released_text_encoder_is_told(tab):
    tab.manager.get("other")
    (loaded,) = tab.manager.loaded()
    assert "not loaded" in loaded_html((replace(loaded, text_place=""),), tab.models)


def test_host_memory_shows_where_it_is_another(tab):
    plan = tab.manager.plan("other")
    assert "Ordinary memory besides" not in plan_html(plan)
    assert "Ordinary memory besides" in plan_html(
        replace(plan, need=replace(plan.need, host=10**9))
    )


@pytest.mark.parametrize(
    ("nbytes", "text"),
    [
        (0, "0 kB"),
        (1200, "1 kB"),
        (38_000_000, "38 MB"),
        (999_600_000, "1.0 GB"),
        (12_340_000_000, "12.3 GB"),
    ],
)
def test_sizes_are_short(nbytes, text):
    assert size(nbytes) == text


def test_budget_the_host_set_is_shown(tab):
    tab.manager.memory_budget = 5_300_000_000
    with gr.Blocks() as page, gr.Tab() as own:
        ModelsTab(tab.events.context, own, tab.events.controls)
    (field,) = (block for block in page.blocks.values() if isinstance(block, gr.Number))
    assert field.value == 5.3
