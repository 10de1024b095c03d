"""The Tokenizer tab in a real browser."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from infinity.edit.files import PictureBits, open_picture
from tests.e2e.steps import PHONE, ask, finished, open_tab, shot
from tests.e2e.test_accessibility import violations

SHOWN = "#tokenizer-slider label"


def choose(page, path: Path) -> None:
    open_tab(page, "Tokenizer")
    page.locator("#tokenizer-picture input[type=file]").set_input_files(path)
    page.locator("#tokenizer-status .is-done").wait_for()


def test_picture_is_rebuilt_and_its_bits_stand_for_it(app_url, new_page, tmp_path):
    Image.new("RGB", (300, 300), "orange").save(tmp_path / "photo.png")
    page = new_page(app_url)
    choose(page, tmp_path / "photo.png")
    assert page.locator(".scale-strip img").count() == 7
    assert "2" in page.locator("#tokenizer-facts sup").first.inner_text()
    page.locator(".scale-strip button").nth(2).press("Enter")
    page.locator(SHOWN).filter(has_text="after scale 3 × 3").wait_for()
    page.locator("button[data-format=webp]").last.click()
    page.locator(SHOWN).filter(has_text="WebP of quality").wait_for()
    assert page.locator("#panel-tokenizer [aria-pressed=true]").count() == 1
    assert not violations(page)
    shot(page, "tokenizer")
    with page.expect_download() as download:
        page.locator("#tokenizer-strip a.plain-button").click()
    download.value.save_as(path := tmp_path / "bits.npz")
    assert isinstance(open_picture(path), PictureBits)

    drawing = new_page(app_url)
    ask(drawing)
    finished(drawing)
    drawing.locator("button.picture-tokens").first.click()
    drawing.locator(SHOWN).filter(has_text="after scale 12 × 12").wait_for()
    drawing.locator("#tokenizer-strip").filter(has_text="it was drawn with").wait_for()

    other = new_page(app_url, PHONE, "dark")
    choose(other, path)
    other.locator(".scale-table").filter(has_text="equal").wait_for()
    assert other.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    assert not violations(other)
    shot(other, "tokenizer-phone-dark")
