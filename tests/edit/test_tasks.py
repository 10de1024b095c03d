"""What people do with a picture's bits; every result replays from its own record."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from infinity.edit import tasks
from infinity.errors import RequestError
from infinity.metadata import read_request
from infinity.packing import pack_bits, unpack_bits, unpack_region
from infinity.request import GenerationRequest
from infinity.start import Start
from tests.edit.test_sources import photo
from tests.tiny import SPEC, tiny_pipeline

PIPELINE = tiny_pipeline()
DRAWN = PIPELINE.generate(GenerationRequest(prompt="a red apple", seed=1, guidance=2.0))
PICTURE = DRAWN.images[0]


def scales(bits, ratio="1:1"):
    return unpack_bits(bits, SPEC.schedules[ratio], SPEC.tokenizer.bits_per_token)


def damaged():
    """The picture with every fifth bit of the last scale flipped."""
    *coarse, last = scales(DRAWN.bits[0])
    flipped = last ^ (torch.arange(last.numel()) % 5 == 0).view(last.shape)
    start = Start(bits=pack_bits([*coarse, flipped]), keep_scales=len(coarse) + 1)
    return PIPELINE.generate(replace(DRAWN.request, start=start)).images[0]


def same_pixels(one, other):
    return np.array_equal(np.asarray(one), np.asarray(other))


REQUESTS = {
    "vary": lambda: tasks.vary(PIPELINE, PICTURE, 2, seed=5),
    "edit a box": lambda: tasks.edit(PIPELINE, PICTURE, (0.5, 0, 1, 1), prompt="a blue boat"),
    "edit by words": lambda: tasks.edit(PIPELINE, PICTURE, None, prompt="a red boat", softness=1),
    "mix": lambda: tasks.mix(PIPELINE, PICTURE, photo(), 3),
    "repair": lambda: tasks.repair(PIPELINE, damaged(), doubt=0.4, rounds=2),
    "extend": lambda: tasks.extend(PIPELINE, PICTURE, "3:2", seed=2),
    "vary a photo": lambda: tasks.vary(PIPELINE, photo(), 2, prompt="snow"),
    "repair a photo": lambda: tasks.repair(PIPELINE, photo(), prompt="snow"),
}


@pytest.mark.parametrize("task", REQUESTS)
def test_result_replays_to_the_same_pixels_from_its_record_alone(task):
    done = PIPELINE.generate(REQUESTS[task]())
    request, model = read_request(done.images[0])
    again = tiny_pipeline().generate(request)
    assert model == "tiny" and same_pixels(again.images[0], done.images[0])
    assert not same_pixels(done.images[0], PICTURE)


def test_settings_that_are_not_given_are_the_pictures_own():
    request = tasks.vary(PIPELINE, PICTURE, 2, seed=5, temperature=None)
    assert (request.prompt, request.guidance, request.seed) == ("a red apple", 2.0, 5)
    assert tasks.edit(PIPELINE, PICTURE, (0, 0, 1, 1), prompt="snow").prompt == "snow"


def test_mask_and_box_of_the_same_half_are_the_same_region():
    mask = Image.new("L", (64, 64), 0)
    mask.paste(255, (32, 0, 64, 64))
    by_mask, by_box = (tasks.edit(PIPELINE, PICTURE, area) for area in (mask, (0.5, 0, 1, 1)))
    assert by_mask == by_box
    assert unpack_region(by_box.start.region)[:, 4:].all()


def test_mix_keeps_coarse_scales_and_takes_the_others():
    other = PIPELINE.generate(GenerationRequest(prompt="snow", seed=8))
    done = PIPELINE.generate(tasks.mix(PIPELINE, PICTURE, other.images[0], 2))
    mixed = scales(done.bits[0])
    expected = (*scales(DRAWN.bits[0])[:2], *scales(other.bits[0])[2:])
    assert all(torch.equal(a, b) for a, b in zip(mixed, expected, strict=True))


def test_repair_reads_a_photo_as_training_taught():
    request = tasks.repair(PIPELINE, photo(), prompt="snow")
    assert (request.guidance, request.temperature) == (1.0, 1.0)
    assert tasks.repair(PIPELINE, photo(), prompt="snow", guidance=2.0).guidance == 2.0
    assert tasks.repair(PIPELINE, PICTURE).guidance == 2.0


def test_photo_needs_words_and_a_place():
    with pytest.raises(RequestError, match="say what it shows"):
        tasks.vary(PIPELINE, photo(), 2)
    with pytest.raises(RequestError, match="mask or a box"):
        tasks.edit(PIPELINE, photo(), None, prompt="snow")


def test_inspection_reads_the_bits_the_picture_was_drawn_with():
    request, inspected = tasks.inspect(PIPELINE, PICTURE)
    assert request.prompt == "a red apple"
    for bits, scale in zip(scales(DRAWN.bits[0]), inspected, strict=True):
        assert np.array_equal(bits.numpy(), scale.bits_lD)
    other, read = tasks.inspect(PIPELINE, PICTURE, "snow")
    assert other.prompt == "snow"
    assert not np.array_equal(read[1].probability_lD, inspected[1].probability_lD)
