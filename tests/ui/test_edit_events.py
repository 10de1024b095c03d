"""The Edit tab's handlers over a tiny model: what the controls ask for is what is drawn and kept."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import numpy as np
import pytest
from PIL import Image

from infinity.edit import tasks
from infinity.edit.sources import bits_of, source_of
from infinity.hosting import Allowance, Hosting
from infinity.images import open_image
from infinity.manager import ModelManager
from infinity.metadata import read_record, save_png
from infinity.packing import unpack_bits, unpack_region
from infinity.request import GenerationRequest
from infinity.ui.edit.tab import EditTab
from infinity.ui.edit.ways import EDIT, EXTEND, MIX, REPAIR, VARY, WORDS
from infinity.ui.opening.wiring import build_back
from infinity.ui.shared.context import Context
from infinity.ui.shared.files import new_folder
from infinity.ui.shared.runs import Runs
from tests.edit.test_sources import photo
from tests.tiny import SPEC, tiny_pipeline

PIPELINE = tiny_pipeline()
VALUES = {
    "way": EDIT, "prompt": "a blue boat", "model": "tiny", "second": None, "keep_scales": 0,
    "softness": 0, "doubt": 0.1, "rounds": 1, "aspect_ratio": "3:2", "branches": 1, "seed": 5,
    "guidance": "", "temperature": "", "confidence": "", "negative_prompt": "",
}  # fmt: skip


def edit_tab(folder: Path, hosting: Hosting | None = None) -> EditTab:
    (folder / "config.json").write_text(json.dumps(SPEC.to_dict()))
    manager = ModelManager(models={"tiny": folder}, loader=lambda *_, **__: PIPELINE)
    with gr.Blocks():
        return EditTab(Context(manager, Runs(Allowance(hosting)), {"tiny": SPEC}), build_back())


class Page:
    """One browser's page, and what it was given last, by component."""

    def __init__(self, tab: EditTab) -> None:
        self.tab = tab
        self.who: Any = SimpleNamespace(session_hash=secrets.token_hex(8))
        self.shown: dict[Any, Any] = {}

    @property
    def tree(self) -> Any:
        return self.tab.tree_of(self.who)

    @property
    def status(self) -> str:
        return self.shown[self.tab.drawing.status]

    def do(self, handler: Any, *given: Any) -> None:
        self.shown |= handler(self.who, *given)

    def file(self, image: Image.Image) -> str:
        return str(save_png(image, new_folder() / "picture.png"))

    def open(self, image: Image.Image) -> None:
        self.do(self.tab.open_picture, self.file(image))

    def draw(self, *boxes: tuple[float, float, float, float], **changes: Any) -> None:
        """What happens once these shares of the canvas are painted, and Draw is pressed."""
        layer = Image.new("RGBA", (160, 160))
        for box in boxes:
            layer.paste((255, 0, 0, 150), tuple(round(160 * share) for share in box))
        values = self.tab.controls.updates(VALUES | changes)
        self.do(self.tab.start, values | {self.tab.sent: {"layers": [self.file(layer)]}})
        for updates in self.tab.paint(self.who):
            self.shown |= {part: update for part, update in updates.items() if update != gr.skip()}
        self.do(self.tab.arrive, self.shown.get(self.tab.drawing.finished))


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EditTab]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(tmp_path_factory.mktemp("files")))
        yield edit_tab(tmp_path_factory.mktemp("model"))


@pytest.fixture
def page(tab: EditTab) -> Page:
    return Page(tab)


@pytest.fixture(scope="module")
def boat() -> Image.Image:
    return PIPELINE.generate(GenerationRequest(prompt="a red boat", seed=1)).images[0]


RIGHT = (0.5, 0.0, 1.0, 1.0)
ASKED: dict[str, Any] = {
    EDIT: lambda p: tasks.edit(PIPELINE, p, RIGHT, prompt="a blue boat", seed=5),
    WORDS: lambda p: tasks.edit(PIPELINE, p, None, prompt="a blue boat", seed=5),
    VARY: lambda p: tasks.vary(PIPELINE, p, 0, prompt="a blue boat", seed=5),
    MIX: lambda p: tasks.mix(PIPELINE, p, photo(), 0),
    REPAIR: lambda p: tasks.repair(PIPELINE, p, RIGHT, doubt=0.1, prompt="a blue boat"),
    EXTEND: lambda p: tasks.extend(PIPELINE, p, "3:2", prompt="a blue boat", seed=5),
}


@pytest.mark.parametrize("way", ASKED)
def test_way_draws_what_its_task_asks_for_and_the_png_replays_it(page, boat, way):
    page.open(boat)
    second = page.file(photo())
    page.draw(RIGHT, way=way, second=second)
    expected = PIPELINE.generate(ASKED[way](boat)).images[0]
    got = open_image(page.tree.current.file)
    assert np.array_equal(np.asarray(got), np.asarray(expected))
    again = PIPELINE.generate(read_record(got).request).images[0]
    assert np.array_equal(np.asarray(got), np.asarray(again))
    assert page.tree.before.title == "Opened"
    assert f"Bits kept: {100 * page.tree.current.kept:.1f}%" in page.status
    assert page.shown[page.tab.drawing.finished].files == (page.tree.current.file,)


def test_second_picture_may_come_as_its_bits(page, boat):
    page.open(boat)
    bits_of(PIPELINE, source_of(PIPELINE, photo(), "1:1")).save(path := new_folder() / "bits.npz")
    page.draw(RIGHT, way=MIX, second=str(path))
    expected = PIPELINE.generate(ASKED[MIX](boat)).images[0]
    assert np.array_equal(np.asarray(open_image(page.tree.current.file)), np.asarray(expected))


def test_bits_outside_the_brushed_place_stay_and_the_rest_is_told(page, boat):
    page.open(boat)
    page.draw(RIGHT, branches=2)
    one, two = (node for node in page.tree.nodes if node.parent)
    request = read_record(two.file).request
    assert (read_record(one.file).request.seed, request.seed) == (5, 6)
    inside = unpack_region(request.start.region)
    assert inside[:, 4:].all() and not inside[:, :4].any()
    before = unpack_bits(request.start.bits, SPEC.schedules["1:1"], 8)
    after = unpack_bits(PIPELINE.generate(request).bits[0], SPEC.schedules["1:1"], 8)
    same = sum(int((a == b).sum()) for a, b in zip(before, after, strict=True))
    assert two.kept == pytest.approx(same / sum(bits.numel() for bits in before))
    outside = ~inside.flatten()
    assert np.array_equal(before[-1].numpy()[outside], after[-1].numpy()[outside])


def test_settings_left_empty_are_the_pictures_own(page):
    drawn = GenerationRequest(prompt="a red boat", guidance=2.0, temperature=0.5)
    page.open(PIPELINE.generate(drawn).images[0])
    page.draw(RIGHT, prompt="", temperature="0.7, 0.8")
    request = read_record(page.tree.current.file).request
    assert (request.prompt, request.guidance) == ("a red boat", 2.0)
    assert request.temperature == (0.7, 0.8)


def test_photo_is_cut_to_what_the_model_sees_and_its_prompt_is_asked_for(page):
    sideways = photo(100, 60)
    page.open(sideways)
    node = page.tree.current
    assert node.aspect_ratio == "3:2" and node.prompt == ""
    height, width = SPEC.image_size("3:2")
    assert open_image(node.file).size == (width, height)
    page.draw(RIGHT, prompt="")
    assert "say what it shows" in page.status
    page.draw(RIGHT)
    request = read_record(page.tree.current.file).request
    assert (request.aspect_ratio, request.prompt) == ("3:2", "a blue boat")


def test_transparent_picture_and_one_of_a_camera_are_opened(page):
    picture = photo(60, 90).convert("RGBA")
    picture.putalpha(90)
    page.open(picture)
    assert open_image(page.tree.current.file).mode == "RGB"
    assert page.tree.current.aspect_ratio == "2:3"


def test_undo_brings_back_the_picture_its_mask_and_its_words(page, boat):
    page.open(boat)
    page.draw(RIGHT)
    edited = page.tree.current
    assert page.shown[page.tab.canvas]["background"] == str(edited.file)
    page.do(page.tab.undo)
    canvas = page.shown[page.tab.canvas]
    assert page.tree.current.title == "Opened" and canvas["background"] != str(edited.file)
    assert page.shown[page.tab.controls["prompt"]] == "a blue boat"
    layer = open_image(canvas["layers"][0])
    width = layer.width
    assert layer.getchannel("A").getbbox() == (width // 2, 0, width, layer.height)
    page.do(page.tab.redo)
    assert page.tree.current == edited and page.shown[page.tab.canvas]["layers"] == []
    page.draw((0, 0, 0.5, 0.5), prompt="a house")
    assert page.tree.before == edited
    page.do(page.tab.go_on_from, SimpleNamespace(_data={"number": 1}))
    assert page.tree.current.number == 1
    page.do(page.tab.open_picture, str(edited.file))  # one of the tree is found there
    assert page.tree.current == edited and len(page.tree.nodes) == 3


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "Brush over what is to change first"),
        ({"way": MIX}, "Choose the second picture"),
        ({"way": MIX, "second": "/etc/passwd"}, "did not arrive"),
        ({"way": "paint"}, "choose what to do"),
        ({"way": VARY, "guidance": "x"}, "is not a number"),
        ({"way": VARY, "branches": 99}, "num_images must be"),
        ({"way": VARY, "keep_scales": "many"}, "keep_scales must be"),
        ({"way": VARY, "prompt": 3}, "prompt must be"),
        ({"way": VARY, "model": "tyni"}, "Unknown model"),
        ({"way": EXTEND, "aspect_ratio": "1:1"}, "fills 1:1 already"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(page, boat, changes, said):
    page.open(boat)
    page.draw(**changes)
    assert said in page.status
    assert len(page.tree.nodes) == 1 and len(page.tab.runs) == 0


def test_nothing_is_drawn_from_nothing_and_from_what_is_gone(page, boat):
    page.draw(RIGHT)
    assert "Open a picture first" in page.status
    page.open(boat)
    page.tree.current.file.unlink()
    page.draw(RIGHT)
    assert "no longer on the server" in page.status
    for number in (1, 7, "x", None):
        page.do(page.tab.go_on_from, SimpleNamespace(_data={"number": number}))
        assert "no longer on the server" in page.status
    for path in ("/etc/passwd", "", None, 3):
        page.do(page.tab.open_picture, path)
        assert "no longer on the server" in page.status
    page.do(page.tab.open_latest)
    assert "Nothing was drawn" in page.status


def test_whole_picture_may_be_brushed(page, boat):
    page.open(boat)
    page.draw((0, 0, 1, 1))
    assert page.tree.current.kept < 1
    assert unpack_region(read_record(page.tree.current.file).request.start.region).all()


def test_page_that_is_loaded_again_has_its_tree(page, boat):
    page.open(boat)
    page.draw(RIGHT)
    back = page.tab.come_back_to(page.who)
    assert len(back[page.tab.tree]["nodes"]) == 2
    assert back[page.tab.canvas]["background"] == str(page.tree.current.file)
    assert page.tab.controls["prompt"] not in back


def test_limits_of_the_host_hold(tab, tmp_path, boat):
    page = Page(edit_tab(tmp_path, Hosting(max_pictures=2, max_prompt_characters=20)))
    assert page.tab.controls["branches"].maximum == 2
    page.open(boat)
    page.draw(RIGHT, branches=3)
    assert "at most 2 pictures" in page.status
    page.draw(RIGHT, prompt="a boat" * 9)
    assert "at most 20 characters" in page.status
