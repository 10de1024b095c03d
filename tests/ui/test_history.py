"""History, replay and links without a browser: what is kept, trusted, put back and refused."""

from __future__ import annotations

import json
import zipfile
import zlib
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qsl

import gradio as gr
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from infinity.edit.files import PictureBits
from infinity.errors import RequestError
from infinity.grid.axes import Axis
from infinity.grid.plan import GridPlan
from infinity.grid.sheet import sheet
from infinity.metadata import KEY, PictureRecord, attach, save_png
from infinity.request import GenerationRequest
from infinity.start import Start
from infinity.ui.app import build_app
from infinity.ui.controls.request import MAX_PICTURES, request_from
from infinity.ui.history.entries import Entry, details_html, entries_of, zip_pictures
from infinity.ui.history.tab import pack_files
from infinity.ui.opening.replay import (
    MOST_CHARACTERS,
    Replay,
    link_query,
    note_html,
    read_drop,
    read_link,
)
from infinity.ui.shared.context import Context
from infinity.ui.shared.files import FinishedRun, own_file, save_pictures
from infinity.ui.shared.runs import Runs
from tests.ui.fakes import FakeManager, make_spec, tabs_of

REQUEST = GenerationRequest(
    prompt="a {red|blue} <b>apple</b>", seed=2**32 - 1, num_images=2, guidance=3.0, temperature=0.9,
    top_k=0, top_p=1.0, guidance_layers=(0,),
)  # fmt: skip
SPECS = {"default": make_spec("default", "Infinity emoji"), "other": make_spec("other", "Another")}


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FinishedRun:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    images = [Image.new("RGB", (64, 32), color) for color in ("red", "blue")]
    paths = save_pictures(images, REQUEST)
    return FinishedRun(model="default", request=REQUEST, files=tuple(paths), seconds=1.0, when=1e9)


def test_every_picture_of_a_run_becomes_an_entry_of_its_own(run, tmp_path):
    second, first = entries_of(run)
    assert [first.request, second.request] == list(REQUEST.pictures())
    assert first.words in ("a red <b>apple</b>", "a blue <b>apple</b>")
    assert own_file(second.file) == run.files[1]
    assert len(json.dumps(first.to_dict())) < 5000


def test_entry_survives_the_browser(run):
    for entry in entries_of(run):
        assert Entry.from_dict(json.loads(json.dumps(entry.to_dict()))) == entry


@pytest.mark.parametrize(
    "change",
    [
        {"file": "/etc/passwd"},
        {"file": "../../etc/passwd"},
        {"file": f"{'a' * 32}/../../x.png"},
        {"file": f"{'a' * 32}/infinity-x.png\n"},
        {"thumbnail": "javascript:alert(1)"},
        {"thumbnail": 'data:image/webp;base64,AA" onerror="x'},
        {"thumbnail": "data:image/webp;base64," + "A" * 100_000},
        {"request": None},
        {"request": {"prompt": "a", "guidance": "much"}},
        {"model": 5},
        {"when": "yesterday"},
        {"when": 1e300},
    ],
)
def test_entry_that_was_tampered_with_is_refused(run, change):
    with pytest.raises(RequestError):
        Entry.from_dict(entries_of(run)[0].to_dict() | change)


@pytest.mark.parametrize("data", [None, [], "x", {}, {"request": {}}])
def test_entry_that_is_none_is_refused(data):
    with pytest.raises(RequestError):
        Entry.from_dict(data)


def test_name_of_a_file_leads_nowhere_but_to_pictures_of_the_page(run, tmp_path):
    secret = tmp_path.parent / "secret.png"
    secret.write_bytes(b"x")
    folder = tmp_path / ("a" * 32)
    folder.mkdir()
    (folder / "infinity-link.png").symlink_to(secret)
    for file in (f"{'a' * 32}/infinity-link.png", "../secret.png", str(secret), "", "infinity.png"):
        assert own_file(file) is None
    run.files[0].unlink()
    assert own_file(entries_file(run.files[0])) is None


def entries_file(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


def test_details_are_escaped_and_say_gently_that_a_file_is_gone(run):
    entry = entries_of(run)[0]
    there, gone = (details_html(entry, path, "<i>Model</i>") for path in (run.files[1], None))
    for html in (there, gone):
        assert "<b>apple" not in html
        assert "<i>Model" not in html
        assert "Seed" in html
    assert "&quot;download&quot;" in there
    assert "no longer on the server" in gone
    assert entry.thumbnail in gone


def test_zip_holds_all_pictures_byte_for_byte(run, tmp_path):
    target = zip_pictures(run.files * 2)
    with zipfile.ZipFile(target) as archive:
        assert len(set(archive.namelist())) == 4
        assert archive.read(archive.namelist()[3]) == run.files[1].read_bytes()


def test_zip_of_strangers_files_is_refused(run):
    for files in (None, "x", [], ["/etc/passwd"], [5], ["../" * 9 + "etc/passwd"], ["x" * 300]):
        with pytest.raises(RequestError, match="None of these pictures"):
            pack_files(files)
    path, said = pack_files([entries_file(run.files[0]), f"{'b' * 32}/infinity-gone.png"])
    assert path.is_file()
    assert said == "1 picture is in the zip; no longer on the server: 1."


# Links

requests = st.builds(
    GenerationRequest,
    prompt=st.text(st.characters(exclude_characters="{}\\", codec="utf-8"), min_size=1, max_size=80)
    .filter(lambda text: text.strip() != ""),
    negative_prompt=st.sampled_from(["", "snow & ice", "50% #grey"]),
    aspect_ratio=st.sampled_from(["1:1", "2:1"]),
    seed=st.integers(0, 2**32 - 1),
    num_images=st.integers(1, MAX_PICTURES),
    guidance=st.one_of(st.none(), st.floats(0, 100), st.tuples(st.floats(0, 9), st.floats(0, 9))),
    temperature=st.one_of(st.none(), st.floats(0, 2)),
    top_k=st.one_of(st.none(), st.integers(0, 9)),
    top_p=st.one_of(st.none(), st.floats(0.01, 1)),
    guidance_layers=st.one_of(st.none(), st.just((0,)), st.just((-1, 0))),
    guided_scales=st.one_of(st.none(), st.integers(0, 9)),
    pruning=st.one_of(st.none(), st.floats(0, 0.9)),
    fp8_scales=st.one_of(st.none(), st.integers(0, 9)),
    confidence=st.one_of(st.none(), st.floats(0.5, 1), st.tuples(st.floats(0.5, 1), st.floats(0.5, 1))),
    candidates=st.integers(1, 7),
    prune_at_scale=st.integers(0, 9),
    scorer=st.sampled_from(["", "judge", "openai/clip-vit-base-patch32"]),
)  # fmt: skip


@given(requests)
@settings(max_examples=150, deadline=None)
def test_link_reproduces_the_request(request_):
    query = link_query("default", request_)
    assert read_link(parse_qsl(query, keep_blank_values=True)) == ("default", request_)


@given(requests)
@settings(max_examples=100, deadline=None)
def test_controls_put_back_ask_for_exactly_the_request(request_):
    replay = make_replay()
    resolved = request_.resolved(SPECS["default"].sampling)
    shown = replay.controls.read(replay.show("default", request_, "said"))
    values = {
        name: update["value"] if isinstance(update, dict) else update
        for name, update in shown.items()
    }
    assert request_from(values, SPECS.__getitem__) == ("default", resolved)


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("prompt=a&seed=-1", "seed must be"),
        ("prompt=a&seed=1e400", "no number"),
        ("prompt=a&seed=" + "9" * 5000, "no number"),
        ("prompt=a&num_images=65", "num_images"),
        ("prompt=a&candidates=many", "no number"),
        ("prompt=a&num_images=9&candidates=8", "more than 64"),
        ("prompt=a&guidance=nan", "guidance must be"),
        ("prompt=a&guidance=abc", "which is no number"),
        ("prompt=a&guidance_layers=x", "which is no number"),
        ("prompt=a&top_p=7", "top_p"),
        ("prompt={a", "{"),
        ("prompt=", "empty"),
        ("seed=4", "no prompt"),
        ("promt=a", "did it mean 'prompt'"),
        ("prompt=a&prompt=b", "twice"),
        ("prompt=" + "a" * (MOST_CHARACTERS + 1), "more than 8,000 characters"),
    ],
)
def test_bad_link_gets_a_sentence(query, sentence):
    with pytest.raises(RequestError) as caught:
        read_link(parse_qsl(query, keep_blank_values=True))
    assert sentence in str(caught.value)
    assert len(str(caught.value)) < 250


def test_address_without_settings_is_no_link():
    assert read_link([]) is None
    assert read_link([("__theme", "dark"), ("utm_source", "x"), ("view", "api")]) is None


def test_prompt_too_long_for_a_link_gets_a_sentence():
    with pytest.raises(RequestError, match="share the PNG itself"):
        link_query("default", GenerationRequest(prompt="é" * 5000))


def test_picture_that_went_on_from_another_says_so_and_is_no_link():
    request = GenerationRequest(prompt="a cat", start=Start(bits="AAAA"))
    with pytest.raises(RequestError, match="share the PNG itself"):
        link_query("default", request)
    replay = make_replay()
    assert "on the Edit tab" in replay.show("default", request, "Settings.")[replay.note]
    assert read_link([("start", "{}")]) is None


@cache
def make_replay(weights: str = "") -> Replay:
    manager: Any = SimpleNamespace(fingerprint=lambda model: weights)
    context = Context(manager, Runs(), SPECS)
    generate, grid = tabs_of(context)
    return Replay(context, generate.controls, grid.axes, gr.Tabs(), gr.HTML())


def opened(replay: Replay, query: str) -> dict[Any, Any]:
    pairs = parse_qsl(query, keep_blank_values=True)
    params = SimpleNamespace(multi_items=lambda: pairs)
    return replay.open_link(SimpleNamespace(query_params=params))  # type: ignore[arg-type]


def test_link_fills_in_the_controls_and_a_bad_one_leaves_them():
    replay = make_replay()
    updates = opened(replay, "prompt=a+cat&seed=7&model=other")
    assert "came with the link" in updates[replay.note]
    assert updates[replay.controls["prompt"]] == "a cat"
    for query in ("prompt=a&model=nobody", "prompt=a&aspect_ratio=7:1", "prompt=a&num_images=30"):
        updates = opened(replay, query)
        assert 'role="alert"' in updates[replay.note]
        assert set(updates) == {replay.note}
    assert opened(replay, "") == {}


# Dropped files


def test_picture_and_grid_are_told_apart(run, tmp_path):
    image = Image.new("RGB", (8, 8))
    attach(image, PictureRecord(request=REQUEST.pictures()[0], model="default"))
    record = read_drop(save_png(image, tmp_path / "a.png"))
    assert isinstance(record, PictureRecord)
    plan = GridPlan(model="other", request=REQUEST, x=Axis.parse("seed", "1-2"))
    path = save_png(sheet(plan, {(0, 0): image}), tmp_path / "grid.png")
    assert read_drop(path) == plan
    replay = make_replay()
    updates = replay.open_file(str(path))
    assert updates[replay.tabs]["selected"] == "grid"
    assert list(replay.axes.read(updates).values()) == ["seed", "1, 2", "", ""]


def test_dropped_bits_bring_back_what_drew_them(tmp_path):
    request = GenerationRequest(prompt="a red apple", seed=7)
    bits = PictureBits("tiny", "0123", "1:1", (np.ones((1, 8), bool),), request)
    bits.save(tmp_path / "bits.npz")
    record = read_drop(tmp_path / "bits.npz")
    assert (record.request, record.model, record.weights) == (request, "tiny", "0123")
    replace(bits, request=None).save(tmp_path / "bits.npz")
    with pytest.raises(RequestError, match="open its bits on the Tokenizer tab"):
        read_drop(tmp_path / "bits.npz")


def damaged_files() -> dict[str, bytes]:
    import io

    def saved(format: str, **options: Any) -> bytes:
        buffer = io.BytesIO()
        Image.new("RGB", (8, 8)).save(buffer, format, **options)
        return buffer.getvalue()

    def with_record(text: str) -> bytes:
        from PIL.PngImagePlugin import PngInfo

        info = PngInfo()
        info.add_itxt(KEY, text)
        return saved("PNG", pnginfo=info)

    png = saved("PNG")
    bomb = zlib.compress(b"\0" * 30_000_000)
    chunk = b"zTXt" + b"infinity\0\0" + bomb
    packed = (len(chunk) - 4).to_bytes(4, "big") + chunk + zlib.crc32(chunk).to_bytes(4, "big")
    return {
        "empty": b"",
        "text": b"hello",
        "jpeg": saved("JPEG"),
        "foreign": png,
        "cut": png[: len(png) // 2],
        "svg": b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
        "eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nquit\n",
        "text bomb": png[:33] + packed + png[33:],
        "pixel bomb": png[:16] + b"\x00\x10\x00\x00" * 2 + png[24:],
        "bad json": with_record("{"),
        "no request": with_record("[]"),
        "huge seed": with_record('{"model": "default", "request": {"prompt": "a", "seed": 1e99}}'),
        "foreign model": with_record('{"model": "<b>x</b>", "request": {"prompt": "a"}}'),
        "unknown setting": with_record('{"model": "default", "request": {"prompt": "a", "x": 1}}'),
        "deep json": with_record("[" * 100_000),
    }


@pytest.mark.parametrize("name", damaged_files())
def test_bad_file_gets_one_sentence_and_changes_nothing(name, tmp_path):
    path = tmp_path / "infinity-x.png"
    path.write_bytes(damaged_files()[name])
    ((_, note),) = make_replay().open_file(str(path)).items()
    assert 'role="alert"' in note
    assert str(tmp_path) not in note
    assert "<b>x" not in note
    assert len(note) < 400


def test_note_escapes_what_it_says():
    assert "<script>" not in note_html("<script>")


def test_no_handler_of_the_history_is_an_endpoint_and_no_state_is_shared():
    app = build_app(FakeManager())  # type: ignore[arg-type]
    public = {fn.api_name for fn in app.fns.values() if fn.api_visibility == "public"}
    assert not {name for name in public if name and ("choose" in name or "pack" in name)}


# --- other weights than drew it


def drawn_with(weights: str, path: Path) -> Path:
    record = PictureRecord(request=REQUEST.pictures()[0], model="default", weights=weights)
    return save_png(attach(Image.new("RGB", (64, 32), "red"), record), path)


@pytest.mark.parametrize(
    ("weights", "here", "told"),
    [("abc", "def", True), ("abc", "abc", False), ("", "def", False), ("abc", "", False)],
)
def test_dropped_picture_of_other_weights_is_told_before_it_is_drawn(weights, here, told, tmp_path):
    replay = make_replay(here)
    note = replay.open_file(str(drawn_with(weights, tmp_path / "x.png")))[replay.note]
    assert "settings of that picture" in note
    assert ("other weights" in note) == told


def test_dropped_picture_of_a_pass_brings_all_of_the_pass_back(tmp_path):
    batch = replace(REQUEST, num_images=4)
    record = PictureRecord(request=batch.pictures()[1], model="default", batch=batch, place=1)
    image = attach(Image.new("RGB", (64, 32), "red"), record)
    replay = make_replay("")
    shown = replay.open_file(str(save_png(image, tmp_path / "x.png")))
    assert "number 2 of 4 drawn in one pass" in shown[replay.note]
    assert shown[replay.controls["num_images"]] == 4
    assert shown[replay.controls["seed"]] == batch.seed


@pytest.mark.parametrize(("here", "told"), [("def0", True), ("abc0", False), ("", False)])
def test_history_tells_of_other_weights(here, told, run, tmp_path):
    drawn_with("abc0", run.files[0])
    drawn_with("abc0", run.files[1])
    entry = Entry.from_dict(json.loads(json.dumps(entries_of(run)[0].to_dict())))
    assert entry.weights == "abc0"
    shown = details_html(entry, None, "Infinity emoji", here)
    assert "abc0" in shown
    assert ("other weights" in shown) == told
    replay = make_replay(here)
    note = replay.show(entry.model, entry.request, "Set.", weights=entry.weights)[replay.note]
    assert ("other weights" in note) == told


@pytest.mark.parametrize("weights", ["<b>", 5, None, "f" * 65, "ABC"])
def test_entry_with_strange_weights_is_refused(weights, run):
    with pytest.raises(RequestError, match="damaged"):
        Entry.from_dict({**entries_of(run)[0].to_dict(), "weights": weights})


def test_entry_from_before_there_were_fingerprints_is_read(run):
    data = entries_of(run)[0].to_dict()
    del data["weights"]
    assert Entry.from_dict(data).weights == ""
