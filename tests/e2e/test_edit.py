"""The Edit tab in a real browser."""

from __future__ import annotations

import numpy as np
from PIL import Image

from infinity.metadata import read_record
from infinity.packing import unpack_region
from tests.e2e.steps import (
    PHONE,
    PROMPT,
    ask,
    box,
    brush,
    draw_edit,
    finger,
    finished,
    open_tab,
    settled,
    shot,
    status,
)


def upload(page, path) -> None:
    open_tab(page, "Edit")
    page.locator("#edit-open input[type=file]").set_input_files(path)
    page.locator("#edit-status .message").filter(has_text="Choose what to do").wait_for()


def nodes(page, count: int):
    found = page.locator("#edit-tree [data-number]")
    found.nth(count - 1).wait_for()
    assert found.count() == count
    return found


def current(page, number: int) -> None:
    page.locator(f'#edit-tree [data-number="{number}"][aria-current="true"]').wait_for()


def test_picture_is_brushed_drawn_undone_and_gone_on_from(real_server, new_page, tmp_path):
    pixels = np.random.default_rng(1).integers(0, 255, (30, 40, 3), np.uint8)
    Image.fromarray(pixels).resize((400, 300)).save(tmp_path / "photo.jpg")
    page = new_page(real_server.url)
    upload(page, tmp_path / "photo.jpg")
    page.locator("#draw-edit").click()
    page.locator("#edit-status [role=alert]").filter(has_text="Brush over what").wait_for()

    brush(page, (0.3, 0.3), (0.7, 0.3))
    page.locator("#edit-prompt textarea").fill(PROMPT)
    page.locator("#draw-edit").click()
    for _ in range(2):
        real_server.gate.let(1)
    page.locator("#edit-stage img").wait_for()  # it grows scale by scale
    real_server.gate.open()
    page.locator("#edit-status .message").filter(has_text="finished in").wait_for()
    nodes(page, 2)
    current(page, 2)
    page.locator("#edit-tree footer p").filter(has_text="bits kept").wait_for()
    shot(page, "edit-drawn")
    with page.expect_download() as download:
        page.locator("#edit-tree footer a").click()
    download.value.save_as(tmp_path / "edited.png")
    request = read_record(tmp_path / "edited.png").request
    inside = unpack_region(request.start.region)
    assert 0 < inside.sum() < inside.size / 2
    rows, columns = (np.flatnonzero(inside.any(axis)) / inside.shape[0] for axis in (1, 0))
    assert 0.1 <= rows.min() <= rows.max() <= 0.5 and columns.min() <= 0.35 <= columns.max()

    page.locator("#edit-tree [data-do=undo]").click()
    current(page, 1)
    draw_edit(page)  # the mask came back with the picture
    nodes(page, 3)
    current(page, 3)
    page.locator('#edit-tree [data-number="3"]').focus()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    current(page, 2)
    page.locator("#way").get_by_text("Vary", exact=True).click()
    draw_edit(page)
    page.locator("#edit-tree li li li [data-number='4']").wait_for()

    page.reload()
    nodes(page, 4)
    current(page, 4)


def test_phone_paints_with_a_finger_and_goes_on_with_branches(real_server, new_page):
    real_server.gate.open()
    page = new_page(real_server.url, PHONE, "dark")
    ask(page, "a red apple")
    finished(page)
    page.locator("#stage .picture-edit").click()
    current(page, 1)
    drawn_as = page.locator("#edit-prompt textarea").input_value()
    assert drawn_as.startswith("a red apple "), "the caption it was completed to"
    before = page.evaluate("scrollY")
    settled(page, ["#canvas canvas >> nth=0"])
    finger(page, (0.4, 0.4), (0.5, 0.4), (0.6, 0.4), (0.6, 0.5))
    assert page.evaluate("scrollY") >= before, "the finger paints, it does not pull the page"
    page.locator("#draw-edit").click()
    nodes(page, 2)
    page.locator("#edit-status .note").filter(has_text="Bits kept").wait_for()
    stage, settings = (box(page, f"#edit-{name}")["y"] for name in ("stage", "settings"))
    assert stage < settings, "what is drawn is not below all the settings"
    page.locator("#edit-tree [data-do=undo]").click()
    current(page, 1)
    page.locator("#way").get_by_text("Change by words", exact=True).click()
    page.locator("#edit-prompt textarea").fill("a red apple in the snow")
    page.locator("#edit-branches input[type=number]").fill("2")
    draw_edit(page)
    nodes(page, 4)
    page.locator("#edit-tree label").click()
    page.locator("#edit-tree .region").wait_for()
    shot(page, "edit-phone-dark")
    open_tab(page, "History")
    assert page.locator(".cards button").count() == 4
    open_tab(page, "Generate")
    status(page, "finished in")
