"""The Grid tab in a real browser."""

from __future__ import annotations

from infinity.grid.plan import read_plan
from infinity.images import open_image
from tests.e2e.steps import DESKTOP, HISTORY, PHONE, PROMPT, kept, open_tab, opened, reload, shot


def start(page, rows: str = "1, 3") -> None:
    page.locator("#prompt textarea").fill(PROMPT)
    page.get_by_role("tab", name="Grid").click()
    page.locator(".grid-prompt").filter(has_text=f"Prompt: {PROMPT}").wait_for()
    page.locator("#grid-x-values textarea").fill("1-2")
    page.locator("#grid-y-values textarea").fill(rows)
    page.locator("#draw-grid").click()


def test_grid_streams_and_its_png_brings_the_settings_back(server, new_page, tmp_path):
    page = new_page(server.url)
    start(page)
    for count in (1, 2):
        server.gate.let(7)
        page.locator(".plot img").nth(count - 1).wait_for()
    shot(page, "grid-half")
    server.gate.open()
    page.locator("#grid-status .is-done").wait_for()
    assert page.locator(".plot img").count() == 4
    with page.expect_download() as download:
        page.get_by_role("link", name="Download the grid").click()
    path = tmp_path / "grid.png"
    download.value.save_as(path)
    plan = read_plan(open_image(path))
    assert plan is not None
    assert (plan.request.prompt, plan.shape) == (PROMPT, (2, 2))

    for viewport, scheme, name in ((DESKTOP, "dark", "grid-dark"), (PHONE, "light", "grid-phone")):
        other = new_page(server.url, viewport, scheme)
        other.locator("#top input[type=file]").set_input_files(path)
        other.locator(".page-note").wait_for()
        other.wait_for_function(
            "document.querySelector('#grid-y-values textarea')?.value === '1, 3'"
        )
        assert other.locator("#grid-x-values textarea").input_value() == "1, 2"
        shot(other, name)


def test_grid_stops_and_a_bad_list_gets_a_sentence(server, new_page):
    page = new_page(server.url)
    start(page, rows="one")
    page.locator("#grid-status [role=alert]").filter(has_text="is not a value").wait_for()
    page.locator("#grid-y-values textarea").fill("1, 3")
    page.locator("#draw-grid").click()
    server.gate.let(7)
    page.locator(".plot img").wait_for()
    page.locator("#stop-grid").click()
    server.gate.open()
    page.locator("#grid-status .message").filter(has_text="Stopped after 1 of 4").wait_for()
    page.locator("#draw-grid").wait_for()


def test_grid_goes_on_over_a_reload(server, new_page):
    page = new_page(server.url)
    kept(page)
    page.locator("#prompt textarea").fill(PROMPT)
    open_tab(page, "Grid")
    page.locator("#grid-x-values textarea").fill("1-2")
    page.locator("#grid-y-values textarea").fill("1, 3")
    page.locator("#draw-grid").click()
    server.gate.let(7 + 2)
    page.locator(".plot img").wait_for()
    reload(page)
    opened(page, "Grid")
    page.locator(".plot img").wait_for()
    page.locator("#stop-grid").wait_for()
    shot(page, "reload-grid")
    server.gate.open()
    page.locator("#grid-status .is-done").wait_for()
    assert page.locator(".plot img").count() == 4
    page.wait_for_function(f"{HISTORY} === 4")
    reload(page)
    page.locator("#grid-status .is-done").wait_for()
    assert page.locator(".plot img").count() == 4
    assert page.get_by_role("link", name="Download the grid").is_visible()
    assert page.evaluate(HISTORY) == 4
    assert len(server.manager.pipelines["default"].requests) == 4
