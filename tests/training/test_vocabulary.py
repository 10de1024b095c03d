"""The exported words are those of the captions."""

import numpy as np
import pytest

from infinity.registry import DEFAULT_MODEL_FOLDER
from infinity.world.vocabulary import Vocabulary, read_vocabulary
from training.world import captions
from training.world.captions import world_vocabulary
from training.world.concepts import CONCEPTS
from training.world.scene import sample_scene
from training.world.sprites import STYLES


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    return world_vocabulary(tuple(CONCEPTS), STYLES)


def test_every_thing_is_listed_once_under_its_kind(vocabulary):
    names = [name for listed in vocabulary.objects.values() for name in listed]
    assert sorted(names) == sorted(CONCEPTS)
    assert Vocabulary.from_dict(vocabulary.to_dict()) == vocabulary


def test_no_caption_has_an_unknown_word(vocabulary, monkeypatch):
    monkeypatch.setattr(captions, "MISSPELT_SHARE", 0.0, raising=False)
    for index in range(300):
        rng = np.random.default_rng((9, index))
        scene = sample_scene(
            rng, concepts=tuple(CONCEPTS), styles=STYLES, stage="full", split="train"
        )
        assert vocabulary.unknown(captions.caption(scene, rng)) == {}


def test_part_of_the_world_leaves_the_rest_out():
    part = world_vocabulary(("dog", "car", "apple"), ("3d",))
    assert part.objects == {"animal": ("dog",), "vehicle": ("car",), "food": ("apple",)}
    assert set(part.unknown("a penguin and a puppy")) == {"penguin"}


def test_shipped_file_is_that_of_the_world(vocabulary):
    assert read_vocabulary(DEFAULT_MODEL_FOLDER) == vocabulary
