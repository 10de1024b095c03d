"""A file of bits stands for its picture wherever a picture is asked for."""

import json
import os
from dataclasses import replace

import numpy as np
import pytest

from infinity.arrays import save_arrays
from infinity.edit import tasks
from infinity.edit.files import PictureBits, open_picture
from infinity.edit.sources import bits_of, rebuild, source_of
from infinity.errors import RequestError
from infinity.generation.inspection import save as save_inspected
from infinity.metadata import save_png
from infinity.request import GenerationRequest
from tests.edit.test_sources import photo
from tests.tiny import PATCHIFY_SPEC, SPEC, tiny_pipeline

PIPELINE = tiny_pipeline()
DRAWN = PIPELINE.generate(GenerationRequest(prompt="a red apple", seed=1)).images[0]
BOX = (0.5, 0.0, 1.0, 1.0)


def saved(folder, picture, pipeline=PIPELINE, ratio=None):
    bits_of(pipeline, source_of(pipeline, picture, ratio)).save(folder / "bits.npz")
    return folder / "bits.npz"


@pytest.mark.parametrize("ratio", list(SPEC.schedules))
@pytest.mark.parametrize("spec", [SPEC, PATCHIFY_SPEC], ids=lambda spec: spec.name)
def test_bits_come_back_from_their_file(tmp_path, spec, ratio):
    pipeline = tiny_pipeline(spec)
    drawn = pipeline.generate(GenerationRequest(prompt="snow", seed=3, aspect_ratio=ratio)).images[
        0
    ]
    for picture in (drawn, photo()):
        path = saved(tmp_path, picture, pipeline, ratio)
        assert source_of(pipeline, open_picture(path)) == source_of(pipeline, picture, ratio)
        assert path.stat().st_size < 6000


@pytest.mark.parametrize(
    "task",
    [
        lambda p: tasks.vary(PIPELINE, p, 2, seed=5),
        lambda p: tasks.edit(PIPELINE, p, BOX, prompt="a blue boat"),
        lambda p: tasks.edit(PIPELINE, p, None, prompt="a red boat"),
        lambda p: tasks.mix(PIPELINE, p, photo(), 1),
        lambda p: tasks.mix(PIPELINE, DRAWN, p, 1),
        lambda p: tasks.repair(PIPELINE, p, doubt=0.1),
        lambda p: tasks.extend(PIPELINE, p, "3:2"),
        lambda p: tasks.inspect(PIPELINE, p)[0],
    ],
    ids=["vary", "edit", "words", "mix", "fine", "repair", "extend", "inspect"],
)
def test_task_asks_for_the_same_of_bits_as_of_the_picture(tmp_path, task):
    assert task(open_picture(saved(tmp_path, DRAWN))) == task(DRAWN)


def test_file_of_an_inspection_is_one_of_bits(tmp_path):
    request, scales = tasks.inspect(PIPELINE, DRAWN)
    save_inspected(tmp_path / "inside.npz", scales, request, "tiny", PIPELINE.fingerprint)
    source = source_of(PIPELINE, open_picture(tmp_path / "inside.npz"))
    assert source == replace(source_of(PIPELINE, DRAWN), request=request)


def test_bits_are_decoded_to_their_picture(tmp_path):
    rebuilt = rebuild(PIPELINE, open_picture(saved(tmp_path, DRAWN)))
    assert rebuilt.image.tobytes() == DRAWN.tobytes() == rebuilt.original.tobytes()
    assert rebuild(PIPELINE, DRAWN).image.tobytes() == PIPELINE.reconstruct(DRAWN).image.tobytes()


def test_picture_is_opened_as_before(tmp_path):
    path = save_png(DRAWN, tmp_path / "a.npz")  # whatever its name says
    assert open_picture(path).tobytes() == DRAWN.tobytes()
    for name in ("none.png", "none.npz"):
        with pytest.raises(RequestError, match="There is no picture at"):
            open_picture(tmp_path / name)
    os.mkfifo(tmp_path / "pipe.npz")
    with pytest.raises(RequestError, match="is a pipe"):
        open_picture(tmp_path / "pipe.npz")


GOOD = {"scale_1_bits": np.ones((1, 8), bool), "scale_2_bits": np.ones((4, 8), bool)}
ABOUT = {"model": "tiny", "weights": "", "aspect_ratio": "1:1"}


@pytest.mark.parametrize(
    ("arrays", "about", "said"),
    [
        ({}, ABOUT, "no file of a picture's bits"),
        ({"scale_2_bits": GOOD["scale_2_bits"]}, ABOUT, "no file of a picture's bits"),
        ({"scale_1_bits": np.ones((1, 8))}, ABOUT, "no file of a picture's bits"),
        ({"scale_1_bits": np.ones(8, bool)}, ABOUT, "no file of a picture's bits"),
        (GOOD, {}, "no file of a picture's bits"),
        (GOOD, {**ABOUT, "model": 3}, "no file of a picture's bits"),
        (GOOD, {**ABOUT, "request": []}, "no file of a picture's bits"),
        (GOOD, {"model": "tiny", "request": {}}, "no file of a picture's bits"),
        (GOOD, {**ABOUT, "request": {"prompt": ""}}, "The prompt is empty"),
        (GOOD, {**ABOUT, "request": {"prompt": "x", "num_images": 10**9}}, "num_images must be"),
        (GOOD, {**ABOUT, "request": {"promt": "x"}}, "has no setting"),
        (GOOD, ABOUT, "not of the scales"),
        (GOOD, {**ABOUT, "aspect_ratio": "9:1"}, "no pictures of aspect ratio"),
        (GOOD, {**ABOUT, "model": "infinity-2b"}, "bits of the model 'infinity-2b'"),
    ],
)
def test_wrong_file_is_refused_in_a_sentence(tmp_path, arrays, about, said):
    save_arrays(tmp_path / "x.npz", arrays, about)
    with pytest.raises(RequestError, match=said):
        source_of(PIPELINE, open_picture(tmp_path / "x.npz"))


def test_bytes_beyond_one_are_ones(tmp_path):
    here = bits_of(PIPELINE, source_of(PIPELINE, DRAWN))
    loud = tuple((each.view(np.uint8) * 7).view(bool) for each in here.bits)
    replace(here, bits=loud).save(tmp_path / "x.npz")
    again = open_picture(tmp_path / "x.npz")
    assert all(map(np.array_equal, again.bits, here.bits))
    assert all(each.view(np.uint8).max() == 1 for each in again.bits)


def test_bits_of_other_weights_or_another_ratio_are_refused(tmp_path):
    here = bits_of(PIPELINE, source_of(PIPELINE, DRAWN))
    other = tiny_pipeline()
    other.fingerprint = "0123"
    assert source_of(other, here) == source_of(PIPELINE, here), "older files name no weights"
    with pytest.raises(RequestError, match="other weights"):
        source_of(other, replace(here, weights="4567"))
    with pytest.raises(RequestError, match="'1:1', not '3:2'"):
        source_of(PIPELINE, here, "3:2")


def test_file_is_read_by_numpy_alone(tmp_path):
    with np.load(saved(tmp_path, DRAWN)) as file:
        assert file["scale_5_bits"].shape == (64, 8) and file["scale_5_bits"].dtype == bool
        about = json.loads(str(file["about"]))
    assert about["request"]["prompt"] == "a red apple" and about["model"] == "tiny"
    assert isinstance(open_picture(tmp_path / "bits.npz"), PictureBits)
