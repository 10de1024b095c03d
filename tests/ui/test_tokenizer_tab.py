"""The Tokenizer tab's handlers, driven as Gradio drives them, over a tiny real model."""

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest
from PIL import Image

from infinity.edit.files import open_picture
from infinity.edit.sources import source_of
from infinity.metadata import save_png
from infinity.registry import MODEL_SPECS
from infinity.request import GenerationRequest
from infinity.ui.opening.wiring import build_back
from infinity.ui.shared.files import FinishedRun
from infinity.ui.tokenizer.tab import TokenizerTab
from infinity.ui.tokenizer.view import vocabulary_html
from tests.edit.test_sources import photo
from tests.tiny import PATCHIFY_SPEC, SPEC, tiny_pipeline
from tests.ui.fakes import make_context

ALICE: Any = SimpleNamespace(session_hash="alice")
PIPELINES = {spec.name: tiny_pipeline(spec) for spec in (SPEC, PATCHIFY_SPEC)}


class Manager:
    def names(self):
        return tuple(PIPELINES)

    def spec(self, name):
        return PIPELINES[name].spec

    def get(self, name, *_, **__):
        return PIPELINES[name]


@pytest.fixture
def tab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TokenizerTab:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    photo().save(tmp_path / "photo.png")
    drawn = PIPELINES["tiny"].generate(GenerationRequest(prompt="snow", seed=3)).images[0]
    save_png(drawn, tmp_path / "drawn.png")
    with gr.Blocks(), gr.Tab() as tab:
        return TokenizerTab(make_context(Manager()), tab, gr.State(None), build_back())


def rebuild(
    tab: TokenizerTab, path: Path | str | None, model: str = "tiny", aspect_ratio: str = ""
) -> list[dict[Any, Any]]:
    """All updates, the first from the press itself."""
    values: dict[Any, Any] = {tab.picture: path and str(path), tab.model: model}
    values[tab.aspect_ratio] = aspect_ratio
    return [tab.start(ALICE, values), *tab.paint(ALICE)]


def pressed(tab: TokenizerTab, scale: object, format: object) -> Any:
    event = SimpleNamespace(_data={"scale": scale, "format": format})
    return tab.choose(ALICE, event)  # type: ignore[arg-type]


def test_aspect_ratio_is_the_chosen_one_and_its_bits_go_with_it(tab, tmp_path):
    *_, last = rebuild(tab, tmp_path / "photo.png", aspect_ratio="1:1")
    original, newest = map(Image.open, last[tab.slider]["value"])
    assert original.size == newest.size == SPEC.image_size("1:1")
    (bits,) = tmp_path.glob("*/bits.npz")
    assert open_picture(bits).aspect_ratio == "1:1"
    (refused,) = rebuild(tab, bits, aspect_ratio="3:2")[-1:]
    assert "or bits of the same aspect ratio" in refused[tab.drawing.status]
    (unknown, *_) = rebuild(tab, tmp_path / "photo.png", aspect_ratio="9:1")
    assert "choose one of 1:1, 3:2, 2:3" in unknown[tab.drawing.status]


@pytest.mark.parametrize("model", PIPELINES)
def test_picture_is_rebuilt_scale_by_scale_with_its_figures(tab, tmp_path, model):
    *updates, last = rebuild(tab, tmp_path / "photo.png", model)
    strips = [update[tab.strip].count("<li><button") for update in updates if tab.strip in update]
    assert strips[-4:] == [1, 2, 3, 4], "of 3:2"
    rebuilt = PIPELINES[model].reconstruct(photo())
    measured = list(PIPELINES[model].measure(rebuilt))
    for one in measured:
        assert f"<td>{one.bits:,}</td><td>{one.nbytes:,}</td>" in last[tab.table]
        assert f"{one.psnr:.1f} dB<small>{one.ssim:.3f}</small>" in last[tab.table]
    assert f"Rebuilt from {measured[-1].bits:,} bits" in last[tab.drawing.status]
    original, newest = last[tab.slider]["value"]
    assert Image.open(original).tobytes() == rebuilt.original.tobytes()
    assert Image.open(newest).tobytes() == rebuilt.image.tobytes()


def test_every_picture_and_format_stands_beside_the_original_when_pressed(tab, tmp_path):
    Image.new("RGB", (300, 300), (90, 120, 30)).save(tmp_path / "plain.png")
    *_, last = rebuild(tab, tmp_path / "plain.png")
    there = re.findall(r'data-scale="(\d)" data-format="(\w+)"', last[tab.table])
    assert {name for _, name in there} >= {"png", "webp"}
    for number, format in there:
        update = pressed(tab, int(number), format)
        assert update["value"][1].endswith(f"scale-0{number}.{format}") and update["label"]
    nowhere = [
        (0, "png"),
        (9, "png"),
        ("1", "png"),
        (True, "png"),
        (1, "exe"),
        (1, None),
        (None, {}),
    ]
    for scale, format in nowhere:
        assert pressed(tab, scale, format) == gr.skip()


def test_bits_can_be_downloaded_and_opened_again(tab, tmp_path):
    pipeline = PIPELINES["tiny"]
    for name, whose in (("photo.png", "its bits"), ("drawn.png", "the bits it was drawn with")):
        *_, last = rebuild(tab, tmp_path / name)
        assert f"Download {whose} (" in last[tab.strip]
        path = Path(re.search(r"file=([^\"]*npz)", last[tab.strip])[1])
        expected = source_of(pipeline, open_picture(tmp_path / name))
        assert source_of(pipeline, open_picture(path)) == expected
        *_, again = rebuild(tab, path)
        assert "equal<small>1.000</small>" in again[tab.table]
        (png,) = re.findall(r"file=([^\"]*picture.png)", again[tab.strip])
        assert png not in last[tab.strip]
        if expected.request is not None:
            found = source_of(pipeline, open_picture(Path(png)))
            assert (found.bits, found.request.prompt) == (expected.bits, "snow")


@pytest.mark.parametrize(
    ("path", "model", "said"),
    [
        ("/etc/passwd", "tiny", "Send the PNG itself"),
        ("strange.npz", "tiny", "The picture cannot be read as a file of bits"),
        ("strange.png", "tiny", "The picture cannot be read as a picture"),
        ("photo.png", "none", "Unknown model"),
    ],
)
def test_strange_file_is_answered_with_a_sentence(tab, tmp_path, path, model, said):
    (tmp_path / "strange.npz").write_bytes(b"PK\3\4" + b"x" * 99)
    (tmp_path / "strange.png").write_bytes(b"x" * 99)
    last = rebuild(tab, tmp_path / path, model)
    assert any(said in update.get(tab.drawing.status, "") for update in last)
    assert len(tab.runs) == 0


def test_bits_of_another_model_are_refused(tab, tmp_path):
    *_, last = rebuild(tab, tmp_path / "photo.png")
    path = re.search(r"file=([^\"]*npz)", last[tab.strip])[1]
    *_, last = rebuild(tab, path, "tiny-patchify")
    assert "bits of the model &#x27;tiny&#x27;" in last[tab.drawing.status]


def test_stop_ends_between_two_scales(tab, tmp_path):
    values = {tab.picture: str(tmp_path / "photo.png"), tab.model: "tiny", tab.aspect_ratio: ""}
    assert tab.start(ALICE, values)
    updates = tab.paint(ALICE)
    while "Scale 2 of 4" not in next(updates)[tab.drawing.status]:
        pass
    tab.stop(ALICE)
    *_, last = updates
    assert "Stopped." in last[tab.drawing.status]
    assert last[tab.strip].count("<li><button") == 2 and "Download" not in last[tab.strip]


def test_nothing_chosen_begins_nothing(tab):
    assert rebuild(tab, None)[0].keys() == {tab.drawing.status}


def test_picture_of_another_tab_is_taken_over(tab, tmp_path):
    path = tmp_path / "drawn.png"
    assert tab.open_picture(ALICE, str(path)) == {tab.picture: str(path)}
    latest = FinishedRun("tiny", GenerationRequest(prompt="snow"), (path,), 1.0, 0.0)
    assert tab.take_latest(ALICE, latest) == {tab.picture: str(path)}
    for refused in (tab.open_picture(ALICE, "/etc/passwd"), tab.take_latest(ALICE, None)):
        assert refused.keys() == {tab.drawing.status} and "is-failed" in refused[tab.drawing.status]


def test_opening_the_tab_begins_with_what_was_handed_over_and_once(tab, tmp_path):
    values: dict[Any, Any] = {tab.picture: None, tab.model: "tiny", tab.aspect_ratio: ""}
    assert len(tab.start_handed_over(ALICE, values)) == 1 and len(tab.runs) == 0
    values[tab.picture] = str(tmp_path / "drawn.png")
    assert tab.strip in tab.start_handed_over(ALICE, values)
    *_, last = tab.paint(ALICE)
    assert "Rebuilt" in last[tab.drawing.status]
    assert tab.start_handed_over(ALICE, values) == {tab.drawing.status: gr.skip()}
    assert len(tab.runs) == 0


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("infinity-2b", "2<sup>32</sup> = 4,294,967,296 entries"),
        ("infinity-8b", "2<sup>56</sup> = 72,057,594,037,927,936 entries"),
    ],
)
def test_vocabulary_is_written_out(tab, name, written):
    assert written in vocabulary_html(MODEL_SPECS[name])
    assert "8.8 trillion weights" in vocabulary_html(MODEL_SPECS["infinity-2b"])
    tiny, other = (tab.tell_model(name) for name in ("tiny", "tiny-patchify"))
    assert tiny[tab.facts] != other[tab.facts]
    offered = [ratio for _, ratio in other[tab.aspect_ratio]["choices"]]
    assert offered == ["", *PATCHIFY_SPEC.aspect_ratios]
