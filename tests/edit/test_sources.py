import numpy as np
import pytest
import torch
from PIL import Image

from infinity.edit.sources import on_canvas, source_of
from infinity.errors import RequestError
from infinity.images import preprocess
from infinity.packing import pack_region, unpack_bits, unpack_region
from infinity.request import GenerationRequest
from infinity.start import Start
from tests.tiny import PATCHIFY_SPEC, SPEC, tiny_pipeline

PIPELINE = tiny_pipeline()


def photo(width=90, height=60):
    pixels = np.random.default_rng(1).integers(0, 255, (height, width, 3), np.uint8)
    return Image.fromarray(pixels).resize((width * 2, height * 2))


@pytest.mark.parametrize("ratio", list(SPEC.schedules))
def test_picture_with_a_record_gives_the_bits_it_was_drawn_with(ratio):
    done = PIPELINE.generate(GenerationRequest(prompt="snow", seed=3, aspect_ratio=ratio))
    source = source_of(PIPELINE, done.images[0])
    assert (source.bits, source.aspect_ratio) == (done.bits[0], ratio)
    assert source.request == done.request


def test_picture_of_another_model_goes_through_the_tokenizer():
    other = tiny_pipeline(PATCHIFY_SPEC).generate(GenerationRequest(prompt="snow")).images[0]
    source = source_of(PIPELINE, other)
    expected = PIPELINE.reconstruct(other)
    assert source.request is None
    bits = unpack_bits(source.bits, SPEC.schedules[source.aspect_ratio], 8)
    for one, two in zip(bits, expected.bits, strict=True):
        assert np.array_equal(one.numpy(), two)


@pytest.mark.parametrize(
    ("size", "ratio"), [((90, 60), "3:2"), ((60, 90), "2:3"), ((80, 80), "1:1")]
)
def test_any_picture_takes_its_nearest_ratio(size, ratio):
    assert source_of(PIPELINE, photo(*size)).aspect_ratio == ratio
    assert source_of(PIPELINE, photo(*size), "1:1").aspect_ratio == "1:1"


def test_canvas_holds_the_picture_and_leaves_the_rest_to_be_drawn():
    square = photo(64, 64)
    source, region = on_canvas(PIPELINE, square, "3:2")
    around = unpack_region(region)
    assert around.shape == (6, 9)
    assert around[:, :1].all() and around[:, -1:].all() and not around[:, 2:7].any()
    done = PIPELINE.generate(
        GenerationRequest(
            prompt="snow", aspect_ratio="3:2", start=Start(bits=source.bits, region=region)
        )
    )
    before, after = (
        unpack_bits(b, SPEC.schedules["3:2"], 8)[-1] for b in (source.bits, done.bits[0])
    )
    inside = torch.from_numpy(~around.flatten())
    assert torch.equal(before[inside], after[inside]) and not torch.equal(before, after)


def test_canvas_shows_the_picture_where_it_was_put():
    schedule = SPEC.schedules["3:2"]
    height, width = schedule.image_size(SPEC.tokenizer.token_pixels)
    plain = Image.new("RGB", (50, 50), (200, 30, 30))
    source, _ = on_canvas(PIPELINE, plain, "3:2")
    expected = PIPELINE.tokenizer.encode(
        preprocess(Image.new("RGB", (width, height), (200, 30, 30)), height, width)[None], schedule
    )
    bits = unpack_bits(source.bits, schedule, 8)
    assert all(torch.equal(a, b[0]) for a, b in zip(bits, expected.bits, strict=True))


@pytest.mark.parametrize("size", [(1, 900), (900, 1), (1, 1)])
def test_canvas_takes_the_thinnest_picture(size):
    ratio = "3:2" if size[0] <= size[1] else "2:3"
    around = unpack_region(on_canvas(PIPELINE, photo(*size), ratio)[1])
    assert around.any()


def test_canvas_of_the_same_shape_is_refused():
    with pytest.raises(RequestError, match="fills 1:1 already"):
        on_canvas(PIPELINE, photo(64, 64), "1:1")
    with pytest.raises(RequestError, match="aspect ratio"):
        on_canvas(PIPELINE, photo(64, 64), "9:1")


def test_regions_are_written_in_rows_and_columns():
    assert pack_region(np.ones((6, 9), bool)).startswith("6x9:")
