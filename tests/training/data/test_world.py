"""The emoji world as a source: endless, drawn at the size that is trained."""

import numpy as np
import pytest
import torch

from infinity.config import TokenizerConfig
from infinity.schedule import ScaleSchedule
from infinity.tokenizer.tokenizer import Tokenizer
from tests.training.data.make import config_for, small_set, write_pictures
from training.config.errors import SettingsError
from training.config.sections import WorldSettings
from training.config.settings import DataSettings
from training.data.batches import HeldOut, batches
from training.data.errors import DataError
from training.data.formats import detect
from training.data.preparing import Recipe, prepare
from training.data.source import open_source
from training.data.world import (
    AGAIN_SEEDS,
    ENDLESS,
    FRESH_SEED,
    ORDER_SEED,
    StagedWorld,
    WorldSource,
    source_again,
)
from training.steps.step import pictures_as_floats
from training.world.concepts import CONCEPTS, STYLES
from training.world.world import World

SQUARE = {"1:1": [[1, 1], [2, 2], [4, 4]]}


def squares(*sources, **settings):
    """A run on square pictures of the world."""
    return config_for(*sources, schedules=SQUARE, **settings)


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
    drawn = list(batches(squares(world, steps=3)))
    assert {batch.aspect_ratio for batch in drawn} == {"1:1"}
    assert drawn[0].pictures_u8.shape == (4, 3, 32, 32)
    assert [key for batch in drawn for key in batch.keys] == [f"world {i}" for i in range(12)]
    assert len({caption for batch in drawn for caption in batch.captions}) > 6


def test_world_resumes_and_follows_the_seed(world):
    whole = list(batches(squares(world, steps=3)))
    (last,) = batches(squares(world, steps=3, workers=1), start_step=2)
    assert last.captions == whole[2].captions
    assert (last.pictures_u8 == whole[2].pictures_u8).all()
    other = next(batches(squares(world, steps=3, seed=1)))
    assert other.captions != whole[0].captions


def test_captions_are_those_of_the_drawn_pictures_and_are_read_without_drawing(world, monkeypatch):
    drawer = World.load(world, styles=STYLES)
    expected = [drawer.example(5, index, size=32) for index in range(6)]
    source = WorldSource(world, (32, 32), seed=5)
    for index, example in enumerate(expected):
        record = source.record(index)
        assert record.load is not None
        assert np.array_equal(np.asarray(record.load()), example.image)
    monkeypatch.setattr(World, "draw", None)
    captions = [source.record(index).captions.long for index in range(6)]
    assert captions == [(example.caption,) for example in expected]


def test_world_is_drawn_in_every_shape_the_squarest_every_other_time(world):
    schedules = {"3:2": [[1, 1], [2, 3]], "1:1": [[1, 1], [2, 2]], "2:3": [[1, 1], [3, 2]]}
    drawn = list(batches(config_for(world, schedules=schedules, steps=5)))
    shapes = [(batch.aspect_ratio, batch.pictures_u8.shape[2:]) for batch in drawn]
    wide, tall, square = ("3:2", (16, 24)), ("2:3", (24, 16)), ("1:1", (16, 16))
    assert shapes == [square, wide, square, tall, square]
    assert [key for batch in drawn for key in batch.keys] == [f"world {i}" for i in range(20)]
    few = config_for(world, schedules=schedules, held_out=0.1)
    assert {batch.aspect_ratio for batch, _ in HeldOut(few)} == set(schedules)


def test_world_holds_out_its_last_pictures(world):
    config = squares(world, held_out=0.1, steps=2)
    few = config.model_copy(
        update={"logging": config.logging.model_copy(update={"validation_samples": 5})}
    )
    keys = [key for batch, _ in HeldOut(few) for key in batch.keys]
    assert keys == [f"world {ENDLESS - 5 + i}" for i in range(5)]
    trained = [key for batch in batches(few) for key in batch.keys]
    assert trained == [key for batch in batches(squares(world, steps=2)) for key in batch.keys]


def test_options_choose_what_is_drawn(world):
    single = squares(f"{world}?stage=single&styles=3d", steps=2)
    assert len(next(batches(single)).captions) == 4
    with pytest.raises(DataError, match="has no option stage=double"):
        batches(squares(f"{world}?stage=double"))
    for wrong in ("size=3", "seed=x"):
        with pytest.raises(DataError, match=f"has no option {wrong}"):
            batches(squares(f"{world}?{wrong}"))


def test_a_number_of_pictures_with_a_seed_of_their_own_is_a_plain_source(world):
    few = squares(f"{world}?seed=3&pictures=8", steps=4)
    keys = [key for batch in batches(few) for key in batch.keys]
    assert sorted(keys) == sorted(2 * [f"world {i}" for i in range(8)])
    other = squares(f"{world}?seed=4&pictures=8", steps=4)
    assert set(next(batches(few)).captions) != set(next(batches(other)).captions)


def staged(world, size=(16, 16), ratio="1:1", **changes):
    """ "curriculum" of two stages, from pictures 0 and 100 on; new ones from 150 on."""
    settings = {
        "curriculum": ((0, {"single": 0.7, "full": 0.3}), (100, {"full": 0.2, "composed": 0.8})),
        "pictures": {"single": 5, "full": 5, "composed": 5},
        "fresh_from": 150,
        **changes,
    }
    return StagedWorld(world, WorldSettings.model_validate(settings), size, 0, ratio)


def test_pictures_come_up_again_in_other_words_then_new_ones_come(world):
    source = staged(world)
    shown = {}
    for index in range(150):
        record = source.record(index)
        pixels = np.asarray(record.load()).tobytes()
        shown.setdefault(pixels, []).append(record.captions.long[0])
    again = {
        np.asarray(
            WorldSource(source_again(world, stage, 5), (16, 16), 9).record(n).load()
        ).tobytes()
        for stage in AGAIN_SEEDS
        for n in range(5)
    }
    assert set(shown) <= again and len(shown) > 10
    assert max(len(set(texts)) for texts in shown.values()) > 10
    fresh = {np.asarray(source.record(i).load()).tobytes() for i in range(150, 170)}
    assert len(fresh) > 18 and not fresh & again
    assert len({AGAIN_SEEDS[stage] for stage in AGAIN_SEEDS} | {ORDER_SEED, FRESH_SEED}) == 5


def test_stages_follow_the_curriculum_and_a_seed_changes_their_order(world):
    keys = {}
    for stage in AGAIN_SEEDS:
        pictures = WorldSource(source_again(world, stage, 5), (16, 16), 0)
        keys |= {np.asarray(pictures.record(n).load()).tobytes(): stage for n in range(5)}
    source = staged(world)
    seen = [keys[np.asarray(source.record(i).load()).tobytes()] for i in range(150)]
    assert set(seen[:100]) == {"single", "full"} and 15 < seen[:100].count("full") < 45
    assert set(seen[100:]) == {"full", "composed"} and 30 < seen[100:].count("composed") < 50
    again, other = staged(world), StagedWorld(world, source.settings, (16, 16), seed=1)
    texts = [[s.record(i).captions.long[0] for i in range(160)] for s in (source, again, other)]
    assert texts[0] == texts[1] != texts[2]


def test_prepared_features_are_those_of_the_pictures_with_the_same_captions(world, tmp_path):
    torch.manual_seed(0)
    tokenizer = Tokenizer(
        TokenizerConfig(
            bits=8, base_channels=32, channel_multipliers=(1,), num_res_blocks=1, stem_patch=8
        )
    ).eval()
    schedules = {r: ScaleSchedule([(1, 1), end]) for r, end in (("3:2", (2, 3)), ("1:1", (2, 2)))}
    recipe = Recipe(tokenizer=tokenizer, schedules=schedules)
    for stage in AGAIN_SEEDS:
        settings = DataSettings(sources=(source_again(world, stage, 5),), format="world")
        source = open_source(settings, recipe.schedules, token_pixels=8)
        prepare(source, recipe, tmp_path / stage)
    for shape in ({}, {"size": (24, 16), "ratio": "3:2"}):
        drawn, prepared = staged(world, **shape), staged(world, **shape, features=str(tmp_path))
        for index in (0, 1, 2, 120):
            one, other = drawn.record(index), prepared.record(index)
            assert one.captions == other.captions and other.load is None
            pixels = torch.from_numpy(np.array(one.load())).permute(2, 0, 1)[None]
            with torch.no_grad():
                features = tokenizer.features(pictures_as_floats(pixels, torch.device("cpu")))
            torch.testing.assert_close(other.latent_dyx, features[0], atol=1e-4, rtol=1e-4)
    assert prepared.record(150).bits is None
    with pytest.raises(DataError, match=r"has 5 pictures of 1:1 and data\.world\.pictures 6"):
        staged(world, features=str(tmp_path), pictures={"single": 6, "full": 5, "composed": 5})


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"curriculum": ((5, {"full": 1.0}),)}, "begins with picture 0"),
        ({"curriculum": ((0, {"full": 1.0}),), "fresh_from": 4}, "has no number for full"),
        ({"features": "x", "fresh_from": 6}, "must be a multiple of optimization.batch_size 4"),
    ],
)
def test_stages_that_do_not_fit_are_told(world, changes, sentence):
    with pytest.raises(SettingsError, match=sentence):
        squares(world, world=changes)


def test_world_cannot_be_mixed_or_missing(world, tmp_path):
    write_pictures(tmp_path / "a", small_set(2))
    with pytest.raises(DataError, match="cannot be mixed"):
        batches(squares(world, tmp_path / "a"))
    with pytest.raises(DataError, match="is not a built world"):
        batches(squares(tmp_path / "a", format="world"))
