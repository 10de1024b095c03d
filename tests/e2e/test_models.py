"""The Models tab as a person uses it: look, load, switch, unload; and prompt help."""

from __future__ import annotations

from typing import Any

from tests.e2e.steps import ask, finished, shot
from tests.stub_chat import stub_chat


def open_models(page: Any) -> None:
    page.get_by_role("tab", name="Models").click()
    page.locator("#models-plan dl").wait_for()


def choose(page: Any, title: str) -> None:
    page.locator("#models-choice input").click()
    page.get_by_role("option", name=title).click()


def said(page: Any, text: str) -> None:
    page.locator("#models-status .message").filter(has_text=text).wait_for()


def test_model_is_looked_at_loaded_used_and_unloaded(server, new_page):
    page = new_page(server.url)
    open_models(page)
    page.locator("#models-table").filter(has_text="No model is in memory").wait_for()
    choose(page, "Another model")
    page.locator("#models-plan").filter(has_text="5.0 GB on cpu").wait_for()
    assert server.manager.in_memory == [], "looking loads nothing"
    server.manager.load_seconds = 60.0  # until it was seen
    page.get_by_role("button", name="Load and use").click()
    said(page, "Reading the transformer")
    server.manager.load_seconds = 0.0
    said(page, "Another model is loaded and chosen.")
    page.locator("#models-table").filter(has_text="1.5 GB").wait_for()
    shot(page, "models")
    server.gate.open()
    page.get_by_role("tab", name="Generate").click()
    ask(page)
    finished(page)
    assert len(server.manager.pipelines["other"].requests) == 1
    page.get_by_role("tab", name="Models").click()
    page.get_by_role("button", name="Unload").click()
    said(page, "Another model is unloaded.")
    assert server.manager.in_memory == []

    page.locator("#models-memory-mode label").filter(has_text="Least memory").click()
    page.locator("#models-memory-mode").filter(has_text="decoded in strips").wait_for()

    # An obstacle is told before the click.
    server.manager.obstacle = "The weights cannot be downloaded: check the network connection."
    choose(page, "Infinity emoji")
    page.locator("#models-plan [role=alert]").filter(has_text="check the network").wait_for()
    assert page.get_by_role("button", name="Load and use").is_disabled()


def test_suggestion_is_read_changed_and_taken(server, new_page):
    with stub_chat() as stub:
        page = new_page(server.url)
        page.locator("#prompt textarea").fill("a fox")
        page.get_by_role("button", name="Prompt help").click()
        page.locator("#help-kind label").filter(has_text="A server").click()
        page.locator("#help-model").get_by_role("textbox").fill("some-model")
        page.locator("#help-address").get_by_role("textbox").fill(stub.url)
        page.get_by_role("button", name="Improve my prompt").click()
        suggestion = page.locator("#help-suggestion textarea")
        suggestion.wait_for()
        assert suggestion.input_value() == stub.answer
        assert page.locator("#prompt textarea").input_value() == "a fox", "never silent"
        shot(page, "prompt-help")
        suggestion.fill("a red fox in the snow")
        page.get_by_role("button", name="Use this prompt").click()
        page.wait_for_function(
            "document.querySelector('#prompt textarea').value === 'a red fox in the snow'"
        )
