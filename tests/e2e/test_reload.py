"""Reload, Back and a second tab in a real browser: nothing typed is lost, no run is, none is mixed up."""

from __future__ import annotations

import json
from typing import Any

import pytest

from infinity.hosting import Allowance, Hosting
from infinity.ui.shared.pages import GRACE_SECONDS
from infinity.ui.shared.runs import Runs
from tests.e2e.steps import (
    HISTORY,
    KEPT,
    PATIENCE_MS,
    PROMPT,
    Server,
    ask,
    box,
    choose_seed,
    finished,
    kept,
    open_tab,
    opened,
    reload,
    shot,
    status,
)
from tests.e2e.test_settings import type_number
from tests.ui.fakes import FakeManager, Gate

BLOCK_STORAGE = """for (const name of ['localStorage', 'sessionStorage'])
  Object.defineProperty(window, name, {get() { throw new DOMException('blocked', 'SecurityError') }});"""
EMPTY = "document.querySelector('#prompt textarea')?.value === ''"


def prompt_of(page: Any) -> str:
    return page.locator("#prompt textarea").input_value()


def asked(server: Server) -> list[str]:
    return [request.prompt for request in server.manager.pipelines["default"].requests]


def test_reload_before_a_word_reaches_the_server_keeps_it(server, new_page):
    page = new_page(server.url)
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url))
    page.locator("#prompt textarea").fill("typed at once")
    page.reload()  # before the page knows its key
    page.wait_for_function("document.querySelector('#prompt textarea')?.value === 'typed at once'")
    kept(page)
    page.wait_for_timeout(300)
    sent.clear()
    page.locator("#prompt textarea").fill("")
    page.locator("#prompt textarea").press_sequentially("secret words")
    page.wait_for_timeout(300)
    calls = [url for url in sent if "/gradio_api/" in url]  # a font may come late
    assert calls == [], "nothing is asked of the server as somebody types"
    page.reload()
    page.wait_for_function("document.querySelector('#prompt textarea')?.value === 'secret words'")
    kept(page)
    assert not [url for url in sent if "secret" in url]
    key = page.evaluate(f"{KEPT}.key")
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
    assert (request.prompt, str(request.seed)) == ("secret words", seed), "it was drawn once"
    assert len(key) * 6 >= 128
    assert not [url for url in sent if key in url]


def test_reload_in_mid_run_goes_on_with_it(server, new_page):
    page = new_page(server.url)
    kept(page)
    type_number(page, "num-images", 2)
    ask(page)
    for done in (0, 1, 4):
        status(page, text := f"Scale {done or 1} of 7")
        reload(page)
        status(page, text)
        assert prompt_of(page) == PROMPT
        page.locator("#stop").wait_for()
        page.locator("#generate").wait_for(state="hidden")
        assert page.locator("#stage img").count() == min(done, 1) * 2
        shot(page, f"reload-mid-run-{done}")
        server.gate.let({0: 1, 1: 3, 4: 3}[done])
    finished(page)
    assert asked(server) == [PROMPT], "it was drawn once"
    page.wait_for_function(f"{HISTORY} === 2")
    sources = page.locator("#stage img").evaluate_all("all => all.map(image => image.src)")
    for _ in range(2):  # nothing is added to the history
        reload(page)
        finished(page)
        shown = page.locator("#stage img")
        page.wait_for_function("document.querySelectorAll('#stage img').length === 2")
        assert shown.evaluate_all("all => all.map(image => image.src)") == sources
        assert shown.first.get_attribute("alt") == PROMPT
        assert page.locator(".strip li.drawn").count() == 7
        assert page.get_by_role("link", name="Download PNG").count() == 2
        assert page.evaluate(HISTORY) == 2
    page.wait_for_function("document.querySelector('#stage img').naturalWidth > 0")
    shot(page, "reload-after-run")

    type_number(page, "num-images", 1)
    ask(page, "stopped after a reload")
    server.gate.let(2)
    status(page, "Scale 2 of 7")
    reload(page)
    status(page, "Scale 2 of 7")
    page.locator("#stop").click()
    page.locator("#stop").filter(has_text="Stopping").wait_for()
    server.gate.let(1)
    status(page, "Stopped after scale 2 of 7.")
    reload(page)
    status(page, "Stopped after scale 2 of 7.")
    assert page.locator("#stage img").count() == 1
    page.locator("#generate").wait_for()

    ask(page, "come back late")
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
        assert prompt_of(page) == "come back late"
    finally:
        server.runs.pages.grace_s = GRACE_SECONDS
    ask(page, "the next")
    finished(page)


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


def test_copy_of_a_tab_and_another_browser_are_tabs_of_their_own(server, new_page):
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
    server.gate.let(6)
    finished(page)
    server.gate.let(7)
    ask(copy, "the copy's")
    finished(copy)
    for tab, prompt in ((page, "mine"), (copy, "the copy's")):
        reload(tab)
        finished(tab)
        tab.locator(f"#stage img[alt={json.dumps(prompt)}]").wait_for()
        assert prompt_of(tab) == prompt
    other = new_page(server.url)
    kept(other)
    assert other.evaluate(EMPTY)
    assert other.locator("#stage img").count() == 0

    server.runs.pages.grace_s = 0.5
    try:
        ask(page, "left alone")
        server.gate.let(1)
        status(page, "Scale 1 of 7")
        page.close()  # for good
        assert server.manager.pipelines["default"].cancel.wait(PATIENCE_MS / 1000)
        server.gate.let(1)
        server.wait_until_idle()
        server.gate.open()
        ask(other)
        finished(other)
    finally:
        server.runs.pages.grace_s = GRACE_SECONDS


def test_page_without_storage_works_as_ever(server, new_page):
    page = new_page(server.url, script=BLOCK_STORAGE)
    server.gate.open()
    ask(page)
    finished(page)
    page.reload()
    page.wait_for_function(EMPTY)
    ask(page, "once more")
    finished(page)
    assert asked(server) == [PROMPT, "once more"]


DAMAGED = (
    "{", "null", "[]", '"x"', '{"values": 7, "key": {}}',
    '{"values": {"prompt": {}, "seed": "x", "guidance": 99, "aspect_ratio": "9:9", "style": null,'
    ' "seed_mode": "Never", "x": "nothing", "top_p": null, "num_images": -1}, "key": 5}',
)  # fmt: skip


def test_damaged_storage_is_ignored(server, new_page):
    texts = f"const texts = {json.dumps(DAMAGED)}, next = Number(localStorage.getItem('next'));"
    page = new_page(
        server.url,
        script=texts + "localStorage.setItem('next', next + 1);"
        "sessionStorage.setItem('infinity-page:/', texts[next])",
    )
    server.gate.open()
    for count in range(1, len(DAMAGED) + 1):
        kept(page)
        ask(page)
        finished(page)
        request = server.manager.pipelines["default"].requests[-1]
        spec = server.manager.spec("default")
        assert request.sampling(spec.sampling) == spec.sampling
        assert (request.aspect_ratio, request.num_images) == ("1:1", 1)
        assert page.evaluate("Number(localStorage.getItem('next'))") == count
        if count < len(DAMAGED):
            page.reload()
            page.locator("#prompt textarea").wait_for()


def test_other_model_is_loaded_comes_back_with_its_own_ratios_and_may_be_gone(server, new_page):
    page = new_page(server.url)
    kept(page)
    page.wait_for_function("document.querySelectorAll('#aspect-ratio label').length === 2")
    shape = page.evaluate(
        "getComputedStyle(document.querySelectorAll('#aspect-ratio label')[1], '::before').width"
        " + getComputedStyle(document.querySelectorAll('#aspect-ratio label')[1], '::before').height"
    )
    assert shape == "24px12px"
    page.locator("#model input").click()
    page.get_by_role("option", name="Another model").click()
    page.get_by_role("radio", name="1:2 96×192").check(force=True)
    assert page.get_by_role("radio", name="2:1").count() == 0
    type_number(page, "guidance", 2.5)
    page.locator("#prompt textarea").fill(PROMPT)
    page.wait_for_function(f"{KEPT}.values.prompt === '{PROMPT}'")
    reload(page)
    page.locator("#aspect-ratio label.selected").filter(has_text="1:2").wait_for()
    assert page.locator("#model input").input_value() == "Another model"
    assert page.get_by_role("radio", name="2:1").count() == 0

    server.manager.load_seconds = 60.0  # until it was seen, before and after
    page.locator("#generate").click()
    status(page, "Reading the transformer · ")
    reload(page)
    page.locator("#stop").wait_for()
    status(page, "Reading the transformer · ")
    server.manager.load_seconds = 0.0
    server.gate.open()
    finished(page)
    (request,) = server.manager.pipelines["other"].requests
    assert (request.prompt, request.aspect_ratio, request.guidance) == (PROMPT, "1:2", 2.5)
    size = box(page, "#stage img")
    assert size["height"] == pytest.approx(2 * size["width"], rel=0.02)
    for link, model in (("?sed=1", "Another model"), ("?prompt=a+boat", "Infinity emoji")):
        page.goto(server.url + link)
        page.locator(".page-note").wait_for()
        kept(page)
        assert page.locator("#model input").input_value() == model

    type_number(page, "guidance", 9)
    page.wait_for_function(f"{KEPT}.values.guidance === 9")
    page.evaluate(
        f"() => {{ const found = {KEPT}; found.values.model = 'gone'; window.kept = found }}"
    )
    page.evaluate(
        "() => addEventListener('pagehide', () => "
        "sessionStorage.setItem('infinity-page:/', JSON.stringify(window.kept)))"
    )
    reload(page)
    page.locator(".page-note").filter(has_text="not on offer any more").wait_for()
    assert prompt_of(page) == "a boat"
    assert page.locator("#guidance input[type=number]").input_value() == "3"
    shot(page, "reload-model-gone")
    ask(page)
    finished(page)


def test_link_or_opened_png_wins_once_and_a_reload_keeps_what_came_after(
    server, new_page, tmp_path
):
    server.gate.open()
    page = new_page(server.url)
    kept(page)
    ask_link = f"{server.url}?prompt=a+blue+boat&seed=5&guidance=2"
    page.locator("#prompt textarea").fill("typed before")
    page.wait_for_function(f"{KEPT}.values.prompt === 'typed before'")
    page.goto(ask_link)
    page.locator(".page-note").filter(has_text="came with the link").wait_for()
    assert prompt_of(page) == "a blue boat"
    kept(page)
    page.locator("#prompt textarea").fill("typed after")
    page.wait_for_function(f"{KEPT}.values.prompt === 'typed after'")
    reload(page)
    assert prompt_of(page) == "typed after"
    assert page.locator("#seed input").input_value() == "5"
    page.goto("about:blank")
    page.go_back()
    page.wait_for_function("document.querySelector('#prompt textarea')?.value === 'typed after'")
    page.goto(ask_link)
    page.locator(".page-note").filter(has_text="came with the link").wait_for()
    assert prompt_of(page) == "a blue boat"
    for query, sentence in (("?prompt=a&seed=-1", "seed must be"), ("?sed=1", "did it mean")):
        page.goto(server.url + query)
        page.locator(".page-note.is-problem").filter(has_text=sentence).wait_for()

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
    server.gate.open()
    page = new_page(server.url)
    kept(page)
    ask(page)
    finished(page)
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

    # Settings used again can be gone back from.
    page.locator(".cards button").first.click()
    page.locator("#use-settings").hover()  # scrolls as a click does
    before = box(page, "#use-settings")
    page.locator("#use-settings").click()
    opened(page, "Generate")
    page.wait_for_function("location.hash === ''")
    page.go_back()
    opened(page, "History")
    assert abs(box(page, "#use-settings")["y"] - before["y"]) < 2, "nothing jumps"

    links = {"#grid": "Grid", "#history": "History", "#models": "Models", "#nonsense": "Generate"}
    for link, tab in links.items():
        page.goto("about:blank")
        page.goto(server.url + link)
        opened(page, tab)
        page.wait_for_timeout(500)
        opened(page, tab)
