"""One bit flipped: exactly one, and what follows from it is a request like any other."""

import threading

import numpy as np
import pytest
import torch

from infinity.edit import tasks
from infinity.errors import RequestError, StoppedError
from infinity.inside.flip import MOST_FLIPS, Place, changed_bits, draw_flip, flip_requests, told
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


def asked(found, *places):
    return flip_requests(SPEC, found.request, places)


ALONE, ANSWERED, UNANSWERED = draw_flip(PIPELINE, asked(FOUND, PLACE), threading.Event())


def bits(done):
    unpacked = unpack_bits(done.bits[0], SPEC.schedules["3:2"], SPEC.tokenizer.bits_per_token)
    return [each.numpy() for each in unpacked]


def test_exactly_the_named_bit_is_flipped():
    changes = [a != b for a, b in zip(bits(ALONE), bits(DONE), strict=True)]
    assert [change.sum() for change in changes] == [0, 1, 0, 0]
    assert changes[1][1 * 3 + 2, 5]
    maps = changed_bits(SPEC, ALONE, DONE)
    assert maps[1].tolist() == [[0, 0, 0], [0, 0, 1]] and not maps[3].any()
    assert told(SPEC, maps)[1] == {"height": 2, "width": 3, "bits": 48, "changed": 1}


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
    alone, answered, unanswered = draw_flip(PIPELINE, asked(found, last), threading.Event())
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
        asked(FOUND, place)


def test_several_bits_are_flipped_at_once_and_what_follows_the_last_of_them_is_drawn():
    places = (Place(0, 0, 0, 7), PLACE, Place(2, 1, 1, 0), PLACE)
    requests = asked(FOUND, *places)
    (alone, answered, _) = draw_flip(PIPELINE, requests, threading.Event())
    changes = [(a != b).sum() for a, b in zip(bits(alone), bits(DONE), strict=True)]
    assert changes == [1, 1, 1, 0], "a bit that is named twice is flipped once"
    assert requests.answered.start.keep_scales == 3
    assert bits(answered)[2].tolist() == bits(alone)[2].tolist()
    for many in ((), (PLACE,) * (MOST_FLIPS + 1)):
        with pytest.raises(RequestError, match="1 to 1,000 bits"):
            asked(FOUND, *many)


@pytest.mark.parametrize("numbers", [(1, 2, 3), "1,2", None, (1, 1, 1, True), (1, 1, 1, 1.5)])
def test_bit_that_is_not_named_by_four_whole_numbers_is_refused(numbers):
    assert Place.numbered([2, 2, 3, 6]) == PLACE
    with pytest.raises(RequestError, match="scale, row, column and number"):
        Place.numbered(numbers)


def test_flip_stops_when_asked():
    cancel = threading.Event()
    cancel.set()
    with pytest.raises(StoppedError):
        next(draw_flip(PIPELINE, asked(FOUND, PLACE), cancel))
