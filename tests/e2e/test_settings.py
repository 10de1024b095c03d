"""The settings in a browser: each control as a person uses it, down to the request."""

from __future__ import annotations

from typing import Any

import pytest

from infinity.presets import Preset, presets, ramp
from infinity.request import GenerationRequest
from tests.e2e.steps import (
    DESKTOP,
    PHONE,
    PROMPT,
    Server,
    ask,
    choose_seed,
    finished,
    shot,
)
from tests.ui.fakes import SCALES

ACCORDIONS = ("Values by scale", "More settings", "What this model knows", "Best of several")


def drawn(page: Any, server: Server, prompt: str = PROMPT) -> GenerationRequest:
    """Draw with what the page shows; returns what the model was asked."""
    requests = server.manager.pipelines["default"].requests
    before = len(requests)
    ask(page, prompt)
    while len(requests) == before:
        page.wait_for_timeout(50)
    finished(page)
    return requests[-1]


def pick(page: Any, control: str, label: str) -> None:
    page.locator(f"#{control} label").filter(has_text=label).click()


def type_number(page: Any, control: str, value: float) -> None:
    field = page.locator(f"#{control} input[type=number]")
    field.fill(str(value))
    field.blur()


def preset(page: Any, title: str) -> None:
    """Wait until ``title`` is the preset shown."""
    page.locator("#preset label.selected").filter(has_text=title).wait_for()


def set_by(page: Any, known: Preset) -> None:
    """Wait until a preset's values are in the controls, which its info text follows."""
    page.locator("#preset .info-text").filter(has_text=known.info).wait_for()


def open_all(page: Any) -> None:
    for title in ACCORDIONS:
        page.get_by_role("button", name=title).click()


def test_untouched_page_asks_for_the_models_own_settings(server, new_page):
    server.gate.open()
    page = new_page(server.url)
    request = drawn(page, server)
    spec = server.manager.spec("default")
    assert request.sampling(spec.sampling) == spec.sampling
    preset(page, "Balanced")


def test_every_setting_of_the_panel_reaches_the_request(server, new_page):
    server.gate.open()
    page = new_page(server.url)
    open_all(page)
    pick(page, "aspect-ratio", "2:1")
    page.locator("#style input").click()
    page.get_by_role("option", name="Watercolour").click()
    choose_seed(page, 41)
    pick(page, "seed-mode", "+1")
    type_number(page, "num-images", 2)
    type_number(page, "guidance", 1.5)
    pick(page, "guidance-mode", "Pyramid")
    type_number(page, "guidance-last", 4.5)
    pick(page, "temperature-mode", "Custom")
    page.locator("#temperature-list textarea, #temperature-list input").fill("1, 0.8, 0.6")
    page.locator("#negative-prompt textarea").fill("snow")
    type_number(page, "top-p", 0.9)
    page.locator("#top-k input").fill("1")
    page.locator("#guidance-layers textarea, #guidance-layers input").fill("0, -1")
    page.locator("#guided-scales textarea, #guided-scales input").fill("5")
    type_number(page, "confidence", 0.7)
    pick(page, "confidence-mode", "Pyramid")
    type_number(page, "confidence-last", 0.9)
    type_number(page, "candidates", 3)
    page.locator("#prune-at-scale input").fill("2")
    page.locator("#scorer textarea, #scorer input").fill("judge")
    preset(page, "Custom")
    request = drawn(page, server)
    assert request == GenerationRequest(
        prompt=f"{PROMPT}, watercolour painting on textured paper, soft edges",
        negative_prompt="snow",
        aspect_ratio="2:1",
        seed=42,
        num_images=2,
        guidance=ramp(1.5, 4.5, len(SCALES)),
        temperature=(1.0, 0.8, 0.6),
        top_k=1,
        top_p=0.9,
        guidance_layers=(0, -1),
        guided_scales=5,
        pruning=0.0,
        fp8_scales=0,
        confidence=ramp(0.7, 0.9, len(SCALES)),
        candidates=3,
        prune_at_scale=2,
        scorer="judge",
    )
    assert page.locator("#seed input").input_value() == "42"


def test_presets_set_the_controls_and_a_change_is_custom(server, new_page):
    server.gate.open()
    page = new_page(server.url)
    spec = server.manager.spec("default")
    for name, known in presets(spec, "1:1").items():
        pick(page, "preset", known.title)
        set_by(page, known)
        assert drawn(page, server).sampling(spec.sampling) == known.sampling, name
        preset(page, known.title)
    type_number(page, "temperature", 0.35)
    preset(page, "Custom")
    type_number(page, "temperature", 0.9)
    preset(page, "Varied")


def test_plot_follows_what_is_typed_and_says_what_it_cannot_read(server, new_page):
    page = new_page(server.url)
    open_all(page)
    pick(page, "guidance-mode", "Custom")
    field = page.locator("#guidance-list textarea, #guidance-list input")
    field.fill("1, 2, 4")
    page.get_by_role("img", name="Guidance from the first to the last scale: 1, 2, 4, 4").wait_for()
    field.fill("1, two")
    page.locator("#plots [role=status]").filter(has_text="numbers with commas").wait_for()
    field.fill("2")
    page.get_by_role("img", name="Guidance from the first to the last scale: 2, 2").wait_for()
    pick(page, "guidance-mode", "Same")
    field.wait_for(state="hidden")
    page.get_by_role("img", name="Guidance from the first to the last scale: 3, 3").wait_for()


def test_another_model_brings_its_shapes_and_styles(server, new_page):
    page = new_page(server.url)
    page.wait_for_function("document.querySelectorAll('#aspect-ratio label').length === 2")
    shape = page.evaluate(
        "getComputedStyle(document.querySelectorAll('#aspect-ratio label')[1], '::before').width"
        " + getComputedStyle(document.querySelectorAll('#aspect-ratio label')[1], '::before').height"
    )
    assert shape == "24px12px"
    page.locator("#model input").click()
    page.get_by_role("option", name="Another model").click()
    page.get_by_role("radio", name="1:2 96×192").wait_for(state="attached")
    assert page.get_by_role("radio", name="2:1").count() == 0


def test_settings_work_by_keyboard_alone(server, new_page):
    server.gate.open()
    page = new_page(server.url)
    page.locator("#aspect-ratio input").first.focus()
    page.keyboard.press("ArrowRight")
    page.locator("#aspect-ratio label.selected").filter(has_text="2:1").wait_for()
    page.locator("#preset input").first.focus()
    page.keyboard.press("ArrowRight")
    preset(page, "Fast")
    set_by(page, presets(server.manager.spec("default"), "2:1")["fast"])
    page.locator("#guidance input[type=range]").focus()
    page.keyboard.press("ArrowRight")
    preset(page, "Custom")
    request = drawn(page, server)
    assert (request.aspect_ratio, request.guidance) == ("2:1", 3.1)


def test_wildcards_draw_what_the_seed_picks(server, new_page):
    server.gate.open()
    page = new_page(server.url)
    choose_seed(page, 1)
    type_number(page, "num-images", 4)
    request = drawn(page, server, "a {red|blue} car")
    assert set(request.prompts) == {"a red car", "a blue car"}
    pictures = page.locator("#stage img").all()
    assert [picture.get_attribute("alt") for picture in pictures] == list(request.prompts)
    assert "car-1.png" in page.locator("#stage figcaption a").first.get_attribute("download")
    assert "red-blue" not in page.locator("#stage").inner_html()
    ask(page, "a {red|blue car")
    page.locator("#status [role=alert]").filter(has_text="without its }").wait_for()


@pytest.mark.parametrize(
    ("name", "viewport", "scheme"),
    [("desktop", DESKTOP, "light"), ("dark", DESKTOP, "dark"), ("phone", PHONE, "light")],
)
def test_open_settings_fit_and_are_photographed(app_url, new_page, name, viewport, scheme):
    page = new_page(app_url, viewport, scheme)
    open_all(page)
    pick(page, "guidance-mode", "Pyramid")
    page.locator("#guidance-last").wait_for()
    preset(page, "Custom")
    shot(page, f"{name}-settings")
    assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
