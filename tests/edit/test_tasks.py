"""What people do with a picture's bits; every result replays from its own record."""

import io
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from PIL import ExifTags, Image

from infinity.edit import tasks
from infinity.edit.sources import source_of
from infinity.errors import RequestError
from infinity.metadata import read_record, read_request
from infinity.packing import pack_bits, unpack_bits, unpack_region
from infinity.registry import DEFAULT_MODEL_FOLDER
from infinity.request import GenerationRequest
from infinity.spec import read_spec
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


@pytest.mark.parametrize("ratio", list(SPEC.schedules))
@pytest.mark.parametrize("size", [(240, 60), (60, 240), (90, 100), (120, 80)])
def test_area_of_a_photo_is_where_it_is_in_the_photo(size, ratio, monkeypatch):
    """The model sees the photo cut to its aspect ratio; what is bright there is the region."""
    monkeypatch.setattr(
        tasks, "source_of", lambda pipeline, image: source_of(pipeline, image, ratio)
    )
    box = (0.4, 0.3, 0.7, 0.6)
    photo = Image.new("RGB", size, "black")
    photo.paste("white", tuple(round(s * side) for s, side in zip(box, 2 * size, strict=True)))
    by_mask, by_box = (
        unpack_region(tasks.edit(PIPELINE, photo, area, prompt="snow").start.region)
        for area in (photo.resize((500, 400), Image.Resampling.NEAREST), box)
    )
    shown = PIPELINE.reconstruct(photo, ratio).original
    seen = np.asarray(shown.convert("L").resize(by_mask.shape[::-1], Image.Resampling.BOX))
    for inside in (by_mask, by_box):
        assert inside[seen > 160].all() and not inside[seen < 96].any()


def test_area_of_a_photo_on_its_side_is_of_the_upright_one():
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    upright = Image.new("RGB", (60, 90), "black")
    stream = io.BytesIO()
    upright.transpose(Image.Transpose.ROTATE_90).save(stream, "PNG", exif=exif)
    turned = Image.open(stream)
    for area in ((0, 0, 1, 0.25), (0, 0, 0.5, 0.5)):
        one, other = (tasks.edit(PIPELINE, p, area, prompt="snow") for p in (turned, upright))
        assert one.aspect_ratio == "2:3" and one.start.region == other.start.region


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


@pytest.mark.parametrize("prompt", [{}, {"prompt": ""}, {"prompt": " "}])
def test_edit_by_words_needs_words(prompt):
    with pytest.raises(RequestError, match="Say what the picture is to show"):
        tasks.edit(PIPELINE, PICTURE, None, **prompt)


def test_no_more_scales_stay_than_there_are():
    every = len(SPEC.schedules["1:1"])
    kept = PIPELINE.generate(tasks.vary(PIPELINE, PICTURE, every, seed=9))
    assert kept.bits == DRAWN.bits
    request = tasks.vary(PIPELINE, PICTURE, every + 1)
    with pytest.raises(RequestError, match=f"this picture has {every}; give 0 to {every}"):
        PIPELINE.generate(request)


WORLD = replace(SPEC, vocabulary=read_spec(DEFAULT_MODEL_FOLDER).vocabulary)
CATS = "a small cat on a teal background"


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        (CATS, "a dog", "a small dog on a teal background"),
        (CATS, "please draw a big pengiun!", "a big penguin on a teal background"),
        (CATS, "a dog at night", "a small dog at night"),
        (CATS, "three dogs", "three dogs on a teal background"),
        (CATS, "a dog and a cow", "a dog and a cow on a teal background"),
        ("a cat and a cow in the snow", "a dog", "a dog in the snow"),
        (CATS, "a frobnicated dog", "a small dog on a teal background"),
        (CATS, "an abstraction", ""),
        (CATS, "a (dog:1.2)", ""),
        (CATS, "[a dog::2]", ""),
        (CATS, "a {dog|dog}", "a small dog on a teal background"),
        ("a (cat:1.2) on a teal background", "a dog", "a dog on a teal background"),
        ("an abstraction", "a dog", "a dog"),
    ],
)
@pytest.mark.parametrize(
    "task", [partial(tasks.vary, keep_scales=2), partial(tasks.edit, area=(0, 0, 1, 0.5))]
)
def test_words_leave_the_rest_as_the_picture_shows_it(task, before, after, told):
    """What is drawn instead of what was asked for is told; "" draws what was asked for."""
    pipeline = tiny_pipeline(WORLD)
    drawn = GenerationRequest(prompt=before, complete_prompt=False)
    (picture,) = pipeline.generate(drawn).images
    done = pipeline.generate(task(pipeline, image=picture, prompt=after))
    assert read_record(done.images[0]).drawn_as == told
    assert any("frobnicated" in note for note in done.notes) == ("frobnicated" in after)
    asked = pipeline.generate(task(pipeline, image=picture, prompt=after, complete_prompt=False))
    assert read_record(asked.images[0]).drawn_as == ""


def test_edit_by_words_reads_what_it_draws():
    """The region is where the picture's words part from those with all that they left open."""
    pipeline = tiny_pipeline(WORLD)
    drawn = GenerationRequest(prompt=CATS, complete_prompt=False)
    (picture,) = pipeline.generate(drawn).images
    short, long = "a dog", "a small dog on a teal background"
    one, other = (tasks.edit(pipeline, picture, None, prompt=text) for text in (short, long))
    assert one.start == other.start
    with pytest.raises(RequestError, match="the picture's own"):
        tasks.edit(pipeline, picture, None, prompt="a cat")


def test_inspection_reads_the_bits_the_picture_was_drawn_with():
    request, inspected = tasks.inspect(PIPELINE, PICTURE)
    assert request.prompt == "a red apple"
    for bits, scale in zip(scales(DRAWN.bits[0]), inspected, strict=True):
        assert np.array_equal(bits.numpy(), scale.bits_lD)
    other, read = tasks.inspect(PIPELINE, PICTURE, "snow")
    assert other.prompt == "snow"
    assert not np.array_equal(read[1].probability_lD, inspected[1].probability_lD)
