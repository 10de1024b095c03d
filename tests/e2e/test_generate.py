"""The Generate tab in a browser: from the prompt to the finished picture, and all that may interrupt."""

from __future__ import annotations

import re

import pytest
from PIL import Image

from infinity.errors import ResourceError
from infinity.metadata import read_record
from infinity.ui.generate.examples import read_examples
from tests.e2e.steps import (
    DESKTOP,
    PHONE,
    PROMPT,
    WIDE,
    ask,
    box,
    choose_seed,
    finished,
    replay,
    settled,
    shot,
    status,
)
from tests.ui.fakes import SCALES


def test_prompt_grows_into_a_picture_whose_download_replays_to_its_pixels(
    app_url, new_page, model_folder, tmp_path
):
    page = new_page(app_url)
    choose_seed(page, 7)
    ask(page)
    finished(page)

    addresses = page.evaluate("window.seen")
    assert addresses[0].startswith("data:image/"), "a preview comes first"
    assert len(set(addresses)) >= 2, "the picture changes over the scales"
    assert "/gradio_api/file=" in addresses[-1]
    drawn = page.locator(".strip li.drawn")
    assert drawn.count() == page.locator(".strip li").count() >= 4
    assert re.search(r"bits\n[\d.]+ m?s$", drawn.last.inner_text())

    with page.expect_download() as download:
        page.get_by_role("link", name="Download PNG").click()
    path = tmp_path / "picture.png"
    download.value.save_as(path)
    assert download.value.suggested_filename == "infinity-a-red-apple-on-a-sandy-beach-7.png"
    record = read_record(path)
    assert (record.request.prompt, record.request.seed) == (PROMPT, 7)
    with Image.open(path) as image:
        assert image.format == "PNG"
        assert image.tobytes() == replay(model_folder, path)


def test_every_scale_is_seen_as_it_is_drawn(server, new_page):
    page = new_page(server.url)
    ask(page)
    for scale in range(1, len(SCALES)):
        server.gate.let(1)
        status(page, f"Scale {scale} of {len(SCALES)}")
        page.wait_for_function("count => new Set(window.seen).size === count", arg=scale)
        assert page.locator(".strip li.drawn").count() == scale
    server.gate.let(1)
    finished(page)
    assert page.locator(".strip li.drawn").count() == len(SCALES)
    assert "/gradio_api/file=" in page.evaluate("window.seen").pop()


def test_page_and_api_give_the_same_pixels(app_url, new_page, tmp_path):
    from gradio_client import Client

    page = new_page(app_url)
    choose_seed(page, 11)
    ask(page, "a blue castle")
    finished(page)
    with page.expect_download() as download:
        page.get_by_role("link", name="Download PNG").click()
    download.value.save_as(tmp_path / "page.png")
    client = Client(app_url, verbose=False, download_files=str(tmp_path))
    (path,) = client.predict("a blue castle", seed=11, api_name="/generate")
    client.close()
    assert read_record(path).request == read_record(tmp_path / "page.png").request
    with Image.open(path) as api, Image.open(tmp_path / "page.png") as page_picture:
        assert api.tobytes() == page_picture.tobytes()


def test_settings_reach_the_picture(app_url, new_page, tmp_path):
    page = new_page(app_url)
    page.get_by_role("button", name="More settings").click()
    page.locator("#negative-prompt textarea").fill("snow")
    for name, value in (("guidance", "4.5"), ("temperature", "0.7"), ("num-images", "2")):
        page.locator(f"#{name} input[type=number]").fill(value)
        page.locator(f"#{name} input[type=number]").blur()
    page.locator("#top-k input").fill("1")
    page.locator("#top-k input").blur()
    ask(page)
    finished(page)
    assert page.locator("#stage img").count() == 2
    with page.expect_download() as download:
        page.get_by_role("link", name="Download PNG").nth(1).click()
    download.value.save_as(tmp_path / "second.png")
    request = read_record(tmp_path / "second.png").request
    shown = int(page.locator("#seed input").input_value())
    assert request.seed == (shown + 1) % 2**32
    assert (request.negative_prompt, request.guidance, request.temperature, request.top_k) == (
        "snow",
        4.5,
        0.7,
        1,
    )


def test_example_is_drawn_at_a_click(app_url, new_page):
    page = new_page(app_url)
    example = read_examples()[1]
    page.locator("#examples button").filter(has_text=example.prompt).click()
    finished(page)
    assert page.locator("#prompt textarea").input_value() == example.prompt
    assert page.locator("#seed input").input_value() == str(example.seed)
    assert page.locator("#stage img").get_attribute("alt") == example.prompt


def test_empty_prompt_is_answered_at_once_and_loses_nothing(server, new_page):
    page = new_page(server.url)
    page.locator("#guidance input[type=number]").fill("4")
    ask(page, "   ")
    page.locator("#status [role=alert]").wait_for()
    assert "The prompt is empty" in page.locator("#status").inner_text()
    assert page.locator("#guidance input[type=number]").input_value() == "4"
    page.locator("#generate").wait_for()
    server.gate.open()
    ask(page)
    finished(page)


def test_stop_ends_within_one_scale_and_the_next_run_works(server, new_page):
    page = new_page(server.url)
    ask(page)
    for scale in range(3):
        server.gate.let(1)
        status(page, f"Scale {scale + 1} of {len(SCALES)}")
    page.locator("#stop").click()
    page.locator("#stop").filter(has_text="Stopping").wait_for()
    server.gate.let(1)
    status(page, "Stopped after scale 3 of 7.")
    assert page.locator("#stage img").count() == 1, "what was drawn stays"
    page.locator("#generate").wait_for()
    server.gate.open()
    ask(page, "two cute penguins")
    finished(page)


def test_second_enter_while_drawing_changes_nothing(server, new_page):
    page = new_page(server.url)
    ask(page)
    server.gate.let(1)
    status(page, "Scale 1 of 7")
    with page.expect_response(lambda response: "/run/predict" in response.url):
        ask(page, "something else")
    server.gate.open()
    finished(page)
    assert [r.prompt for r in server.manager.pipelines["default"].requests] == [PROMPT]
    assert page.locator("#stage img").get_attribute("alt") == PROMPT


@pytest.mark.parametrize("viewport", [DESKTOP, PHONE, WIDE], ids=["desktop", "phone", "wide"])
def test_nothing_jumps_while_the_picture_grows(viewport, server, new_page):
    page = new_page(server.url, viewport)
    watched = ("#stage", "#strip", "#strip ol", "#settings", "#prompt")
    page.locator(".strip li").first.wait_for()
    before = settled(page, watched)
    ask(page)
    for scale in (1, 2, 3):
        server.gate.let(1)
        status(page, f"Scale {scale} of 7")
        assert [box(page, selector) for selector in watched] == before
    server.gate.open()
    finished(page)
    assert [box(page, selector) for selector in watched] == before
    page.locator(".strip li button").first.dispatch_event("click")  # without scrolling to it
    page.locator(".strip .fact").filter(has_text="Scale 1 of 7").wait_for()
    assert [box(page, selector) for selector in watched] == before


def test_second_browser_waits_its_turn_and_may_give_up(server, new_page):
    first, second, third = (new_page(server.url) for _ in range(3))
    ask(first, "the first")
    server.gate.let(1)
    status(first, "Scale 1 of 7")
    ask(second, "the second")
    status(second, "Waiting for a turn")
    ask(third, "the third")
    status(third, "Waiting for a turn")
    second.locator("#stop").click()
    status(second, "Stopped.")
    second.locator("#generate").wait_for()
    server.gate.open()
    finished(first)
    finished(third)
    prompts = [request.prompt for request in server.manager.pipelines["default"].requests]
    assert prompts == ["the first", "the third"]


def test_failure_in_the_middle_is_one_sentence(server, new_page):
    page = new_page(server.url)
    server.manager.pipelines["default"].error = ResourceError(
        "Out of memory while drawing; choose fewer pictures."
    )
    server.gate.open()
    ask(page)
    page.locator("#status [role=alert]").wait_for()
    status(page, "Out of memory while drawing; choose fewer pictures.")
    assert page.locator("#stage img").count() == 1
    server.manager.pipelines["default"].error = None
    ask(page)
    finished(page)


def test_another_model_brings_its_ratios_and_shows_its_loading(server, new_page):
    page = new_page(server.url)
    page.locator("#model input").click()
    page.get_by_role("option", name="Another model").click()
    page.get_by_role("radio", name="1:2 96×192").check(force=True)
    assert page.get_by_role("radio", name="2:1").count() == 0
    server.manager.load_seconds = 2.0
    server.gate.open()
    ask(page)
    status(page, "Reading the transformer · ")
    finished(page)
    assert server.manager.pipelines["other"].requests[0].aspect_ratio == "1:2"
    size = box(page, "#stage img")
    assert size["height"] == pytest.approx(2 * size["width"], rel=0.02)


def test_keyboard_alone_is_enough(server, new_page):
    page = new_page(server.url)
    page.locator("#prompt textarea").focus()
    page.keyboard.type("a castle at sunset")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "generate"
    server.gate.let(1)
    page.keyboard.press("Enter")
    status(page, "Scale 1 of 7")
    page.locator("#stop").focus()
    page.keyboard.press("Enter")
    page.locator("#stop").filter(has_text="Stopping").wait_for()
    server.gate.open()
    status(page, "Stopped after scale 1 of 7.")


@pytest.mark.parametrize(
    ("name", "viewport", "scheme"),
    [
        ("desktop", DESKTOP, "light"),
        ("dark", DESKTOP, "dark"),
        ("phone", PHONE, "light"),
        ("wide", WIDE, "light"),
    ],
)
def test_page_fits_and_is_photographed(name, viewport, scheme, real_server, new_page):
    """Screenshots of the shipped model's page: idle, in the middle, at the end."""
    page = new_page(real_server.url, viewport, scheme)
    shot(page, f"{name}-idle")
    ask(page)
    scales = page.locator(".strip li").count()
    real_server.gate.let(scales - 2)
    status(page, f"Scale {scales - 2} of {scales}")
    shot(page, f"{name}-drawing")
    real_server.gate.open()
    finished(page)
    page.wait_for_function("document.querySelector('#stage img').complete")
    shot(page, f"{name}-done")
    drawn_as = page.locator("#stage .drawn-as")
    drawn_as.click()
    written = page.locator("#prompt textarea").input_value()
    assert written.startswith("a red apple on a beach, ") and written in drawn_as.text_content()
    page.locator(".strip li button").nth(scales - 3).click()
    page.get_by_role("button", name="What it added").click()
    shot(page, f"{name}-added")
    width = page.evaluate("document.documentElement.scrollWidth")
    assert width <= viewport["width"], "nothing sticks out sideways"
