"""Previews out: an answer a scale, and whoever stops, cancels or leaves ends the run."""

from __future__ import annotations

import base64
import io
import json
import threading
import time
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError
from PIL import Image

from infinity.events import Event
from infinity.hosting import Allowance, Hosting
from infinity.request import GenerationRequest
from infinity.ui.shared.runs import Runs
from tests.tiny import SPEC, tiny_pipeline
from tests.ui.fakes import Gate
from tests.ui.tiny_page import tiny_page

PIPELINE = tiny_pipeline()
SCALES = len(SPEC.schedule("1:1"))


@pytest.fixture(scope="module")
def runs() -> Runs:
    return Runs(Allowance(Hosting(public=True, max_pictures=2)))


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory, runs: Runs) -> Iterator[str]:
    with tiny_page(tmp_path_factory.mktemp("page"), PIPELINE, runs) as url:
        yield url


@pytest.fixture
def client(url: str, tmp_path: Any) -> Iterator[Client]:
    client = Client(url, verbose=False, download_files=str(tmp_path))
    yield client
    client.close()


class Held:
    """The pipeline's scales wait at a gate; ``count`` of them have gone on."""

    def __init__(self) -> None:
        self.gate, self.count, self.stream = Gate(), 0, PIPELINE.stream

    def __call__(self, *arguments: Any, **options: Any) -> Iterator[Event]:
        for event in self.stream(*arguments, **options):
            self.gate.wait()
            self.count += 1
            yield event


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[Held]:
    held = Held()
    monkeypatch.setattr(PIPELINE, "stream", held)
    yield held
    held.gate.open()


def wait_for_end(runs: Runs, held: Held) -> None:
    """Scale by scale, as a slow machine would draw on."""
    for _ in range(10):
        held.gate.let(1)
        scale_ends_s = time.monotonic() + 2
        while len(runs) and time.monotonic() < scale_ends_s:
            time.sleep(0.02)
        if not len(runs):
            return
    assert not len(runs)


def test_every_scale_is_shown_and_the_picture_is_that_of_generate(client):
    answers = list(client.submit("a red apple", seed=4, num_images=2, api_name="/watch"))
    drawn = [answer for answer in answers if answer["scale"]]
    assert [answer["scale"] for answer in drawn] == [*range(1, SCALES + 1), SCALES]
    assert {answer["scales"] for answer in answers} == {SCALES}
    for answer in drawn:
        for preview in answer["previews"]:
            data = base64.b64decode(preview.partition("base64,")[2])
            assert max(Image.open(io.BytesIO(data)).size) > 0
        assert len(answer["previews"]) == 2
    assert not any(answer["pictures"] for answer in answers[:-1])
    expected = PIPELINE.generate(GenerationRequest(prompt="a red apple", seed=4, num_images=2))
    found = [Image.open(path).tobytes() for path in answers[-1]["pictures"]]
    assert found == [image.tobytes() for image in expected.images]


def test_growth_ends_with_the_pictures_and_another_kind_is_refused(client):
    *before, last = client.submit("a red apple", seed=4, growth="webp", api_name="/watch")
    assert not any(answer["growth"] for answer in before)
    with Image.open(last["growth"]) as growth, Image.open(last["pictures"][0]) as picture:
        assert growth.n_frames >= SCALES
        assert growth.size == picture.size
    with pytest.raises(AppError, match="webp, gif, mp4"):
        client.predict("a red apple", growth="avi", api_name="/watch")


def test_cancel_ends_the_run(client, runs, held):
    job = client.submit("a red apple", api_name="/watch")
    held.gate.let(1)
    while not any(answer["scale"] for answer in job.outputs()):
        time.sleep(0.02)
    threading.Thread(target=job.cancel).start()  # returns once the scale is finished
    wait_for_end(runs, held)
    assert held.count < SCALES


def test_stop_ends_the_run_in_a_sentence(client, runs, held):
    job = client.submit("a red apple", api_name="/watch")
    held.gate.let(1)
    while not any(answer["scale"] for answer in job.outputs()):
        time.sleep(0.02)
    assert client.predict(api_name="/stop") is True
    held.gate.open()
    with pytest.raises(AppError, match="topped"):
        job.result(timeout=20)
    assert not len(runs)


def test_leaving_ends_the_run(url, runs, held):
    address = f"{url}gradio_api/call/v2/watch"
    body = json.dumps({"prompt": "a red apple"}).encode()
    call = urllib.request.Request(address, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(call, timeout=20) as reply:
        event = json.load(reply)["event_id"]
    held.gate.let(2)
    with urllib.request.urlopen(f"{address}/{event}", timeout=20) as stream:
        seen = 0
        while seen < 2:
            seen += b"Scale" in stream.readline()
    wait_for_end(runs, held)
    assert held.count < SCALES


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"prompt": ""}, "The prompt is empty"),
        ({"prompt": "a", "num_images": 3}, "at most 2 pictures"),
        ({"prompt": "a", "candidates": 3}, "at most 2 pictures a request, candidates among them"),
        ({"prompt": "a", "candidates": 2, "scorer": "/etc"}, "nobody but judge choose"),
        ({"prompt": "a", "candidates": 2}, "name a scorer"),
    ],
)
def test_limits_hold_and_refusals_are_sentences(client, settings, sentence):
    with pytest.raises(AppError, match=sentence):
        client.submit(**settings, api_name="/watch").result(timeout=20)
