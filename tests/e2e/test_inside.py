"""The Inside tab in a real browser: a token, a word and a flip, by pointer and by keyboard."""

from __future__ import annotations

from PIL import Image

from infinity.metadata import read_record
from tests.e2e.steps import DESKTOP, PHONE, ask, finished, replay, shot
from tests.e2e.test_accessibility import violations

TABLET = {"width": 820, "height": 1180}


def read(page) -> None:
    """The picture is read, or two are."""
    page.locator("#inside-status .message").filter(has_text="Read in").wait_for()


def test_picture_is_looked_into_by_pointer_and_keyboard(app_url, new_page, model_folder, tmp_path):
    page = new_page(app_url)
    ask(page, "a red apple")
    finished(page)
    page.locator("#stage .picture-inside").click()
    read(page)
    steps = page.locator("#inside-viewer .steps button")
    assert steps.count() > 3

    # A scale and a place, by pointer: the place that was pressed is the place that is told.
    steps.nth(2).click()
    field = page.locator("#inside-viewer .field").nth(1)
    box = field.bounding_box()
    page.mouse.click(box["x"] + box["width"] - 3, box["y"] + 3)
    heading = page.locator("#inside-token h3")
    heading.filter(has_text="row 1, column 3").wait_for()
    assert "Scale 3 of" in heading.inner_text()

    # Another place by keyboard, then its first bit.
    field.focus()
    for key in ("ArrowDown", "ArrowLeft", "Enter"):
        page.keyboard.press(key)
    heading.filter(has_text="row 2, column 2").wait_for()
    page.locator("#inside-token .bit").first.focus()
    page.keyboard.press("Enter")
    page.locator("#inside-flip .figures figure").nth(2).wait_for()
    assert page.locator("#inside-flip .changed b").nth(1).inner_text().startswith("0 of")
    assert page.locator("#inside-flip .changed b").nth(2).inner_text().startswith("1 of")
    with page.expect_download() as download:
        page.locator("#inside-flip a").nth(1).click()
    saved = tmp_path / "flipped.png"
    download.value.save_as(saved)
    start = read_record(saved).request.start
    assert start is not None and start.keep_scales == 3
    with Image.open(saved) as image:
        assert replay(model_folder, saved) == image.tobytes()

    # A word: its map lies over the picture, by scale.
    page.locator("#inside-words button").filter(has_text="apple").click()
    word = page.locator("#inside-viewer .field img.is-word")
    word.wait_for()
    assert "Word: apple" in word.get_attribute("alt")
    kind = page.locator("#inside-viewer .kind")
    assert kind.input_value() == "word"

    # The answer beside the picture, with the same controls; then three sizes, all of it readable.
    page.locator("#inside-flip [data-do=compare]").click()
    page.locator("#inside-viewer .side").nth(1).wait_for()
    read(page)
    kind.select_option("differs")
    for name, size in (("desktop", DESKTOP), ("tablet", TABLET), ("phone", PHONE)):
        page.set_viewport_size(size)
        shot(page, f"inside-{name}")
        assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
    assert violations(page) == []
