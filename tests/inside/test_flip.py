"""One bit flipped: exactly one, and what follows from it is a request like any other."""

import threading

import numpy as np
import pytest
import torch

from infinity.edit import tasks
from infinity.errors import RequestError, StoppedError
from infinity.inside.flip import Place, changed_bits, draw_flip, flip_requests
from infinity.metadata import read_record
from infinity.packing import unpack_bits
from infinity.request import GenerationRequest
from tests.inside.test_reading import seen
from tests.tiny import SPEC, tiny_pipeline

PIPELINE = tiny_pipeline()
REQUEST = GenerationRequest(prompt="a red apple", seed=1, aspect_ratio="3:2")
DONE = PIPELINE.generate(REQUEST)
FOUND = seen(PIPELINE, DONE.images[0]).inspection
PLACE = Place(scale=1, row=1, column=2, bit=5)
ALONE, ANSWERED, UNANSWERED = draw_flip(PIPELINE, flip_requests(FOUND, PLACE), threading.Event())


def bits(done):
    unpacked = unpack_bits(done.bits[0], SPEC.schedules["3:2"], SPEC.tokenizer.bits_per_token)
    return [each.numpy() for each in unpacked]


def test_exactly_the_named_bit_is_flipped():
    changes = [a != b for a, b in zip(bits(ALONE), bits(DONE), strict=True)]
    assert [change.sum() for change in changes] == [0, 1, 0, 0]
    assert changes[1][1 * 3 + 2, 5]
    maps = changed_bits(PIPELINE, ALONE, DONE)
    assert maps[1].tolist() == [[0, 0, 0], [0, 0, 1 / 8]] and not maps[3].any()


def test_later_scales_answer_and_those_before_stay():
    changes = [(a != b).sum() for a, b in zip(bits(ANSWERED), bits(DONE), strict=True)]
    assert changes[:2] == [0, 1] and min(changes[2:]) > 0
    assert UNANSWERED.bits == DONE.bits, "the same seed draws the same without the flip"


@pytest.mark.parametrize("done", [ALONE, ANSWERED], ids=["alone", "answered"])
def test_picture_replays_from_its_own_record(done):
    again = tiny_pipeline().generate(read_record(done.images[0]).request)
    assert np.array_equal(np.asarray(again.images[0]), np.asarray(done.images[0]))


def test_flip_in_an_edited_picture_is_compared_with_the_same_drawing_on():
    edited = PIPELINE.generate(
        tasks.edit(PIPELINE, DONE.images[0], (0, 0, 0.5, 1), prompt="snow", seed=9)
    )
    found = seen(PIPELINE, edited.images[0]).inspection
    last = Place(scale=3, row=0, column=0, bit=0)
    alone, answered, unanswered = draw_flip(PIPELINE, flip_requests(found, last), threading.Event())
    assert found.bits == edited.bits[0] == unanswered.bits[0]
    assert alone.bits == answered.bits, "after the last scale nothing answers"
    assert torch.equal(*(torch.tensor(bits(d)[2]) for d in (edited, alone)))


@pytest.mark.parametrize(
    ("place", "said"),
    [
        (Place(4, 0, 0), "no scale 5 here; choose one from 1 to 4"),
        (Place(-1, 0, 0), "no scale 0"),
        (Place(1, 2, 0), "no row 3 here; choose one from 1 to 2"),
        (Place(1, 0, -1), "no column 0"),
        (Place(1, 0, 0, 8), "no bit 9"),
    ],
)
def test_place_that_is_not_there_is_refused(place, said):
    with pytest.raises(RequestError, match=said):
        flip_requests(FOUND, place)


def test_flip_stops_when_asked():
    cancel = threading.Event()
    cancel.set()
    with pytest.raises(StoppedError):
        next(draw_flip(PIPELINE, flip_requests(FOUND, PLACE), cancel))
