"""The settings in a browser: each control as a person uses it, down to the request."""

from __future__ import annotations

from typing import Any

from infinity.presets import Preset, presets, ramp
from infinity.request import GenerationRequest
from tests.e2e.steps import (
    KEPT,
    PROMPT,
    Server,
    ask,
    choose_seed,
    finished,
    kept,
    open_tab,
    opened,
    reload,
    shot,
)
from tests.ui.fakes import SCALES

ACCORDIONS = ("Values by scale", "More settings", "What this model knows", "Best of several")
TEMPERATURES = "#temperature-list textarea, #temperature-list input"
ALL_LINES = """(() => { const text = document.querySelector('#prompt textarea');
  return text.offsetHeight >= text.scrollHeight })()"""


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


def test_settings_as_they_are_by_preset_by_keyboard_and_by_seed(server, new_page):
    server.gate.open()
    page = new_page(server.url)
    spec = server.manager.spec("default")
    assert drawn(page, server).sampling(spec.sampling) == spec.sampling, "untouched"
    preset(page, "Balanced")

    asked: list[str] = []
    page.on("request", lambda it: asked.append(it.url) if it.url.endswith("/predict") else None)
    for name, known in presets(spec, "1:1").items():
        asked.clear()
        pick(page, "preset", known.title)
        set_by(page, known)
        page.wait_for_timeout(100)
        assert len(asked) <= 2, "for its values, and what they amount to once all of them are there"
        assert drawn(page, server).sampling(spec.sampling) == known.sampling, name
        preset(page, known.title)
    type_number(page, "temperature", 0.35)
    preset(page, "Custom")
    type_number(page, "temperature", 0.9)
    preset(page, "Varied")

    page = new_page(server.url)
    page.locator("#aspect-ratio input").first.focus()
    page.keyboard.press("ArrowRight")
    page.locator("#aspect-ratio label.selected").filter(has_text="2:1").wait_for()
    page.locator("#preset input").first.focus()
    page.keyboard.press("ArrowRight")
    preset(page, "Fast")
    set_by(page, presets(spec, "2:1")["fast"])
    page.locator("#guidance input[type=range]").focus()
    page.keyboard.press("ArrowRight")
    preset(page, "Custom")
    request = drawn(page, server)
    assert (request.aspect_ratio, request.guidance) == ("2:1", 3.1)

    choose_seed(page, 1)
    type_number(page, "num-images", 4)
    request = drawn(page, server, "a {red|blue} car")
    assert set(request.prompts) == {"a red car", "a blue car"}
    page.locator("#stage figure").nth(3).wait_for()
    pictures = page.locator("#stage img").all()
    assert [picture.get_attribute("alt") for picture in pictures] == list(request.prompts)
    assert "car-1.png" in page.locator("#stage figcaption a").first.get_attribute("download")
    assert "red-blue" not in page.locator("#stage").inner_html()
    ask(page, "a {red|blue car")
    page.locator("#status [role=alert]").filter(has_text="without its }").wait_for()


def test_every_setting_is_kept_over_a_reload_and_reaches_the_request(server, new_page):
    server.gate.open()
    page = new_page(server.url)
    kept(page)
    open_all(page)
    prompt = "two owls\nin a <b>forest</b>"
    page.locator("#prompt textarea").fill(prompt)
    pick(page, "aspect-ratio", "2:1")
    page.locator("#style input").click()
    page.get_by_role("option", name="Watercolour").click()
    choose_seed(page, 41)
    pick(page, "seed-mode", "+1")
    for name, value in (("num-images", 2), ("guidance", 1.5), ("top-p", 0.9), ("candidates", 3)):
        type_number(page, name, value)
    pick(page, "guidance-mode", "Pyramid")
    type_number(page, "guidance-last", 4.5)
    pick(page, "temperature-mode", "Custom")
    page.locator(TEMPERATURES).fill("1, 0.8, half typed")
    page.locator("#negative-prompt textarea").fill("snow")
    page.locator("#top-k input").fill("1")
    page.locator("#guidance-layers textarea, #guidance-layers input").fill("0, -1")
    page.locator("#guided-scales textarea, #guided-scales input").fill("5")
    type_number(page, "confidence", 0.7)
    pick(page, "confidence-mode", "Pyramid")
    type_number(page, "confidence-last", 0.9)
    page.locator("#prune-at-scale input").fill("2")
    page.locator("#scorer textarea, #scorer input").fill("judge")
    preset(page, "Custom")
    open_tab(page, "Grid")
    page.locator("#grid-x input").click()
    page.get_by_role("option", name="Temperature").first.click()
    page.wait_for_function(f"{KEPT}.values.x_values.startsWith('0.5-1')")
    page.locator("#grid-x-values textarea").fill("0.5, 1")
    page.locator("#grid-y-values textarea").fill("2, 4, 6")
    page.wait_for_function(f"{KEPT}.values.y_values === '2, 4, 6'")
    before = page.evaluate(f"{KEPT}.values")
    expected = {
        "prompt": prompt, "aspect_ratio": "2:1", "seed": 41, "seed_mode": "+1", "num_images": 2,
        "guidance": 1.5, "guidance_mode": "pyramid", "guidance_last": 4.5,
        "temperature_mode": "custom", "temperature_list": "1, 0.8, half typed",
        "negative_prompt": "snow", "top_k": 1, "top_p": 0.9, "guidance_layers": "0, -1",
        "guided_scales": "5", "x": "temperature", "x_values": "0.5, 1", "y": "guidance",
        "y_values": "2, 4, 6",
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
    assert page.locator("#prompt textarea").input_value() == prompt
    page.wait_for_function(ALL_LINES)
    assert page.locator("#style input").input_value() == "Watercolour"
    assert page.locator(TEMPERATURES).is_visible()
    assert page.locator("#guidance-last input[type=number]").input_value() == "4.5"
    assert page.locator("#aspect-ratio label.selected").inner_text().startswith("2:1")
    assert page.evaluate(f"{KEPT}.values") == before
    shot(page, "reload-settings")

    page.locator(TEMPERATURES).fill("1, 0.8, 0.6")
    page.locator(TEMPERATURES).blur()
    assert drawn(page, server) == GenerationRequest(
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

    # The plot follows what is typed and says what it cannot read.
    curve = "Guidance from the first to the last scale"
    pick(page, "guidance-mode", "Custom")
    field = page.locator("#guidance-list textarea, #guidance-list input")
    field.fill("1, 2, 4")
    page.get_by_role("img", name=f"{curve}: 1, 2, 4, 4").wait_for()
    field.fill("1, two")
    page.locator("#plots [role=status]").filter(has_text="numbers with commas").wait_for()
    field.fill("2")
    page.get_by_role("img", name=f"{curve}: 2, 2").wait_for()
    pick(page, "guidance-mode", "Same")
    field.wait_for(state="hidden")
    page.get_by_role("img", name=f"{curve}: 1.5, 1.5").wait_for()
