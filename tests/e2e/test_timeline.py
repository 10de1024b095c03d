"""The timeline of scales in a browser: scrubbed during and after a run, by mouse and by keyboard."""

from __future__ import annotations

from PIL import Image

from tests.e2e.steps import PROMPT, ask, box, finished, status
from tests.ui.fakes import SCALES


def source(page):
    return page.locator("#stage img").first.get_attribute("src")


def scale_button(page, number):
    return page.locator(".strip li button").nth(number - 1)


def fact(page, text):
    page.locator(".strip .fact").filter(has_text=text).wait_for()


def added(page):
    return page.get_by_role("button", name="What it added")


def drawn(server, page, scales, prompt=PROMPT):
    ask(page, prompt)
    for scale in range(1, scales + 1):
        server.gate.let(1)
        status(page, f"Scale {scale} of {len(SCALES)}")
    fact(page, f"Scale {scales} of {len(SCALES)}")


def test_scales_are_looked_at_while_others_are_drawn(server, new_page):
    page = new_page(server.url)
    drawn(server, page, 2)
    second = source(page)
    scale_button(page, 1).click()
    first = source(page)
    assert first != second
    fact(page, "Scale 1 of 7 · 1 × 1 = 1 token · 24 bits · 10 ms")
    server.gate.let(1)
    status(page, "Scale 3 of 7")
    page.locator(".strip li.drawn").nth(2).wait_for()
    assert source(page) == first, "an earlier scale stays on the stage"
    scale_button(page, 3).click()
    server.gate.let(1)
    fact(page, "Scale 4 of 7")
    server.gate.let(3)
    finished(page)
    fact(page, "Scale 7 of 7")
    assert "gradio_api/file=" in source(page)

    last = source(page)
    ask(page, "the second")
    status(page, "Scale 1 of 7 · reading the prompt")
    assert source(page) == last, "the last picture stays until the next one begins to show"
    server.gate.let(1)
    page.wait_for_function(
        "last => document.querySelector('#stage img').getAttribute('src') !== last", arg=last
    )
    assert page.locator("#stage img").get_attribute("alt") == "the second"
    scale_button(page, 1).click()
    added(page).click()
    server.gate.let(6)
    finished(page)
    fact(page, "Scale 7 of 7")
    assert "gradio_api/file=" in source(page), "the finished picture replaces what was looked at"

    drawn(server, page, 3, "the third")  # starts at its own newest scale
    page.locator("#stop").click()
    page.locator("#stop").filter(has_text="Stopping").wait_for()
    server.gate.let(1)
    status(page, "Stopped after scale 3 of 7.")
    page.locator("#status .note").filter(has_text="not a finished picture").wait_for()
    scale_button(page, 2).click()
    fact(page, "Scale 2 of 7")
    assert scale_button(page, 4).is_disabled()


def test_finished_run_is_scrubbed_played_downloaded_and_handed_on(server, new_page, tmp_path):
    server.gate.open()
    page = new_page(server.url)
    ask(page)
    finished(page)
    page.locator(".strip .fact").filter(has_not_text="rough").wait_for()
    page.get_by_role("link", name="Download PNG").wait_for()
    page.wait_for_function("[...document.images].every(image => image.complete)")
    page.wait_for_timeout(500)
    requests = []
    page.on("request", lambda request: requests.append(request.url))
    slider = page.get_by_role("slider", name="Scale shown")
    slider.focus()
    for scale in range(6, 0, -1):
        page.keyboard.press("ArrowLeft")
        fact(page, f"Scale {scale} of 7")
    assert slider.get_attribute("aria-valuetext").startswith("Scale 1 of 7 · 1 × 1")
    scale_button(page, 4).click()
    page.keyboard.press("ArrowRight")
    fact(page, "Scale 5 of 7")
    assert page.evaluate("document.activeElement.getAttribute('aria-label')").startswith("Scale 5")
    assert scale_button(page, 5).get_attribute("aria-current") == "true"
    page.keyboard.press("End")
    fact(page, "Scale 7 of 7")
    page.get_by_role("link", name="Download PNG").wait_for()
    assert [url for url in requests if not url.startswith("data:")] == []

    # What a scale added is its difference to the one before.
    added(page).click()
    assert added(page).get_attribute("aria-pressed") == "true"
    scale_button(page, 3).click()
    before = page.locator("#stage .before")
    assert before.is_visible()
    thumb = page.locator(".strip li img").nth(1).get_attribute("src")
    assert thumb in before.evaluate("item => item.style.backgroundImage")
    assert page.locator("#stage img").get_attribute("alt") == "What scale 3 added"
    scale_button(page, 1).click()
    assert before.evaluate("item => item.style.backgroundImage") == ""
    page.get_by_role("button", name="Picture so far").click()
    assert not before.is_visible()

    # Played, it goes through all scales and ends at the picture.
    scale_button(page, 7).click()
    play = page.get_by_role("button", name="Play the scales")
    play.scroll_into_view_if_needed()  # as the click would, which moves the page, not its layout
    stage = box(page, "#stage")
    page.evaluate("""() => {
        const fact = document.querySelector('.strip .fact');
        window.told = [];
        new MutationObserver(() => window.told.push(fact.textContent.slice(0, 12)))
            .observe(fact, {childList: true});
    }""")
    play.click()
    page.wait_for_function("() => (window.told.at(-1) || '').startsWith('Scale 7 of 7')")
    assert page.evaluate("window.told") == [f"Scale {scale} of 7" for scale in range(1, 8)]
    assert "gradio_api/file=" in source(page)
    assert box(page, "#stage") == stage

    with page.expect_download() as download:
        page.get_by_role("button", name="Download the growth as WebP").click()
    download.value.save_as(tmp_path / "growth.webp")
    with Image.open(tmp_path / "growth.webp") as growth:
        assert growth.format == "WEBP"
    seed = page.locator("#seed input").input_value()
    page.locator("#seed input").fill("1")
    page.locator("#stage .picture-use").click()
    page.wait_for_function("seed => document.querySelector('#seed input').value === seed", arg=seed)
    page.locator("#stage .picture-star").click()
    page.locator("#stage .picture-star[aria-pressed=true]").wait_for()
    page.locator("#recent button").first.click()
    page.locator("dialog.large .words").filter(has_text=PROMPT).wait_for()
    page.keyboard.press("Escape")

    page.locator("#stage .picture-tokens").click()
    page.locator("#tokenizer-picture").get_by_text(".png").first.wait_for()
    page.wait_for_function("location.hash === '#tokenizer'")
    page.go_back()
    page.locator("#stage .picture-tokens").wait_for()


def test_nine_pictures_fit_one_screen_and_are_scrubbed_opened_and_compared(server, new_page):
    server.gate.open()
    page = new_page(server.url)
    page.locator("#num-images input[type=number]").fill("9")
    page.locator("#num-images input[type=number]").blur()
    ask(page)
    finished(page)
    page.locator("#stage figcaption").nth(8).wait_for()
    assert page.locator("#stage figure").first.bounding_box()["width"] >= 165
    for part in ("#stage", "#strip", ".strip li:last-child", "#recent"):
        found = box(page, part)
        assert found["y"] + found["height"] <= page.viewport_size["height"], part
    assert page.locator("#stage figure").count() == 9
    assert page.get_by_role("link", name="Download PNG").count() == 9

    page.locator("#stage .open").first.press("Enter")
    count = page.locator("dialog.large .count")
    count.filter(has_text="1 of 9").wait_for()
    page.keyboard.press("ArrowLeft")
    count.filter(has_text="9 of 9").wait_for()
    page.keyboard.press("Escape")
    assert page.locator("dialog.large[open]").count() == 0
    assert page.evaluate("document.activeElement.className") == "open"
    for picture in (0, 1):
        page.locator("#stage .picture-compare").nth(picture).press("Enter")
    page.locator("dialog.large .two").wait_for()
    page.keyboard.press("Home")
    assert "100%" in page.locator("dialog.large .two").evaluate("item => item.style.clipPath")
    page.keyboard.press("Escape")

    scale_button(page, 2).click()
    assert page.locator("#stage figure").count() == 9
    assert page.locator("#stage figcaption").count() == 0
