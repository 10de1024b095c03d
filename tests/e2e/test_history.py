"""The History tab, dropped files and shared links in a real browser."""

from __future__ import annotations

from typing import Any

from tests.e2e.steps import DESKTOP, HISTORY, PHONE, ask, choose_seed, open_tab, shot


def draw(page: Any, prompt: str, seed: int, count: int) -> None:
    choose_seed(page, seed)
    ask(page, prompt)
    page.wait_for_function(f"{HISTORY} === {count}")


def choose(page: Any, position: int) -> None:
    open_tab(page, "History")
    page.locator(".cards button").nth(position).click()
    page.locator(".picture-details").wait_for()


def test_history_outlives_a_reload_puts_everything_back_and_can_be_cleared(
    server, new_page, tmp_path
):
    server.gate.open()
    page = new_page(server.url)
    draw(page, "a red apple", 7, 1)
    draw(page, "a <b>castle</b>", 8, 2)
    page.reload()
    page.locator("#prompt textarea").wait_for()
    choose(page, 1)
    shot(page, "history")
    for viewport, scheme, name in ((PHONE, "light", "phone"), (DESKTOP, "dark", "dark")):
        page.set_viewport_size(viewport)
        page.emulate_media(color_scheme=scheme)
        shot(page, f"history-{name}")
        assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
    page.locator("#chosen .picture-compare").click()
    page.locator(".pictures-said").filter(has_text="now press Compare").wait_for()
    page.locator(".cards button").nth(0).click()
    page.locator(".picture-details h2").filter(has_text="castle").wait_for()
    page.locator("#chosen .picture-compare").click()
    page.locator("dialog.large .two").wait_for()
    shot(page, "history-compare")
    page.keyboard.press("Escape")
    with page.expect_download() as download:
        page.locator("[data-do=pack]").click()
    assert download.value.suggested_filename == "infinity-pictures.zip"
    with page.expect_download() as download:
        page.locator("#chosen").get_by_role("link", name="Download PNG").click()
    path = tmp_path / "castle.png"
    download.value.save_as(path)
    page.locator("#share").click()
    page.wait_for_function(
        "document.querySelector('#share-link textarea')?.value.startsWith('http')"
    )
    link = page.locator("#share-link textarea").input_value()
    page.locator("#use-settings").click()
    page.locator(".page-note").wait_for()
    assert page.locator("#prompt textarea").input_value() == "a <b>castle</b>"
    assert page.locator("#seed input").input_value() == "8"

    drawn = len(server.manager.pipelines["default"].requests)
    other = new_page(link)
    other.locator(".page-note").filter(has_text="came with the link").wait_for()
    assert other.locator("#prompt textarea").input_value() == "a <b>castle</b>"
    assert other.evaluate(HISTORY) == 0, "another browser sees none of it"
    choose_seed(other, 1)
    other.locator("#top input[type=file]").set_input_files(path)
    other.wait_for_function("document.querySelector('#seed input').value === '8'")
    other.locator(".page-note").wait_for()
    assert len(server.manager.pipelines["default"].requests) == drawn, "nothing starts by itself"

    open_tab(page, "History")
    page.locator(".keep input").uncheck()
    page.once("dialog", lambda dialog: dialog.accept())
    page.locator("[data-do=clear]").click()
    page.locator(".count").filter(has_text="No history is kept").wait_for()
    open_tab(page, "Generate")
    ask(page, "secret")
    page.locator("#stage img[alt='secret'][src*='file=']").wait_for()
    page.reload()
    page.locator("#prompt textarea").wait_for()
    assert page.evaluate(HISTORY) == 0
