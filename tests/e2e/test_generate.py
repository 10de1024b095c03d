"""The Generate tab in a browser: from the prompt to the finished picture, and all that may interrupt."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from infinity.errors import ResourceError
from infinity.metadata import PictureRecord, read_record
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
from tests.e2e.test_settings import open_all, pick, preset, type_number
from tests.ui.fakes import SCALES


def downloaded(page: Any, path: Path, picture: int = 0) -> tuple[str, PictureRecord]:
    """A picture of the stage, saved: the name it was offered under and its record."""
    with page.expect_download() as download:
        page.get_by_role("link", name="Download PNG").nth(picture).click()
    download.value.save_as(path)
    return download.value.suggested_filename, read_record(path)


def test_prompt_grows_into_a_picture_that_the_api_and_a_replay_give_too(
    app_url, new_page, model_folder, tmp_path
):
    from gradio_client import Client

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
    name, record = downloaded(page, tmp_path / "page.png")
    assert name == "infinity-a-red-apple-on-a-sandy-beach-7.png"
    assert (record.request.prompt, record.request.seed) == (PROMPT, 7)
    client = Client(app_url, verbose=False, download_files=str(tmp_path))
    (path,) = client.predict(PROMPT, seed=7, api_name="/generate")
    client.close()
    assert read_record(path).request == record.request
    with Image.open(path) as api, Image.open(tmp_path / "page.png") as image:
        assert image.format == "PNG"
        assert image.tobytes() == api.tobytes() == replay(model_folder, tmp_path / "page.png")

    example = read_examples()[1]
    page.locator("#examples button").filter(has_text=example.prompt).click()
    page.locator(f"#stage img[alt='{example.prompt}'][src*='file=']").wait_for()
    finished(page)
    assert page.locator("#prompt textarea").input_value() == example.prompt
    assert page.locator("#seed input").input_value() == str(example.seed)

    open_all(page)
    page.locator("#prompt textarea").fill("a red")  # a known word goes where the caret is
    page.locator("#world button").filter(has_text="robot").first.click()
    assert page.locator("#prompt textarea").input_value() == "a red robot"
    page.locator("#negative-prompt textarea").fill("snow")
    for setting, value in (("guidance", 4.5), ("temperature", 0.7), ("num-images", 2)):
        type_number(page, setting, value)
    page.locator("#top-k input").fill("1")
    page.locator("#top-k input").blur()
    page.locator("#seed-mode").get_by_text("New", exact=False).first.click()
    page.locator("#generate").click()
    page.locator("#stage figure").nth(1).wait_for()
    finished(page)
    assert page.locator("#stage img").count() == 2
    request = downloaded(page, tmp_path / "second.png", 1)[1].request
    shown = int(page.locator("#seed input").input_value())
    assert (request.prompt, request.seed) == ("a red robot", (shown + 1) % 2**32)
    assert (request.negative_prompt, request.guidance, request.temperature, request.top_k) == (
        "snow", 4.5, 0.7, 1,
    )  # fmt: skip

    pick(page, "guidance-mode", "Pyramid")
    page.locator("#guidance-last").wait_for()
    preset(page, "Custom")
    for look, viewport, scheme in (
        ("desktop", DESKTOP, "light"), ("dark", DESKTOP, "dark"), ("phone", PHONE, "light"),
    ):  # fmt: skip
        page.set_viewport_size(viewport)
        page.emulate_media(color_scheme=scheme)
        shot(page, f"{look}-settings")
        assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]


def test_runs_are_refused_fail_stop_and_grow_and_the_next_one_works(server, new_page):
    page = new_page(server.url)
    pipeline = server.manager.pipelines["default"]
    page.locator("#guidance input[type=number]").fill("4")
    ask(page, "   ")
    page.locator("#status [role=alert]").wait_for()
    assert "The prompt is empty" in page.locator("#status").inner_text()
    assert page.locator("#guidance input[type=number]").input_value() == "4"
    page.locator("#generate").wait_for()

    pipeline.error = ResourceError("Out of memory while drawing; choose fewer pictures.")
    server.gate.let(3)
    ask(page)
    status(page, pipeline.error.args[0])
    page.locator("#status [role=alert]").wait_for()
    assert page.locator("#stage img").count() == 1
    pipeline.error = None
    page.locator("#generate").wait_for()

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

    # Every scale is seen as it is drawn, and a second Enter meanwhile changes nothing.
    page.evaluate("window.seen = [document.querySelector('#stage img').src]")
    ask(page, "two cute penguins")
    for scale in range(1, len(SCALES)):
        server.gate.let(1)
        status(page, f"Scale {scale} of {len(SCALES)}")
        page.wait_for_function("count => new Set(window.seen).size === count", arg=1 + scale)
        assert page.locator(".strip li.drawn").count() == scale
        if scale == 1:
            with page.expect_response(lambda response: "/run/predict" in response.url):
                ask(page, "something else")
    server.gate.let(1)
    finished(page)
    assert page.locator(".strip li.drawn").count() == len(SCALES)
    assert "/gradio_api/file=" in page.evaluate("window.seen").pop()
    assert [r.prompt for r in pipeline.requests] == [PROMPT, PROMPT, "two cute penguins"]
    assert page.locator("#stage img").get_attribute("alt") == "two cute penguins"

    # The keyboard alone is enough.
    page.locator("#prompt textarea").fill("")
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
    assert pipeline.requests[-1].prompt == "a castle at sunset"


def test_browsers_wait_in_line_see_their_place_move_up_and_may_give_up(server, new_page):
    """Over a reload too, and from the middle of the line."""
    first, second, third, fourth = (new_page(server.url) for _ in range(4))
    ask(first, "the first")
    server.gate.let(1)
    status(first, "Scale 1 of 7")
    for place, (page, name) in enumerate(
        ((second, "second"), (third, "third"), (fourth, "fourth")), 1
    ):
        ask(page, f"the {name}")
        status(page, f"{place} before you")
    third.reload()
    status(third, "2 before you")
    third.locator("#stop").wait_for()
    server.gate.let(len(SCALES) - 1)
    finished(first)
    status(third, "1 before you")
    status(fourth, "2 before you")
    third.locator("#stop").click()
    status(third, "Stopped.")
    third.locator("#generate").wait_for()
    status(fourth, "1 before you")
    server.gate.open()
    finished(second)
    finished(fourth)
    prompts = [request.prompt for request in server.manager.pipelines["default"].requests]
    assert prompts == ["the first", "the second", "the fourth"]


@pytest.mark.parametrize(
    ("name", "viewport"), [("desktop", DESKTOP), ("phone", PHONE), ("wide", WIDE)]
)
def test_nothing_jumps_or_sticks_out_while_the_picture_grows(name, viewport, real_server, new_page):
    """With screenshots of the shipped model's page: idle, in the middle, at the end."""

    def look(stage: str) -> None:
        shot(page, f"{name}-{stage}")
        if name == "desktop":
            page.emulate_media(color_scheme="dark")
            shot(page, f"dark-{stage}")
            page.emulate_media(color_scheme="light")
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width <= viewport["width"], "nothing sticks out sideways"

    page = new_page(real_server.url, viewport)
    watched = ("#stage", "#strip", "#strip ol", "#settings", "#prompt")
    page.locator(".strip li").first.wait_for()
    before = settled(page, watched)
    look("idle")
    ask(page, "a red apple")
    scales = page.locator(".strip li").count()
    for scale in range(1, scales - 1):
        real_server.gate.let(1)
        status(page, f"Scale {scale} of {scales}")
        assert [box(page, selector) for selector in watched] == before
    look("drawing")
    real_server.gate.open()
    finished(page)
    assert [box(page, selector) for selector in watched] == before
    page.locator(".strip li button").first.dispatch_event("click")  # without scrolling to it
    page.locator(".strip .fact").filter(has_text=f"Scale 1 of {scales}").wait_for()
    assert [box(page, selector) for selector in watched] == before
    page.locator(".strip li button").last.click()
    page.wait_for_function("document.querySelector('#stage img').complete")
    look("done")
    drawn_as = page.locator("#stage .drawn-as")
    drawn_as.click()
    written = page.locator("#prompt textarea").input_value()
    assert written.startswith("a red apple ") and written in drawn_as.text_content()
    page.locator(".strip li button").nth(scales - 3).click()
    page.get_by_role("button", name="What it added").click()
    look("added")
