"""The exported words are those of the captions."""

import numpy as np
import pytest

from infinity.registry import DEFAULT_MODEL_FOLDER
from infinity.world.caption import caption_of
from infinity.world.reading import read
from infinity.world.vocabulary import Vocabulary, read_vocabulary
from infinity.world.wording import written
from training.world import captions
from training.world.captions import world_vocabulary
from training.world.concepts import CONCEPTS, STYLES
from training.world.sampling import sample_scene


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    return world_vocabulary(tuple(CONCEPTS), STYLES)


def test_every_thing_is_listed_once_under_its_kind(vocabulary):
    names = [name for listed in vocabulary.objects.values() for name in listed]
    assert sorted(names) == sorted(CONCEPTS)
    assert Vocabulary.from_dict(vocabulary.to_dict()) == vocabulary


def test_no_caption_has_an_unknown_word(vocabulary):
    for index in range(300):
        rng = np.random.default_rng((9, index))
        scene = sample_scene(
            rng, concepts=tuple(CONCEPTS), styles=STYLES, stage="composed", split="train"
        )
        assert vocabulary.unknown(written(scene, vocabulary)) == {}
        assert vocabulary.unknown(captions.free_caption(scene, rng)) == {}


def test_captions_are_read_back_into_the_scenes_that_they_tell(vocabulary):
    freely = 0
    for index in range(200):
        rng = np.random.default_rng((5, index))
        scene = sample_scene(
            rng, concepts=tuple(CONCEPTS), styles=STYLES, stage="composed", split="train"
        )
        text = written(scene, vocabulary)
        found = caption_of(text, vocabulary, None)
        assert found is not None and (found.text, found.notes) == (text, ()), text
        free = caption_of(captions.free_caption(scene, rng), vocabulary, None)
        freely += free is not None and free.text == text
    assert freely > 0.95 * 200


def test_part_of_the_world_leaves_the_rest_out():
    part = world_vocabulary(("dog", "car", "apple"), ("3d",))
    assert part.objects == {"animal": ("dog",), "vehicle": ("car",), "food": ("apple",)}
    assert set(part.unknown("a penguin and a puppy")) == {"penguin"}


def test_things_of_the_shipped_model_keep_their_names(vocabulary):
    shipped = read_vocabulary(DEFAULT_MODEL_FOLDER)
    assert shipped is not None
    assert {name for names in shipped.objects.values() for name in names} <= CONCEPTS.keys()
    assert shipped.scenes.keys() <= vocabulary.scenes.keys()


def test_every_thing_of_the_world_is_read_by_all_its_names(vocabulary):
    plurals = {vocabulary.plural(noun) for noun in vocabulary.names}
    for noun, name in vocabulary.names.items():
        scene = read(f"a big {noun} in the rain", vocabulary).scene
        assert scene is not None, noun
        assert [thing.name for thing in scene.things] == [name] or noun in plurals, noun
