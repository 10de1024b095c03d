"""From a picture's buttons to the tab that takes it, and its growth as a file."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest
from PIL import Image

from infinity.errors import RequestError
from infinity.ui.controls.request import KEEP
from infinity.ui.generate import view as viewing
from infinity.ui.generate.growth import growth_of
from infinity.ui.pictures.hand_over import GONE, Button, build_hand_over
from infinity.ui.shared.files import save_pictures
from infinity.ui.shared.status import status_html
from infinity.ui.shared.wiring import Components
from tests.ui.test_view import SPEC, done, preview


class Taking:
    """A tab that takes a picture."""

    def __init__(self) -> None:
        with gr.Row():
            self.shown = gr.Textbox()
            self.way = gr.Textbox()

    def open_picture(self, request: Any, path: str) -> dict[Any, Any]:
        return {self.shown: path}


@pytest.fixture
def page() -> SimpleNamespace:
    with gr.Blocks() as app:
        note = gr.HTML()
        controls = Components(seed=gr.Number(), seed_mode=gr.Textbox())
        with gr.Tabs() as tabs, gr.Tab("Edit", id="edit") as tab:
            taking = Taking()
        vary = Button("vary", "Vary", "Anew", tab, taking, {taking.way: "vary"})
        build_hand_over([vary], tabs, note, controls)
    handlers = {function.targets[0][1]: function for function in app.fns.values()}

    def press(event: str, data: object) -> dict[Any, Any]:
        told = SimpleNamespace(_data=data)
        arguments = [told] if event == "use" else [None, told]
        return handlers[event].fn(*arguments)

    return SimpleNamespace(press=press, note=note, tabs=tabs, taking=taking, controls=controls)


def test_picture_opens_in_the_tab_that_takes_it(page):
    (path,) = save_pictures([Image.new("RGB", (8, 8))], done().request)
    updates = page.press("vary", {"file": f"{path.parent.name}/{path.name}"})
    assert updates[page.taking.shown] == str(path.resolve())
    assert updates[page.taking.way] == "vary"
    assert updates[page.tabs]["selected"] == "edit"


@pytest.mark.parametrize("data", [None, [], {}, {"file": 3}, {"file": "../../etc/passwd"}])
def test_picture_that_is_gone_or_strange_gets_a_sentence(page, data):
    updates = page.press("vary", data)
    assert list(updates) == [page.note]
    assert GONE in updates[page.note]


def test_seed_of_a_picture_is_kept_for_the_next_run(page):
    updates = page.press("use", {"seed": 41})
    assert updates[page.controls["seed"]] == 41
    assert updates[page.controls["seed_mode"]] == KEEP
    assert list(page.press("use", {"seed": "x"})) == [page.note]


def drawn(images: int) -> viewing.View:
    view = viewing.opened(viewing.waiting(("x",) * images), SPEC, "1:1")
    red = replace(preview(4), images=(Image.new("RGB", (48, 48), "red"),) * images)
    view = viewing.after(viewing.after(view, preview(1, images)), red)
    pictures = [Image.new("RGB", (600, 400), (0, 200, 0))] * images
    request = replace(done().request, num_images=images)
    saved = viewing.FinishedRun("m", request, tuple(save_pictures(pictures, request)), 1.0, 0.0)
    return viewing.after(view, done(), saved)


@pytest.mark.parametrize("kind", ["webp", "gif"])
def test_growth_shows_every_scale_and_ends_with_the_finished_picture(kind):
    with Image.open(growth_of(drawn(1), kind)) as growth:
        assert growth.format == kind.upper()
        assert growth.n_frames == 3
        assert growth.size == (600, 400)
        growth.seek(2)
        assert growth.convert("RGB").getpixel((300, 200)) == pytest.approx((0, 200, 0), abs=4)


def test_growth_of_no_picture_is_refused():
    with pytest.raises(RequestError, match="draw one first"):
        growth_of(viewing.idle(SPEC), "gif")


def test_words_that_may_have_been_meant_can_be_pressed():
    said = "“fxo” and “<b>” are not known. Did you mean “fox” for “fxo”, “bee” for “<b>”?"
    html = status_html(viewing.Status("done", "", 1.0, (said,)))
    assert '<button type="button" data-word="fxo"><span>fox</span></button>' in html
    assert 'data-word="&lt;b&gt;"' in html
    assert "<b>" not in html
