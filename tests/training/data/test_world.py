"""The emoji world as a source: endless, drawn at the size that is trained."""

import numpy as np
import pytest

from tests.training.data.make import config_for, small_set, write_pictures
from training.data.batches import batches
from training.data.detection import detect
from training.data.errors import DataError
from training.data.validation import HeldOut
from training.data.world import ENDLESS, WorldSource
from training.world.concepts import CONCEPTS
from training.world.sprites import STYLES
from training.world.world import World


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "world"
    folder.mkdir()
    random = np.random.default_rng(0)
    sprites = {
        f"{style}/{name}": random.integers(0, 256, (12, 12, 4), np.uint8)
        for style in STYLES
        for name in CONCEPTS
    }
    np.savez(folder / "sprites.npz", **sprites)
    return str(folder)


def test_world_gives_new_pictures_at_every_step(world):
    assert detect(world) == "world"
    drawn = list(batches(config_for(world, steps=3)))
    assert {batch.aspect_ratio for batch in drawn} == {"1:1"}
    assert drawn[0].pictures_u8.shape == (4, 3, 32, 32)
    assert [key for batch in drawn for key in batch.keys] == [f"world {i}" for i in range(12)]
    assert len({caption for batch in drawn for caption in batch.captions}) > 6


def test_world_resumes_and_follows_the_seed(world):
    whole = list(batches(config_for(world, steps=3)))
    (last,) = batches(config_for(world, steps=3, workers=1), start_step=2)
    assert last.captions == whole[2].captions
    assert (last.pictures_u8 == whole[2].pictures_u8).all()
    other = next(batches(config_for(world, steps=3, seed=1)))
    assert other.captions != whole[0].captions


def test_captions_are_those_of_the_drawn_pictures_and_are_read_without_drawing(world, monkeypatch):
    drawer = World.load(world, styles=STYLES)
    expected = [drawer.example(5, index, size=32) for index in range(6)]
    source = WorldSource(world, 32, seed=5)
    for index, example in enumerate(expected):
        record = source.record(index)
        assert record.load is not None
        assert np.array_equal(np.asarray(record.load()), example.image)
    monkeypatch.setattr(World, "draw", None)
    captions = [source.record(index).captions.long for index in range(6)]
    assert captions == [(example.caption,) for example in expected]


def test_world_holds_out_its_last_pictures(world):
    config = config_for(world, held_out=0.1, steps=2)
    few = config.model_copy(
        update={"logging": config.logging.model_copy(update={"validation_samples": 5})}
    )
    keys = [key for batch, _ in HeldOut(few) for key in batch.keys]
    assert keys == [f"world {ENDLESS - 5 + i}" for i in range(5)]
    trained = [key for batch in batches(few) for key in batch.keys]
    assert trained == [key for batch in batches(config_for(world, steps=2)) for key in batch.keys]


def test_options_choose_what_is_drawn(world):
    single = config_for(f"{world}?stage=single&styles=3d", steps=2)
    assert len(next(batches(single)).captions) == 4
    with pytest.raises(DataError, match="has no option stage=double"):
        batches(config_for(f"{world}?stage=double"))
    with pytest.raises(DataError, match="has no option size=3"):
        batches(config_for(f"{world}?size=3"))


def test_world_cannot_be_mixed_or_missing(world, tmp_path):
    write_pictures(tmp_path / "a", small_set(2))
    with pytest.raises(DataError, match="cannot be mixed"):
        batches(config_for(world, tmp_path / "a"))
    with pytest.raises(DataError, match="is not a built world"):
        batches(config_for(tmp_path / "a", format="world"))
