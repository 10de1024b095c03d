"""The Inside tab's handlers, driven as Gradio drives them, over a tiny model."""

from __future__ import annotations

import base64
import io
import json
import re
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import gradio as gr
import numpy as np
import pytest
from PIL import Image

from infinity.edit.sources import bits_of, source_of
from infinity.hosting import Allowance, Hosting
from infinity.inside import maps
from infinity.inside.drawing import colored
from infinity.metadata import read_record, save_png
from infinity.packing import unpack_bits
from infinity.request import GenerationRequest
from infinity.ui.generate.tab import GenerateTab
from infinity.ui.inside.tab import InsideTab
from infinity.ui.opening.wiring import build_back
from tests.edit.test_sources import photo
from tests.tiny import SPEC, tiny_pipeline
from tests.ui.fakes import make_context

ALICE: Any = SimpleNamespace(session_hash="alice")
PIPELINE = tiny_pipeline()
REQUEST = GenerationRequest(prompt="a red apple", seed=1)
DONE, OTHER, WIDE = (
    PIPELINE.generate(request)
    for request in (
        REQUEST,
        GenerationRequest(prompt="a blue apple", seed=2),
        GenerationRequest(prompt="snow", aspect_ratio="3:2"),
    )
)


class TinyManager:
    def names(self):
        return ("tiny",)

    def spec(self, name):
        return SPEC

    def fingerprint(self, name):
        return ""

    def get(self, *_, **__):
        return PIPELINE


class Page:
    """The handlers of one page, and all that its browser shows."""

    def __init__(self) -> None:
        context = make_context(TinyManager())
        with gr.Blocks():
            back = build_back()
            model = GenerateTab(context, back).controls["model"]
            self.tab = InsideTab(context, model, back)
        tab = self.tab
        self.shown: dict[Any, Any] = {
            tab.source: "", tab.other: "", tab.prompt: "", model: "tiny",
            tab.shown: tab.shown.value,
        }  # fmt: skip
        self.inputs = list(self.shown)

    def take(self, updates: dict[Any, Any]) -> None:
        self.shown |= {part: update for part, update in updates.items() if update != gr.skip()}

    def begin(self, start: Any, *event: Any) -> None:
        self.take(start(ALICE, {part: self.shown[part] for part in self.inputs}, *event))

    def run(self, start: Any, *event: Any) -> str:
        """Begin and follow a run; what the status line says of its end."""
        self.begin(start, *event)
        for updates in self.tab.paint(ALICE):
            self.take(updates)
        return self.status

    def look(self, path: Any, other: Any = "") -> str:
        self.take(self.tab.open_picture(ALICE, str(path)))
        if other:
            self.take(self.tab.open_beside(ALICE, str(other), self.shown[self.tab.source]))
        return self.run(self.tab.start)

    def flip(self, **place: int) -> str:
        return self.run(self.tab.start_flip, event(**place))

    @property
    def view(self) -> Any:
        return self.shown[self.tab.shown]

    @property
    def viewer(self) -> Any:
        return self.shown[self.tab.viewer]

    @property
    def status(self) -> str:
        return self.shown[self.tab.drawing.status]


def event(**data: Any) -> Any:
    return SimpleNamespace(_data=data)


@pytest.fixture
def page(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    names = {"apple": DONE, "other": OTHER, "wide": WIDE}
    for name, done in names.items():
        save_png(done.images[0], tmp_path / f"{name}.png")
    photo(64, 64).save(tmp_path / "photo.png")
    return Page()


def decoded(address: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(address.split(",")[1]))))


def test_every_map_of_every_scale_is_sent_as_a_small_picture_in_words_and_numbers(page, tmp_path):
    assert "Read in" in page.look(tmp_path / "apple.png")
    (side,), inspection = page.viewer["sides"], page.tab.shelf.get(page.view.keys[0])
    names = [kind["name"] for kind in page.viewer["kinds"]]
    assert names == ["added", "entropy", "confidence", "likelihood", "prompt", "decided"]
    assert {len(side["maps"][name]) for name in names} == {5} == {len(side["pictures"])}
    sent = side["maps"]["entropy"][3]
    values = maps.entropy(inspection.scales[3])
    expected = colored(values, (0.0, 1.0), maps.SEQUENTIAL)
    assert np.array_equal(decoded(sent["source"]), np.asarray(expected))
    assert (sent["low"], sent["high"]) == ("0.00", "1.00")
    assert (sent["least"], sent["most"]) == (f"{values.min():.2f}", f"{values.max():.2f}")
    row, column = np.argwhere(values == values.max())[0] + 1
    assert f"at row {row}, column {column}; mean {values.mean():.2f}" in sent["alt"]
    assert page.shown[page.tab.words]["words"] == ["a", "red", "apple"]


def test_two_pictures_share_their_colors_and_show_where_they_differ(page, tmp_path):
    page.look(tmp_path / "apple.png", tmp_path / "other.png")
    one, other = page.viewer["sides"]
    assert [side["title"] for side in (one, other)] == ["a red apple", "a blue apple"]
    for name in ("prompt", "differs", "added"):
        pairs = zip(one["maps"][name], other["maps"][name], strict=True)
        assert all((a["low"], a["high"]) == (b["low"], b["high"]) for a, b in pairs)
    share = np.mean(
        [a != b for a, b in zip(bits(DONE)[4].flatten(), bits(OTHER)[4].flatten(), strict=True)]
    )
    assert one["maps"]["differs"][4]["mean"] == f"{share:.2f}" != "0.00"
    page.take(page.tab.show_word(page.view, event(number=2)))
    mine, theirs = page.shown[page.tab.words]["maps"]
    assert len(mine) == 5 and mine[2]["source"] != theirs[2]["source"]
    page.take(page.tab.show_word(page.view, event(number=1)))
    _, theirs = page.shown[page.tab.words]["maps"]
    assert {each["most"] for each in theirs} == {"0.00"}, "its prompt has no such word"


def bits(done: Any) -> list[np.ndarray]:
    ratio = done.request.aspect_ratio
    return [each.numpy() for each in unpack_bits(done.bits[0], SPEC.schedules[ratio], 8)]


def test_token_shows_its_bits_as_they_are(page, tmp_path):
    page.look(tmp_path / "apple.png")
    page.take(page.tab.show_token(page.view, event(scale=3, row=2, column=4)))
    html, inspection = page.shown[page.tab.token], page.tab.shelf.get(page.view.keys[0])
    assert "Scale 4 of 5, row 3, column 5" in html
    token = 2 * 5 + 4
    signs = re.findall(r'aria-label="Bit \d+ is (.), probability (\d\.\d\d)', html)
    likely = inspection.scales[3].likelihood_lD[token]
    assert signs == [
        ("+" if bit else "−", f"{p:.2f}")
        for bit, p in zip(bits(DONE)[3][token], likely, strict=True)
    ]
    assert html.count("is-surprising") == (likely < 0.5).sum()


def test_flipped_bit_is_drawn_saved_and_can_be_laid_beside(page, tmp_path):
    page.look(tmp_path / "apple.png")
    page.tab.runs.allowance = allowance = Allowance(Hosting(requests_per_minute=9))
    assert "Drawn in" in page.flip(scale=2, row=1, column=0, bit=7)
    assert [len(begun) for begun in allowance._begun.values()] == [3]
    assert len(page.viewer["sides"]) == 1, "what was shown stays"
    alone, answered = page.view.drawn
    read = [read_record(run.files[0]) for run in (alone, answered)]
    starts: list[Any] = [record.request.start for record in read]
    assert [start.keep_scales for start in starts] == [5, 3]
    again = tiny_pipeline().generate(read[1].request)
    with Image.open(answered.files[0]) as saved:
        assert np.array_equal(np.asarray(saved), np.asarray(again.images[0]))
    html = page.shown[page.tab.flip]
    assert "Bit 8 of scale 3, row 2, column 1" in html
    count = int((bits(again)[4] != bits(DONE)[4]).sum())
    assert f"<b>{count:,} of 512</b>" in html and "<b>1 of 72</b>" in html
    assert page.shown[page.tab.drawing.finished] == (alone, answered)
    page.take(page.tab.open_answer(page.view))
    page.run(page.tab.start)
    assert page.viewer["sides"][0]["maps"]["differs"][1]["most"] == "0.00"
    assert page.viewer["sides"][0]["maps"]["differs"][4]["most"] != "0.00"


def test_numbers_are_one_file(page, tmp_path):
    page.look(tmp_path / "apple.png")
    page.take(page.tab.save_numbers(page.view))
    name = page.shown[page.tab.archive].split("file=")[1]
    with np.load(name) as file:
        assert np.array_equal(file["scale_3_bits"], bits(DONE)[2])
        about = json.loads(str(file["about"]))
    assert (
        about["words"][4] == ["a", "red", "apple", ""] and about["weights"] == PIPELINE.fingerprint
    )


def test_file_of_bits_is_read_as_its_picture(page, tmp_path):
    source = source_of(PIPELINE, DONE.images[0])
    bits_of(PIPELINE, source).save(tmp_path / "bits.npz")
    assert "Read in" in page.look(tmp_path / "bits.npz")
    assert page.tab.shelf.get(page.view.keys[0]).bits == DONE.bits[0]
    assert page.shown[page.tab.words]["words"] == ["a", "red", "apple"]
    bits_of(PIPELINE, replace(source, request=None)).save(tmp_path / "wordless.npz")
    assert "say what it shows" in page.look(tmp_path / "wordless.npz")
    (tmp_path / "damaged.npz").write_bytes((tmp_path / "bits.npz").read_bytes()[:-200])
    assert "damaged.npz" not in page.look(tmp_path / "damaged.npz")
    assert "is-failed" in page.status


def test_picture_whose_own_prompt_is_beyond_the_limit_is_not_read(page, tmp_path):
    page.tab.runs.allowance.hosting = Hosting(public=True, max_prompt_characters=10)
    assert "at most 10 characters" in page.look(tmp_path / "apple.png")
    assert page.viewer is None or "sides" not in page.viewer


def test_photo_is_read_once_its_words_are_given(page, tmp_path):
    assert "say what it shows" in page.look(tmp_path / "photo.png")
    page.shown[page.tab.prompt] = "green snow"
    assert "Read in" in page.run(page.tab.start)


@pytest.mark.parametrize(
    ("act", "said"),
    [
        (lambda page: page.run(page.tab.start), "Open a picture first"),
        (lambda page: page.take(page.tab.open_picture(ALICE, "/etc/passwd")), "Send the PNG"),
        (lambda page: page.take(page.tab.open_latest(ALICE)), "Nothing was drawn"),
        (lambda page: page.take(page.tab.open_beside(ALICE, "x", "")), "Open a picture first"),
        (lambda page: page.take(page.tab.show_token(page.view, event(scale=0))), "Open a picture"),
        (lambda page: page.flip(scale=0, row=0, column=0, bit=0), "Open a picture first"),
        (lambda page: page.take(page.tab.save_numbers(page.view)), "Open a picture first"),
    ],
)
def test_without_a_picture_a_sentence_says_what_to_do(page, act, said):
    act(page)
    assert said in page.status


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"scale": 9, "row": 0, "column": 0}, "no scale 10"),
        ({"scale": 1, "row": 5, "column": 0}, "no row 6"),
        ({"scale": "1", "row": 0, "column": 0}, "whole numbers"),
        ({"scale": True, "row": 0, "column": 0}, "whole numbers"),
    ],
)
def test_place_that_is_not_there_is_told(page, tmp_path, data, said):
    page.look(tmp_path / "apple.png")
    page.take(page.tab.show_token(page.view, event(**data)))
    assert said in page.status
    assert said in page.flip(**data)
    page.take(page.tab.show_word(page.view, event(number=3)))
    assert "no such word" in page.status


def test_pictures_of_other_shapes_are_refused_and_nothing_is_lost(page, tmp_path):
    page.look(tmp_path / "apple.png")
    before = page.viewer
    assert "two of the same" in page.look(tmp_path / "apple.png", tmp_path / "wide.png")
    assert page.viewer == before


def test_stop_ends_a_reading(page, tmp_path):
    page.take(page.tab.open_picture(ALICE, str(tmp_path / "apple.png")))
    page.begin(page.tab.start)
    painting = page.tab.paint(ALICE)
    for updates in painting:
        page.take(updates)
        if "Reading its scales" in page.status:
            page.tab.stop(ALICE)
    assert "Stopped." in page.status and len(page.tab.runs) == 0


def test_numbers_that_are_gone_are_asked_for_again(page, tmp_path):
    page.look(tmp_path / "apple.png")
    page.tab.shelf._kept.clear()
    page.take(page.tab.show_token(page.view, event(scale=0, row=0, column=0)))
    assert "look inside again" in page.status
