"""The endpoints that go on from a picture: each draws what the task of its name asks for."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

from infinity.edit import tasks
from infinity.errors import RequestError, StoppedError
from infinity.hosting import Allowance, Hosting
from infinity.images import open_image
from infinity.inside.flip import Place, changed_bits, draw_flip, flip_requests, told
from infinity.metadata import read_record, save_png
from infinity.request import GenerationRequest
from infinity.ui.api.history import RecentRuns
from infinity.ui.api.inside import InsideEndpoints
from infinity.ui.shared.runs import Runs, caller_of
from tests.edit.test_sources import photo
from tests.tiny import SPEC, tiny_pipeline
from tests.ui.fakes import make_context
from tests.ui.tiny_page import tiny_page

PIPELINE = tiny_pipeline()
BOX = [0.5, 0.0, 1.0, 1.0]
ALLOWANCE = Allowance(Hosting(requests_per_minute=100))
CALLER: Any = SimpleNamespace(session_hash="alice", request=None)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    done = PIPELINE.generate(GenerationRequest(prompt="a red apple", seed=1))
    save_png(done.images[0], folder / "apple.png")
    photo().save(folder / "photo.png")
    mask = Image.new("L", (40, 40), 0)
    mask.paste(255, (20, 0, 40, 40))
    mask.save(folder / "mask.png")
    return folder


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with tiny_page(tmp_path_factory.mktemp("page"), PIPELINE, Runs(ALLOWANCE)) as url:
        client = Client(url, verbose=False, download_files=str(tmp_path_factory.mktemp("got")))
        yield client
        client.close()


CALLS: dict[str, tuple[dict[str, Any], Any]] = {
    "/vary": ({"keep_scales": 2, "seed": 5}, lambda p: tasks.vary(PIPELINE, p, 2, seed=5)),
    "/edit": (
        {"prompt": "a blue boat", "box": BOX, "softness": 1},
        lambda p: tasks.edit(PIPELINE, p, BOX, prompt="a blue boat", softness=1),
    ),
    "/mix": (
        {"fine": "photo.png", "keep_scales": 1},
        lambda p: tasks.mix(PIPELINE, p, photo(), 1),
    ),
    "/repair": (
        {"doubt": 0.1, "rounds": 2},
        lambda p: tasks.repair(PIPELINE, p, doubt=0.1, rounds=2),
    ),
    "/extend": (
        {"aspect_ratio": "3:2", "num_images": 2},
        lambda p: tasks.extend(PIPELINE, p, "3:2", num_images=2),
    ),
}


def counted() -> int:
    """Requests of all visitors so far, without plain calls and uploads."""
    return sum(len(begun) for name, begun in ALLOWANCE._begun.items() if " of " not in name)


@pytest.mark.parametrize("name", CALLS)
def test_endpoint_draws_what_its_task_asks_for(client, folder, name):
    given, expected = CALLS[name]
    given = {k: handle_file(folder / v) if k == "fine" else v for k, v in given.items()}
    paths = client.predict(handle_file(folder / "apple.png"), **given, api_name=name)
    done = PIPELINE.generate(expected(open_image(folder / "apple.png")))
    assert len(paths) == len(done.images)
    for path, image in zip(paths, done.images, strict=True):
        assert np.array_equal(np.asarray(open_image(path)), np.asarray(image))
        assert read_record(path).request == read_record(image).request


def test_mask_and_box_of_one_half_edit_alike(client, folder):
    picture = handle_file(folder / "apple.png")
    pixels = [
        np.asarray(open_image(client.predict(picture, "snow", **area, api_name="/edit")[0]))
        for area in ({"box": BOX}, {"mask": handle_file(folder / "mask.png")})
    ]
    assert np.array_equal(*pixels)


def test_inspection_is_a_file_of_arrays(client, folder):
    path = client.predict(handle_file(folder / "apple.png"), api_name="/inspect")
    with np.load(path) as file:
        assert file["scale_1_bits"].shape == (1, 8) and file["scale_5_entropy"].shape == (64, 8)
        about = json.loads(str(file["about"]))
        assert about["words"] == [["a", "red", "apple", ""]] * 5
        assert file["scale_5_attention"].shape == (4, 64)
        assert (about["model"], about["weights"]) == ("tiny", PIPELINE.fingerprint)


def test_flip_is_the_picture_with_its_bits_flipped_and_what_followed(client, folder):
    picture, begun = handle_file(folder / "apple.png"), counted()
    found = client.predict(picture, [[3, 2, 1, 8], [1, 1, 1, 1]], api_name="/flip")
    assert counted() == begun + 3
    kept = tasks.kept(PIPELINE, open_image(folder / "apple.png"))
    asked = flip_requests(SPEC, kept, [Place(2, 1, 0, 7), Place(0, 0, 0, 0)])
    drawn = list(draw_flip(PIPELINE, asked, threading.Event()))
    for name, done in zip(("flipped", "answered", "unanswered"), drawn, strict=True):
        assert np.array_equal(np.asarray(open_image(found[name])), np.asarray(done.images[0]))
        assert read_record(found[name]).request == read_record(done.images[0]).request
    assert found["scales"] == told(SPEC, changed_bits(SPEC, drawn[1], drawn[2]))
    assert [scale["changed"] for scale in found["scales"]][:3] == [1, 0, 1]
    sheet, side = np.asarray(open_image(found["changes"])), drawn[0].images[0].width
    assert sheet.shape[1] > 3 * side and len(np.unique(sheet.reshape(-1, 3), axis=0)) > 100
    listed = client.predict(api_name="/history")
    assert len({picture["picture"] for picture in listed}) >= 2


@pytest.fixture
def endpoints(folder, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(folder))
    manager = SimpleNamespace(
        names=lambda: ("tiny",), spec=lambda name: SPEC, get=lambda *_, **__: PIPELINE
    )
    return InsideEndpoints(make_context(manager), RecentRuns())


def test_inspection_is_stopped_between_two_scales(endpoints, folder, monkeypatch):
    runs, run, scales = endpoints.context.runs, PIPELINE.run, []

    def stopped_at_the_second(*arguments):
        for scale in run(*arguments):
            scales.append(scale)
            if len(scales) == 2:
                assert runs.stop(caller_of(CALLER))
            yield scale

    monkeypatch.setattr(PIPELINE, "run", stopped_at_the_second)
    with pytest.raises(StoppedError):
        endpoints.inspect(CALLER, {"path": str(folder / "apple.png")})
    assert len(scales) == 2 and len(runs) == 0


def test_inspection_of_a_prompt_beyond_the_limit_is_refused(endpoints, folder):
    endpoints.context.runs.allowance.hosting = Hosting(max_prompt_characters=10)
    with pytest.raises(RequestError, match="at most 10 characters"):
        endpoints.inspect(CALLER, {"path": str(folder / "apple.png")})


@pytest.mark.parametrize(
    ("name", "given", "said"),
    [
        ("/vary", {"picture": "photo.png"}, "say what it shows"),
        ("/vary", {"keep_scales": -1}, "keep_scales must be"),
        ("/vary", {"num_images": 10_000}, "num_images must be"),
        ("/vary", {"model": "tyni"}, "Unknown model"),
        ("/edit", {"prompt": "x", "box": [1, 2]}, "A box is left, top"),
        ("/edit", {"prompt": "x", "box": "half"}, "A box is left, top"),
        ("/edit", {"prompt": "x", "box": [None, 0, 1, 1]}, "A box is left, top"),
        ("/edit", {"prompt": "x", "box": 7}, "A box is left, top"),
        ("/edit", {"prompt": "x", "box": BOX, "mask": "mask.png"}, "not both"),
        ("/edit", {"prompt": "", "box": None}, "Say what the picture is to show"),
        ("/edit", {"prompt": "x", "picture": "photo.png"}, "mask or a box"),
        ("/vary", {"keep_scales": 9}, "this picture has 5; give 0 to 5"),
        ("/repair", {"doubt": "none"}, "doubt must be"),
        ("/flip", {"bits": []}, "1 to 1,000 bits"),
        ("/flip", {"bits": [[1, 1, 1]]}, "scale, row, column and number"),
        ("/flip", {"bits": [[9, 1, 1, 1]]}, "no scale 9 here; choose one from 1 to 5"),
        ("/flip", {"bits": {"scale": 1}}, "The bits are a list"),
        ("/flip", {"bits": [[1, 1, 1, 1]], "picture": "photo.png"}, "say what it shows"),
        ("/extend", {"aspect_ratio": "9:1"}, "choose one of"),
        ("/extend", {"aspect_ratio": "1:1"}, "fills 1:1 already"),
    ],
)
def test_wrong_call_is_answered_with_a_sentence(client, folder, name, given, said):
    given = {"picture": "apple.png", **given}
    for key in given.keys() & {"picture", "mask"}:
        given[key] = handle_file(folder / given[key])
    with pytest.raises(AppError, match=said):
        client.predict(**given, api_name=name)
