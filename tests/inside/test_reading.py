"""Looking inside pictures of a tiny model, and what its numbers are kept in."""

import threading

import numpy as np
import pytest
import torch

from infinity.errors import RequestError, StoppedError
from infinity.generation.inputs import EncodedPart, PictureInputs
from infinity.inside.reading import Look, look, words_of
from infinity.inside.shelf import Shelf
from infinity.request import GenerationRequest
from tests.edit.test_sources import photo
from tests.tiny import PATCHIFY_SPEC, tiny_pipeline

PIPELINE = tiny_pipeline()


def seen(pipeline, image, prompt="", cancel=None):
    steps = look(pipeline, image, prompt, model="tiny", cancel=cancel or threading.Event())
    *fractions, found = steps
    assert fractions == [(i + 1) / len(fractions) for i in range(len(fractions))]
    assert isinstance(found, Look)
    return found


@pytest.mark.parametrize("ratio", ["1:1", "3:2", "2:3"])
@pytest.mark.parametrize("pipeline", [PIPELINE, tiny_pipeline(PATCHIFY_SPEC)], ids=["1x1", "2x2"])
def test_last_picture_is_the_picture_and_all_scales_add_up_to_it(pipeline, ratio):
    done = pipeline.generate(GenerationRequest(prompt="a red apple", seed=1, aspect_ratio=ratio))
    found, pixels = seen(pipeline, done.images[0]), np.asarray(done.images[0], np.float32)
    assert np.array_equal(np.asarray(found.pictures[-1]), pixels)
    assert found.inspection.bits == done.bits[0]
    first = np.asarray(found.pictures[0], np.float32).mean(-1) - found.added[0]
    assert first.std() < np.asarray(found.pictures[0]).std()  # no codes: plainer than any picture
    np.testing.assert_allclose(first + sum(found.added), pixels.mean(-1), atol=1e-3)
    last = pipeline.spec.schedule(ratio)[-1]
    assert found.decided_hw.shape == (last.height, last.width)
    assert 1 <= found.decided_hw.min() <= found.decided_hw.max() <= len(found.pictures)


def test_photo_is_read_with_the_words_that_are_given():
    found = seen(PIPELINE, photo(), "green snow")
    assert [word.text for word in found.inspection.words] == ["green", "snow"]
    with pytest.raises(RequestError, match="say what it shows"):
        seen(PIPELINE, photo())


def test_reading_stops_when_asked():
    cancel = threading.Event()
    steps = look(PIPELINE, photo(), "snow", model="tiny", cancel=cancel)
    next(steps)
    cancel.set()
    with pytest.raises(StoppedError):
        next(steps)


def test_words_are_followed_through_a_prompt_that_changes():
    def part(first, text, spans):
        return EncodedPart(first, torch.zeros(len(spans) + 1, 4), text=text, spans=spans)

    picture = PictureInputs(
        0,
        (
            part(0, "a cat, a cat", ((0, 1), (2, 4), (4, 6), (6, 8), (8, 12))),
            part(2, "a dog", ((0, 1), (1, 3), (3, 5))),
        ),
        None,
    )
    # Tokens may begin at the blank before a word, and a word may have several.
    assert [(word.text, word.tokens) for word in words_of(picture, 3)] == [
        ("a", ((0,), (0,), (0,))),
        ("cat", ((1, 2), (1, 2), ())),
        ("a", ((3,), (3,), ())),
        ("cat", ((4,), (4,), ())),
        ("dog", ((), (), (1, 2))),
    ]


def test_shelf_keeps_what_fits_and_always_the_newest():
    found = seen(PIPELINE, photo(), "snow").inspection
    shelf = Shelf(most_bytes=2 * found.nbytes)
    for key in ("a", "b"):
        shelf.put(key, found)
    shelf.get("a")
    shelf.put("c", found)
    assert shelf.get("a") is found and shelf.get("c") is found
    with pytest.raises(RequestError, match="look inside again"):
        shelf.get("b")
    small = Shelf(most_bytes=1)
    small.put("a", found)
    assert small.get("a") is found


def test_pictures_of_other_shapes_are_not_laid_side_by_side():
    square, wide = (seen(PIPELINE, photo(*size), "x").inspection for size in ((64, 64), (90, 60)))
    square.check_like(square)
    with pytest.raises(RequestError, match="two of the same"):
        square.check_like(wide)
