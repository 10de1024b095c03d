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


def drawn(server, page, scales):
    ask(page)
    for scale in range(1, scales + 1):
        server.gate.let(1)
        status(page, f"Scale {scale} of {len(SCALES)}")
    fact(page, f"Scale {scales} of {len(SCALES)}")


def test_earlier_scale_stays_on_the_stage_while_later_ones_are_drawn(server, new_page):
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
    assert source(page) == first
    scale_button(page, 3).click()
    server.gate.let(1)
    fact(page, "Scale 4 of 7")
    server.gate.open()
    finished(page)
    fact(page, "Scale 7 of 7")
    assert "gradio_api/file=" in source(page)


def test_finished_run_is_scrubbed_with_slider_and_keys_and_asks_the_server_nothing(
    server, new_page
):
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


def test_what_a_scale_added_is_its_difference_to_the_one_before(server, new_page):
    server.gate.open()
    page = new_page(server.url)
    ask(page)
    finished(page)
    added = page.get_by_role("button", name="What it added")
    added.click()
    assert added.get_attribute("aria-pressed") == "true"
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


def test_playing_goes_through_all_scales_and_ends_at_the_picture(server, new_page):
    server.gate.open()
    page = new_page(server.url)
    ask(page)
    finished(page)
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


def test_batch_is_scrubbed_together(server, new_page):
    server.gate.open()
    page = new_page(server.url)
    page.locator("#num-images input[type=number]").fill("4")
    page.locator("#num-images input[type=number]").blur()
    ask(page)
    finished(page)
    assert page.locator("#stage figure").count() == 4
    assert page.get_by_role("link", name="Download PNG").count() == 4
    scale_button(page, 2).click()
    assert page.locator("#stage figure").count() == 4
    assert page.locator("#stage figcaption").count() == 0


def test_picture_and_timeline_fit_one_screen_and_nine_fill_the_stage(server, new_page):
    server.gate.open()
    page = new_page(server.url)
    page.locator("#num-images input[type=number]").fill("9")
    page.locator("#num-images input[type=number]").blur()
    ask(page)
    finished(page)
    page.locator("#stage figure").nth(8).wait_for()
    assert page.locator("#stage figure").first.bounding_box()["width"] >= 165
    for part in ("#stage", "#strip", ".strip li:last-child", "#recent"):
        found = box(page, part)
        assert found["y"] + found["height"] <= page.viewport_size["height"], part


def test_pictures_open_large_are_walked_through_and_compared_by_keyboard(server, new_page):
    server.gate.open()
    page = new_page(server.url)
    page.locator("#num-images input[type=number]").fill("3")
    page.locator("#num-images input[type=number]").blur()
    ask(page)
    finished(page)
    page.locator("#stage figcaption").nth(2).wait_for()
    page.locator("#stage .open").first.press("Enter")
    count = page.locator("dialog.large .count")
    count.filter(has_text="1 of 3").wait_for()
    page.keyboard.press("ArrowLeft")
    count.filter(has_text="3 of 3").wait_for()
    page.keyboard.press("Escape")
    assert page.locator("dialog.large[open]").count() == 0
    assert page.evaluate("document.activeElement.className") == "open"
    for picture in (0, 1):
        page.locator("#stage .picture-compare").nth(picture).press("Enter")
    page.locator("dialog.large .two").wait_for()
    page.keyboard.press("Home")
    assert "100%" in page.locator("dialog.large .two").evaluate("item => item.style.clipPath")


def test_finished_picture_replaces_an_earlier_scale_that_was_looked_at(server, new_page):
    page = new_page(server.url)
    drawn(server, page, 3)
    scale_button(page, 1).click()
    page.get_by_role("button", name="What it added").click()
    server.gate.open()
    finished(page)
    fact(page, "Scale 7 of 7")
    assert "gradio_api/file=" in source(page)


def test_growth_is_downloaded_and_the_seed_is_used_again(server, new_page, tmp_path):
    server.gate.open()
    page = new_page(server.url)
    ask(page)
    finished(page)
    page.locator("#strip .fact").filter(has_not_text="rough").wait_for()
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


def test_picture_is_handed_to_the_tab_that_goes_on_from_it(server, new_page):
    server.gate.open()
    page = new_page(server.url)
    ask(page)
    finished(page)
    page.locator("#stage .picture-tokens").click()
    page.locator("#tokenizer-picture").get_by_text(".png").first.wait_for()
    assert page.evaluate("location.hash") == "#tokenizer"
    page.go_back()
    page.locator("#stage .picture-tokens").wait_for()


def test_known_word_goes_into_the_prompt_where_the_caret_is(app_url, new_page):
    page = new_page(app_url)
    page.get_by_role("button", name="What this model knows").click()
    page.locator("#prompt textarea").fill("a red")
    page.locator("#world button").filter(has_text="robot").first.click()
    assert page.locator("#prompt textarea").input_value() == "a red robot"


def test_stopped_run_keeps_what_was_drawn(server, new_page):
    page = new_page(server.url)
    drawn(server, page, 3)
    page.locator("#stop").click()
    page.locator("#stop").filter(has_text="Stopping").wait_for()
    server.gate.open()
    status(page, "Stopped after scale 3 of 7.")
    page.locator("#status .note").filter(has_text="not a finished picture").wait_for()
    scale_button(page, 2).click()
    fact(page, "Scale 2 of 7")
    assert scale_button(page, 4).is_disabled()


def test_next_run_starts_at_its_own_newest_scale(server, new_page):
    page = new_page(server.url)
    drawn(server, page, 3)
    scale_button(page, 1).click()
    server.gate.let(4)
    finished(page)
    drawn(server, page, 2)
    fact(page, "Scale 2 of 7")


def test_waiting_browser_sees_its_place_move_up(server, new_page):
    first, second, third = (new_page(server.url) for _ in range(3))
    drawn(server, first, 1)
    ask(second, "the second")
    status(second, "1 before you")
    ask(third, "the third")
    status(third, "2 before you")
    server.gate.let(len(SCALES) - 1)
    finished(first)
    status(third, "1 before you")
    server.gate.open()
    finished(third)


def test_last_picture_stays_until_the_next_one_begins_to_show(server, new_page):
    page = new_page(server.url)
    server.gate.let(len(SCALES))
    ask(page, "the first")
    finished(page)
    last = source(page)
    ask(page, "the second")
    status(page, "Scale 1 of 7 · reading the prompt")
    assert source(page) == last
    server.gate.let(1)
    page.wait_for_function(
        "last => document.querySelector('#stage img').getAttribute('src') !== last", arg=last
    )
    assert page.locator("#stage img").get_attribute("alt") == "the second"
