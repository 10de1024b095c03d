"""Flips, crops and repeats: off unless asked for, drawn by a sample's place, never where wrong."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from infinity.errors import InfinityError
from infinity.images import covering
from tests.training.data.make import SCHEDULES, as_folder, config_for
from training.data.batches import HeldOut, batches
from training.data.captions import names_a_side
from training.data.source import open_data

pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create")
SIDES = {"0001": "a cup left of a plate", "0002": "RIGHT: a fox", "0003": "eine Tasse, links"}


def picture(number: int) -> Image.Image:
    random = np.random.default_rng(number)
    return Image.fromarray(random.integers(0, 256, (40, 50, 3), np.uint8))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    names = [f"{number:04}" for number in range(8)]
    samples = [(name, picture(i), SIDES.get(name, "a plate")) for i, name in enumerate(names)]
    return as_folder(tmp_path_factory.mktemp("changed") / "set", samples)


def seen(config, **place):
    """(step, key, pixels (H, W, 3)) of all samples."""
    return [
        (batch.step, key, pixels.permute(1, 2, 0).numpy())
        for batch in batches(config, **place)
        for key, pixels in zip(batch.keys, batch.pictures_u8, strict=True)
    ]


def centered(key: str) -> np.ndarray:
    return np.asarray(covering(picture(int(key[:4])), 32, 32))


ONE = {"schedules": {"1:1": SCHEDULES["1:1"]}, "batch_size": 4, "steps": 12}


def test_pictures_are_as_they_are_unless_asked_otherwise(folder):
    assert all(
        np.array_equal(pixels, centered(key)) for _, key, pixels in seen(config_for(folder, **ONE))
    )


def test_half_are_mirrored_but_none_whose_caption_names_a_side(folder):
    mirrored = {}
    for _, key, pixels in seen(config_for(folder, **ONE, horizontal_flips=0.5)):
        same = np.array_equal(pixels, centered(key))
        assert same or np.array_equal(pixels, centered(key)[:, ::-1])
        mirrored.setdefault(key[:4], []).append(not same)
    sided = [flag for name, flags in mirrored.items() if name in SIDES for flag in flags]
    others = [flag for name, flags in mirrored.items() if name not in SIDES for flag in flags]
    assert not any(sided) and len(sided) > 10
    assert 0.25 < np.mean(others) < 0.75


def test_crops_are_parts_of_the_picture_at_many_places(folder):
    places = set()
    for _, key, pixels in seen(config_for(folder, **ONE, random_crops=True)):
        wide = np.asarray(picture(int(key[:4])).resize((40, 32), Image.Resampling.LANCZOS))
        found = [x for x in range(9) if np.array_equal(wide[:, x : x + 32], pixels)]
        assert len(found) == 1
        places.update(found)
    assert len(places) > 4


@pytest.mark.parametrize(
    "place", [{"start_step": 5}, {"start_step": 3, "rank": 1, "world_size": 2}]
)
@pytest.mark.parametrize("workers", [0, 2])
def test_resumed_run_on_any_number_of_processes_makes_the_same_changes(folder, place, workers):
    changes = {"horizontal_flips": 0.5, "random_crops": True, "workers": workers}
    whole = {
        (step, key): pixels for step, key, pixels in seen(config_for(folder, **ONE, **changes))
    }
    later = seen(config_for(folder, **ONE, **changes), **place)
    assert later
    assert all(np.array_equal(pixels, whole[step, key]) for step, key, pixels in later)


def test_validation_sees_pictures_as_they_are(folder):
    config = config_for(folder, **ONE, held_out=0.5, horizontal_flips=1.0, random_crops=True)
    for batch, _ in HeldOut(config):
        for key, pixels in zip(batch.keys, batch.pictures_u8, strict=True):
            assert np.array_equal(pixels.permute(1, 2, 0), centered(key))


def test_repeats_of_a_source_weigh_it(folder, tmp_path):
    other = as_folder(tmp_path / "other", [("9000", picture(9), "a ninth")])
    config = config_for(folder, other, **ONE | {"steps": 3}, repeats=(1, 4))
    keys = [key for _, key, _ in seen(config)]
    assert keys.count("9000.png") == 4 and len(set(keys)) == 9  # 3 x 4 samples are one pass
    assert open_data(config)[1].sizes == {"1:1": 12}
    with pytest.raises(InfinityError, match="give one a source"):
        config_for(folder, other, repeats=(3,))


@pytest.mark.parametrize(
    ("caption", "sided"),
    [
        ("the left hand", True), ("a Right-hand drive", True), ("turning clockwise", True),
        ("à gauche", True), ("слева от дома", True), ("在左边", True), ("derecha", True),
        ("bright light", False), ("a cleft rock", False), ("", False), ("an upright piano", False),
    ],
)  # fmt: skip
def test_sides_are_read_as_whole_words(caption, sided):
    assert names_a_side(caption) is sided
