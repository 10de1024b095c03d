"""Bits of recent pictures: the very ones, so that an edit draws once."""

import threading

import pytest

from infinity.edit import tasks
from infinity.edit.sources import source_of
from infinity.images import open_image
from infinity.metadata import KEY, save_png
from infinity.recent import RecentBits
from infinity.request import GenerationRequest
from tests.tiny import tiny_pipeline

REQUESTS = {
    "one": GenerationRequest(prompt="a red {apple|boat}", seed=4),
    "several": GenerationRequest(prompt="a red apple", seed=4, num_images=3, aspect_ratio="3:2"),
    "the best": GenerationRequest(prompt="a red apple", seed=4, candidates=3),
}


def by_brightness(prompt):
    return lambda images: [float(sum(image.convert("L").histogram()[128:])) for image in images]


@pytest.mark.parametrize("name", REQUESTS)
def test_bits_that_are_kept_are_those_that_drawing_again_gives(name, tmp_path, monkeypatch):
    pipeline = tiny_pipeline()
    done = list(pipeline.stream(REQUESTS[name], previews="off", scorer=by_brightness))[-1]
    pictures = [open_image(save_png(i, tmp_path / f"{n}.png")) for n, i in enumerate(done.images)]
    again = [source_of(tiny_pipeline(), picture) for picture in pictures]
    monkeypatch.setattr(pipeline, "stream", None)  # nothing is drawn
    assert [source_of(pipeline, picture) for picture in pictures] == again
    assert len({source.bits for source in again}) == len(pictures)


def test_edit_of_an_edit_needs_no_drawing_but_its_own(monkeypatch):
    pipeline, drawn = tiny_pipeline(), []
    (image,) = pipeline.generate(REQUESTS["one"]).images
    stream = pipeline.stream
    monkeypatch.setattr(pipeline, "stream", lambda *a, **k: drawn.append(a) or stream(*a, **k))
    for prompt in ("snow", "a boat"):
        request = tasks.edit(pipeline, image, (0, 0, 0.5, 1), prompt=prompt)
        (image,) = pipeline.generate(request).images
    assert len(drawn) == 2


def test_bits_go_when_there_are_too_many_and_what_was_used_stays(monkeypatch):
    pipeline = tiny_pipeline()
    found = [pipeline.generate(GenerationRequest(prompt="snow", seed=seed)) for seed in range(4)]
    records = [done.images[0].info[KEY] for done in found]
    recent = RecentBits(most_bytes=2 * len(found[0].bits[0]) + 1)
    for done in found[:2]:
        recent.put(done)
    assert recent.get(records[0]) == found[0].bits[0]
    recent.put(found[0])
    recent.put(found[2])
    assert [recent.get(record) is not None for record in records] == [True, False, True, False]
    RecentBits(most_bytes=0).put(found[0])


def test_bits_may_be_kept_and_read_by_several_at_once():
    recent, wrong = RecentBits(), []
    found = [
        tiny_pipeline().generate(GenerationRequest(prompt="snow", seed=seed)) for seed in range(3)
    ]
    recent.most_bytes = 2 * len(found[0].bits[0])

    def work():
        for _ in range(200):
            for done in found:
                recent.put(done)
                bits = recent.get(done.images[0].info[KEY])
                if bits not in (None, done.bits[0]):
                    wrong.append(bits)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong and recent._nbytes == sum(map(len, recent._kept.values()))
