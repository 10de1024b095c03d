import numpy as np
import pytest
from PIL import Image

from infinity.edit.regions import region_of_box, region_of_mask, region_of_words
from infinity.errors import RequestError
from infinity.generation.inputs import EncodedPart, PictureInputs
from infinity.generation.inspection import inspect
from infinity.packing import unpack_bits, unpack_region
from infinity.request import GenerationRequest
from infinity.schedule import Scale
from tests.tiny import SPEC, WordsEncoder, tiny_pipeline


@pytest.mark.parametrize("size", [(8, 6), (80, 60), (333, 251)])
@pytest.mark.parametrize("mode", ["L", "1", "RGB", "RGBA", "LA"])
def test_mask_of_any_size_and_mode_is_its_bright_part(size, mode):
    width, height = size
    mask = Image.new("L", size, 0)
    mask.paste(255, (width // 2, 0, width, height))
    if mode in ("RGBA", "LA"):  # what is opaque counts, whatever its color
        painted = Image.new(mode, size, 0)
        painted.putalpha(mask)
        mask = painted
    inside = unpack_region(region_of_mask(mask.convert(mode), Scale(6, 8)))
    assert inside.shape == (6, 8)
    assert inside[:, 4:].all() and not inside[:, :4].any()


@pytest.mark.parametrize("mode", ["RGBA", "P", "CMYK", "I;16", "F"])
def test_mask_where_nothing_is_transparent_is_its_bright_part(mode):
    mask = Image.new("L", (80, 60), 0)
    mask.paste(255, (40, 0, 80, 60))
    if mode == "I;16":
        mask = Image.fromarray(np.asarray(mask).astype(np.uint16) * 257)
    elif mode == "F":
        mask = Image.fromarray(np.asarray(mask).astype(np.float32) / 255)
    else:
        mask = mask.convert("RGB").convert(mode)
    inside = unpack_region(region_of_mask(mask, Scale(6, 8)))
    assert inside[:, 4:].all() and not inside[:, :4].any()


@pytest.mark.parametrize("alpha", [False, True])
def test_mask_is_turned_as_its_camera_noted(alpha):
    mask = Image.new("L", (60, 80), 0)
    mask.paste(255, (0, 0, 60, 40))  # its upper half, which is the right one, turned
    if alpha:
        mask, shape = Image.new("RGBA", (60, 80), 0), mask
        mask.putalpha(shape)
    notes = mask.getexif()
    notes[274] = 6  # orientation: a quarter to the right
    mask.info["exif"] = notes.tobytes()
    inside = unpack_region(region_of_mask(mask, Scale(6, 8)))
    assert inside[:, 4:].all() and not inside[:, :4].any()


@pytest.mark.parametrize(
    ("box", "rows", "columns"),
    [
        ((0.5, 0, 1, 1), (0, 6), (4, 8)),
        ((0, 0, 0.25, 0.5), (0, 3), (0, 2)),
        ((0, 0, 1, 1), (0, 6), (0, 8)),
    ],
)
def test_box_is_the_tokens_whose_centers_it_holds(box, rows, columns):
    expected = np.zeros((6, 8), bool)
    expected[slice(*rows), slice(*columns)] = True
    assert np.array_equal(unpack_region(region_of_box(box, Scale(6, 8))), expected)


@pytest.mark.parametrize(
    "box", [(), (0, 0, 1), (0.5, 0, 0.5, 1), (0, 0, 2, 1), (0, 0, 0.01, 0.01), (-1, 0, 1, 1)]
)
def test_wrong_or_empty_box_is_refused(box):
    with pytest.raises(RequestError, match=r"box|Nothing of the picture"):
        region_of_box(box, Scale(6, 8))


@pytest.mark.parametrize("brightest", [0, 1, 127])
def test_dark_mask_is_refused_and_says_how_dark_it_is(brightest):
    mask = Image.new("L", (50, 50), 0)
    mask.paste(brightest, (10, 10, 40, 40))
    with pytest.raises(RequestError, match=f"brightest place is {brightest} of 255"):
        region_of_mask(mask, Scale(6, 8))


def test_small_mask_is_every_token_that_it_touches():
    mask = Image.new("L", (80, 60), 0)
    mask.paste(255, (38, 12, 42, 14))  # across the border of two tokens, at the center of none
    inside = unpack_region(region_of_mask(mask, Scale(6, 8)))
    assert inside[1, 3:5].all() and inside.sum() == 2
    with pytest.raises(RequestError, match="mark a larger region"):  # all that is bright is cut off
        region_of_mask(mask, Scale(6, 8), (0, 0.5, 1, 1))


def test_words_part_where_their_probabilities_do():
    pipeline, schedule = tiny_pipeline(), SPEC.schedules["1:1"]
    bits = unpack_bits(pipeline.generate(GenerationRequest(prompt="a boat")).bits[0], schedule, 8)
    pictures = (
        PictureInputs(0, (EncodedPart(0, WordsEncoder().encode(prompt).features),), None)
        for prompt in ("a boat", "a house")
    )
    one, other = (
        tuple(inspect(pipeline.transformer, SPEC.tokenizer, picture, bits, schedule, SPEC.sampling))
        for picture in pictures
    )
    inside = unpack_region(region_of_words(one, other))
    assert inside.shape == (8, 8) and 0 < inside.mean() <= 1
    assert np.array_equal(inside, unpack_region(region_of_words(other, one)))
    with pytest.raises(RequestError, match="change others"):
        region_of_words(one, one)
