"""Reload, Back and a second tab in a real browser: nothing typed is lost, no run is, none is mixed up."""

from __future__ import annotations

import json
from typing import Any

import pytest

from infinity.hosting import Allowance, Hosting
from infinity.ui.shared.pages import GRACE_SECONDS
from infinity.ui.shared.runs import Runs
from tests.e2e.steps import (
    PATIENCE_MS,
    PROMPT,
    Server,
    ask,
    box,
    choose_seed,
    finished,
    open_tab,
    shot,
    status,
)
from tests.e2e.test_settings import open_all, pick, type_number
from tests.ui.fakes import FakeManager, Gate

KEPT = (
    "(() => { try { return JSON.parse(sessionStorage.getItem('infinity-page:/')) || {} }"
    " catch { return {} } })()"
)
KEPT_HISTORY = "JSON.parse(localStorage.getItem('infinity-history:/') || '[]').length"
BLOCK_STORAGE = """for (const name of ['localStorage', 'sessionStorage'])
  Object.defineProperty(window, name, {get() { throw new DOMException('blocked', 'SecurityError') }});"""
ALL_LINES = """(() => { const text = document.querySelector('#prompt textarea');
  return text.offsetHeight >= text.scrollHeight })()"""
EMPTY = "document.querySelector('#prompt textarea')?.value === ''"


def prompt_of(page: Any) -> str:
    return page.locator("#prompt textarea").input_value()


def kept(page: Any) -> None:
    """Wait until the page keeps what is changed, and knows its key."""
    page.wait_for_function(f"Boolean({KEPT}.key)")


def reload(page: Any) -> None:
    page.reload()
    page.locator("#prompt textarea").wait_for(state="attached")
    kept(page)


def opened(page: Any, tab: str) -> None:
    page.locator(f"[role=tab][aria-selected=true]:has-text('{tab}')").wait_for()


def asked(server: Server) -> list[str]:
    return [request.prompt for request in server.manager.pipelines["default"].requests]


def test_reload_keeps_every_setting_of_generate_and_grid(server, new_page):
    page = new_page(server.url)
    kept(page)
    page.locator("#prompt textarea").fill("two owls\nin a <b>forest</b>")
    open_all(page)
    pick(page, "aspect-ratio", "2:1")
    page.locator("#style input").click()
    page.get_by_role("option", name="Watercolour").click()
    choose_seed(page, 41)
    pick(page, "seed-mode", "+1")
    for name, value in (("num-images", 3), ("guidance", 4.5), ("temperature", 0.7), ("top-p", 0.9)):
        type_number(page, name, value)
    pick(page, "guidance-mode", "Pyramid")
    type_number(page, "guidance-last", 7)
    pick(page, "temperature-mode", "Custom")
    page.locator("#temperature-list input, #temperature-list textarea").fill("1, 0.5, half typed")
    page.locator("#negative-prompt textarea").fill("snow")
    page.locator("#top-k input").fill("2")
    page.locator("#guidance-layers input, #guidance-layers textarea").fill("0, -1")
    page.locator("#guided-scales input, #guided-scales textarea").fill("4")
    open_tab(page, "Grid")
    page.locator("#grid-x input").click()
    page.get_by_role("option", name="Temperature").first.click()
    page.wait_for_function(f"{KEPT}.values.x_values.startsWith('0.5-1')")
    page.locator("#grid-x-values textarea").fill("0.5, 1")
    page.locator("#grid-y-values textarea").fill("2, 4, 6")
    page.wait_for_timeout(300)
    before = page.evaluate(f"{KEPT}.values")
    expected = {
        "prompt": "two owls\nin a <b>forest</b>", "aspect_ratio": "2:1", "seed": 41,
        "seed_mode": "+1", "num_images": 3, "guidance": 4.5, "guidance_mode": "pyramid",
        "guidance_last": 7, "temperature": 0.7, "temperature_mode": "custom",
        "temperature_list": "1, 0.5, half typed", "negative_prompt": "snow", "top_k": 2,
        "top_p": 0.9, "guidance_layers": "0, -1", "guided_scales": "4", "x": "temperature",
        "x_values": "0.5, 1", "y": "guidance", "y_values": "2, 4, 6",
    }  # fmt: skip
    assert before | expected == before
    assert before["style"]

    reload(page)
    opened(page, "Grid")
    page.locator("#grid-x-values textarea").wait_for()
    assert page.locator("#grid-x input").input_value() == "Temperature"
    assert page.locator("#grid-x-values textarea").input_value() == "0.5, 1"
    assert page.locator("#grid-y-values textarea").input_value() == "2, 4, 6"
    open_tab(page, "Generate")
    open_all(page)
    assert prompt_of(page) == "two owls\nin a <b>forest</b>"
    page.wait_for_function(ALL_LINES)
    assert page.locator("#style input").input_value() == "Watercolour"
    assert page.locator("#temperature-list input, #temperature-list textarea").is_visible()
    assert page.locator("#guidance-last input[type=number]").input_value() == "7"
    assert page.locator("#aspect-ratio label.selected").inner_text().startswith("2:1")
    assert page.evaluate(f"{KEPT}.values") == before
    shot(page, "reload-settings")

    page.locator("#temperature-list input, #temperature-list textarea").fill("1, 0.5")
    server.gate.open()
    page.locator("#generate").click()
    finished(page)
    (request,) = server.manager.pipelines["default"].requests
    assert (request.seed, request.num_images, request.aspect_ratio) == (42, 3, "2:1")
    assert (request.guidance[0], request.guidance[-1]) == (4.5, 7.0)
    assert (request.temperature, request.top_k, request.guidance_layers) == ((1.0, 0.5), 2, (0, -1))


def test_reload_before_a_word_reaches_the_server_keeps_it(server, new_page):
    page = new_page(server.url)
    kept(page)
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url))
    page.locator("#prompt textarea").press_sequentially("secret words")
    page.wait_for_timeout(300)
    assert sent == [], "nothing is asked of the server as somebody types"
    page.reload()
    page.wait_for_function("document.querySelector('#prompt textarea')?.value === 'secret words'")
    kept(page)
    assert not [url for url in sent if "secret" in url]
    key = page.evaluate(f"{KEPT}.key")
    page.locator("#prompt textarea").press("Enter")
    server.gate.open()
    finished(page)
    reload(page)
    finished(page)
    assert len(key) * 6 >= 128
    assert not [url for url in sent if key in url]


@pytest.mark.parametrize("scales", [0, 1, 4])
def test_reload_in_mid_run_goes_on_with_it(server, new_page, scales):
    page = new_page(server.url)
    kept(page)
    ask(page)
    if scales:
        server.gate.let(scales)
    text = f"Scale {scales or 1} of 7"
    status(page, text)
    reload(page)
    status(page, text)
    assert prompt_of(page) == PROMPT
    page.locator("#stop").wait_for()
    page.locator("#generate").wait_for(state="hidden")
    assert page.locator("#stage img").count() == min(scales, 1)
    shot(page, f"reload-mid-run-{scales}")
    server.gate.let(5 - scales)
    status(page, "Scale 5 of 7")
    reload(page)
    status(page, "Scale 5 of 7")
    server.gate.open()
    finished(page)
    assert asked(server) == [PROMPT], "it was drawn once"
    assert page.locator("#stage img").get_attribute("alt") == PROMPT
    page.wait_for_function(f"{KEPT_HISTORY} === 1")


def test_run_can_be_stopped_after_a_reload(server, new_page):
    page = new_page(server.url)
    kept(page)
    ask(page)
    server.gate.let(2)
    status(page, "Scale 2 of 7")
    reload(page)
    status(page, "Scale 2 of 7")
    page.locator("#stop").click()
    page.locator("#stop").filter(has_text="Stopping").wait_for()
    server.gate.open()
    status(page, "Stopped after scale 2 of 7.")
    reload(page)
    status(page, "Stopped after scale 2 of 7.")
    assert page.locator("#stage img").count() == 1
    page.locator("#generate").wait_for()
    ask(page, "the next")
    finished(page)


def test_reload_after_a_run_shows_its_pictures_and_adds_nothing_to_the_history(server, new_page):
    server.gate.open()
    page = new_page(server.url)
    kept(page)
    type_number(page, "num-images", 2)
    ask(page)
    finished(page)
    page.wait_for_function(f"{KEPT_HISTORY} === 2")
    sources = page.locator("#stage img").evaluate_all("all => all.map(image => image.src)")
    for _ in range(2):
        reload(page)
        finished(page)
        shown = page.locator("#stage img")
        page.wait_for_function("document.querySelectorAll('#stage img').length === 2")
        assert shown.evaluate_all("all => all.map(image => image.src)") == sources
        assert page.locator(".strip li.drawn").count() == 7
        assert page.get_by_role("link", name="Download PNG").count() == 2
        assert page.evaluate(KEPT_HISTORY) == 2
    page.wait_for_function("document.querySelector('#stage img').naturalWidth > 0")
    shot(page, "reload-after-run")


def test_waiting_run_keeps_its_place_over_a_reload(server, new_page):
    first, second = new_page(server.url), new_page(server.url)
    kept(second)
    ask(first, "the first")
    server.gate.let(1)
    status(first, "Scale 1 of 7")
    ask(second, "the second")
    status(second, "1 before you")
    reload(second)
    status(second, "1 before you")
    second.locator("#stop").wait_for()
    server.gate.open()
    finished(first)
    finished(second)
    assert asked(server) == ["the first", "the second"]


def test_reload_again_and_again_draws_once_and_loses_nothing(server, new_page):
    page = new_page(server.url)
    page.locator("#prompt textarea").fill("typed at once")
    page.reload()  # before the page knows its key
    page.wait_for_function("document.querySelector('#prompt textarea')?.value === 'typed at once'")
    kept(page)
    page.locator("#prompt textarea").press("Enter")
    status(page, "Scale 1 of 7")
    seed = page.locator("#seed input").input_value()
    for _ in range(4):
        page.reload(wait_until="domcontentloaded")
    reload(page)
    status(page, "Scale 1 of 7")
    page.reload(wait_until="domcontentloaded")
    server.gate.open()
    finished(page)
    assert page.locator("#seed input").input_value() == seed
    (request,) = server.manager.pipelines["default"].requests
    assert (request.prompt, str(request.seed)) == ("typed at once", seed)


def test_reload_while_a_model_is_loaded_goes_on(server, new_page):
    page = new_page(server.url)
    kept(page)
    server.manager.load_seconds = 3.0
    ask(page)
    status(page, "Reading the transformer")
    reload(page)
    page.locator("#stop").wait_for()
    server.gate.open()
    finished(page)
    assert asked(server) == [PROMPT]


def test_coming_back_late_shows_what_was_drawn_until_then(server, new_page):
    page = new_page(server.url)
    kept(page)
    ask(page)
    server.gate.let(3)
    status(page, "Scale 3 of 7")
    server.runs.pages.grace_s = 0.1
    try:
        page.goto("about:blank")
        server.gate.open()
        server.wait_until_idle()
        page.go_back()
        status(page, "Stopped after scale")
        assert page.locator("#stage img").count() == 1
        assert prompt_of(page) == PROMPT
    finally:
        server.runs.pages.grace_s = GRACE_SECONDS


def test_public_page_without_history_keeps_its_own_tab(files_folder, new_page):
    hosting = Hosting(public=True, history=False, warm_up=False)
    server = Server(FakeManager(Gate()), Runs(Allowance(hosting)))
    try:
        page = new_page(server.url)
        kept(page)
        ask(page)
        server.gate.let(2)
        status(page, "Scale 2 of 7")
        reload(page)
        status(page, "Scale 2 of 7")
        server.gate.open()
        finished(page)
        reload(page)
        finished(page)
        assert page.locator("#stage img").get_attribute("alt") == PROMPT
        assert page.evaluate("localStorage.length") == 0
        page.goto(server.url + "#history")
        opened(page, "Generate")
        other = new_page(server.url)
        kept(other)
        assert other.evaluate(EMPTY)
    finally:
        server.app.close()


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
    page.wait_for_function(f"{KEPT_HISTORY} === 4")
    reload(page)
    page.locator("#grid-status .is-done").wait_for()
    assert page.locator(".plot img").count() == 4
    assert page.get_by_role("link", name="Download the grid").is_visible()
    assert page.evaluate(KEPT_HISTORY) == 4
    assert len(asked(server)) == 4


def test_tab_closed_for_good_frees_the_machine(server, new_page):
    server.runs.pages.grace_s = 0.5
    try:
        page = new_page(server.url)
        kept(page)
        ask(page, "left alone")
        server.gate.let(1)
        status(page, "Scale 1 of 7")
        page.close()
        assert server.manager.pipelines["default"].cancel.wait(PATIENCE_MS / 1000)
        server.gate.let(1)
        server.wait_until_idle()
        other = new_page(server.url)
        server.gate.open()
        ask(other)
        finished(other)
    finally:
        server.runs.pages.grace_s = GRACE_SECONDS


def test_copy_of_a_tab_is_a_tab_of_its_own(server, new_page):
    page = new_page(server.url)
    kept(page)
    ask(page, "mine")
    server.gate.let(1)
    status(page, "Scale 1 of 7")
    copied = page.evaluate("sessionStorage.getItem('infinity-page:/')")
    with page.context.expect_page() as opening:
        page.evaluate("open(location.href)")  # with a copy of this tab's storage, as Duplicate does
    copy = opening.value
    copy.locator("#prompt textarea").wait_for()
    copy.wait_for_function(f"{KEPT}.key !== {json.dumps(json.loads(copied)['key'])}")
    copy.wait_for_function("document.querySelector('#prompt textarea').value === 'mine'")
    assert copy.locator("#stage img").count() == 0, "the run is the other tab's"
    copy.locator("#prompt textarea").fill("the copy's")
    server.gate.open()
    finished(page)
    ask(copy, "the copy's")
    finished(copy)
    for tab, prompt in ((page, "mine"), (copy, "the copy's")):
        reload(tab)
        finished(tab)
        tab.locator(f"#stage img[alt={json.dumps(prompt)}]").wait_for()
        assert prompt_of(tab) == prompt


def test_another_browser_sees_nothing_of_it(server, new_page):
    server.gate.open()
    page = new_page(server.url)
    kept(page)
    ask(page)
    finished(page)
    other = new_page(server.url)
    kept(other)
    assert other.evaluate(EMPTY)
    assert other.locator("#stage img").count() == 0


def test_page_without_storage_works_as_ever(server, new_page):
    page = new_page(server.url)
    page.add_init_script(BLOCK_STORAGE)
    page.reload()
    page.locator("#prompt textarea").wait_for()
    server.gate.open()
    ask(page)
    finished(page)
    page.reload()
    page.wait_for_function(EMPTY)
    ask(page, "once more")
    finished(page)
    assert asked(server) == [PROMPT, "once more"]


@pytest.mark.parametrize(
    "text",
    [
        "{", "null", "[]", '"x"', '{"values": 7, "key": {}}',
        '{"values": {"prompt": {}, "seed": "x", "guidance": 99, "aspect_ratio": "9:9", "style": null,'
        ' "seed_mode": "Never", "x": "nothing", "top_p": null, "num_images": -1}, "key": 5}',
    ],
)  # fmt: skip
def test_damaged_storage_is_ignored(server, new_page, text):
    page = new_page(server.url)
    page.add_init_script(
        f"if (!sessionStorage.getItem('tried')) {{ sessionStorage.setItem('tried', 'yes');"
        f" sessionStorage.setItem('infinity-page:/', {json.dumps(text)}) }}"
    )
    page.reload()
    page.locator("#prompt textarea").wait_for()
    kept(page)
    server.gate.open()
    ask(page)
    finished(page)
    (request,) = server.manager.pipelines["default"].requests
    spec = server.manager.spec("default")
    assert request.sampling(spec.sampling) == spec.sampling
    assert (request.aspect_ratio, request.num_images) == ("1:1", 1)


def test_other_model_comes_back_with_its_own_ratios(server, new_page):
    page = new_page(server.url)
    kept(page)
    page.locator("#model input").click()
    page.get_by_role("option", name="Another model").click()
    page.get_by_role("radio", name="1:2 96×192").check(force=True)
    type_number(page, "guidance", 2.5)
    page.locator("#prompt textarea").fill(PROMPT)
    page.wait_for_timeout(300)
    reload(page)
    page.locator("#aspect-ratio label.selected").filter(has_text="1:2").wait_for()
    assert page.locator("#model input").input_value() == "Another model"
    assert page.get_by_role("radio", name="2:1").count() == 0
    server.gate.open()
    page.locator("#generate").click()
    finished(page)
    (request,) = server.manager.pipelines["other"].requests
    assert (request.prompt, request.aspect_ratio, request.guidance) == (PROMPT, "1:2", 2.5)
    for link, model in (("?sed=1", "Another model"), ("?prompt=a+boat", "Infinity emoji")):
        page.goto(server.url + link)
        page.locator(".page-note").wait_for()
        kept(page)
        assert page.locator("#model input").input_value() == model


def test_kept_model_that_is_gone_is_told_and_dropped(server, new_page):
    page = new_page(server.url)
    kept(page)
    page.locator("#prompt textarea").fill(PROMPT)
    type_number(page, "guidance", 9)
    page.wait_for_timeout(300)
    page.evaluate(
        f"() => {{ const found = {KEPT}; found.values.model = 'gone'; window.kept = found }}"
    )
    page.evaluate(
        "() => addEventListener('pagehide', () => "
        "sessionStorage.setItem('infinity-page:/', JSON.stringify(window.kept)))"
    )
    reload(page)
    page.locator(".page-note").filter(has_text="not on offer any more").wait_for()
    assert prompt_of(page) == PROMPT
    assert page.locator("#guidance input[type=number]").input_value() == "3"
    shot(page, "reload-model-gone")
    server.gate.open()
    ask(page)
    finished(page)


def test_link_wins_once_and_a_reload_keeps_what_came_after(server, new_page):
    page = new_page(server.url)
    kept(page)
    ask_link = f"{server.url}?prompt=a+blue+boat&seed=5&guidance=2"
    page.locator("#prompt textarea").fill("typed before")
    page.wait_for_timeout(300)
    page.goto(ask_link)
    page.locator(".page-note").filter(has_text="came with the link").wait_for()
    assert prompt_of(page) == "a blue boat"
    kept(page)
    page.locator("#prompt textarea").fill("typed after")
    page.wait_for_timeout(300)
    reload(page)
    assert prompt_of(page) == "typed after"
    assert page.locator("#seed input").input_value() == "5"
    page.goto("about:blank")
    page.go_back()
    page.wait_for_function("document.querySelector('#prompt textarea')?.value === 'typed after'")
    page.goto(ask_link)
    page.locator(".page-note").filter(has_text="came with the link").wait_for()
    assert prompt_of(page) == "a blue boat"


def test_opened_png_wins_over_kept_settings_and_is_kept(server, new_page, tmp_path):
    server.gate.open()
    page = new_page(server.url)
    kept(page)
    choose_seed(page, 8)
    ask(page, "a castle")
    finished(page)
    with page.expect_download() as download:
        page.get_by_role("link", name="Download PNG").click()
    download.value.save_as(tmp_path / "castle.png")
    page.locator("#prompt textarea").fill("something else")
    page.locator("#top input[type=file]").set_input_files(tmp_path / "castle.png")
    page.locator(".page-note").wait_for()
    page.wait_for_function(f"{KEPT}.values.prompt === 'a castle'")
    reload(page)
    assert (prompt_of(page), page.locator("#seed input").input_value()) == ("a castle", "8")


def test_back_goes_to_the_tab_before_and_forward_returns(server, new_page):
    page = new_page(server.url)
    kept(page)
    page.locator("#prompt textarea").fill(PROMPT)
    for tab, hash_ in (("Grid", "#grid"), ("Models", "#models"), ("API", "#api")):
        open_tab(page, tab)
        page.wait_for_function("hash => location.hash === hash", arg=hash_)
    for tab in ("Models", "Grid", "Generate"):
        page.go_back()
        opened(page, tab)
    assert page.url == server.url
    assert prompt_of(page) == PROMPT, "the page was not left"
    page.go_forward()
    opened(page, "Grid")
    page.evaluate("location.hash = '#history'")
    opened(page, "History")


def test_link_to_a_tab_opens_it(server, new_page):
    page = new_page(server.url)
    links = {"#grid": "Grid", "#history": "History", "#models": "Models", "#nonsense": "Generate"}
    for link, tab in links.items():
        page.goto("about:blank")
        page.goto(server.url + link)
        opened(page, tab)
        page.wait_for_timeout(500)
        opened(page, tab)


def test_settings_used_again_can_be_gone_back_from(server, new_page):
    server.gate.open()
    page = new_page(server.url)
    kept(page)
    ask(page)
    finished(page)
    open_tab(page, "History")
    page.locator(".cards button").first.click()
    page.locator("#use-settings").hover()  # scrolls as a click does
    before = box(page, "#use-settings")
    page.locator("#use-settings").click()
    opened(page, "Generate")
    page.wait_for_function("location.hash === ''")
    page.go_back()
    opened(page, "History")
    assert abs(box(page, "#use-settings")["y"] - before["y"]) < 2, "nothing jumps"
