"""From prompts to captions: what the model cannot draw is told, what is open the seed chooses."""

from collections import Counter
from dataclasses import replace

import pytest

from infinity.registry import DEFAULT_MODEL_FOLDER
from infinity.spec import read_spec
from infinity.world.caption import caption_of
from infinity.world.completion import completed
from infinity.world.fitting import fitted
from infinity.world.reading import read
from infinity.world.scene import FACINGS, RELATIONS, SIZES, SPOTS, TILTS, Scene, Thing
from infinity.world.vocabulary import Vocabulary
from infinity.world.wording import written


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    found = read_spec(DEFAULT_MODEL_FOLDER).vocabulary
    assert found is not None
    return found


@pytest.fixture(scope="module")
def larger(vocabulary) -> Vocabulary:
    """One whose model was told of everything."""
    return replace(
        vocabulary, most_things=3, most_count=6, most_of_each=3, relations=RELATIONS, sizes=SIZES,
        spots=SPOTS, facings=FACINGS, tilts=TILTS, sided=("cat", "car"),
        completed=("background", "style", "size", "spot", "facing", "tilt"),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("prompt", "caption", "note"),
    [
        ("two apples and three bananas", "an apple and a banana", "at most 1 apple beside"),
        ("a dozen cats", "four cats", "at most 4 cats"),
        ("several cats", "three cats", ""),
        ("many cats", "four cats", ""),
        ("a dog, a cat and a rabbit", "a dog and a cat", "not drawn: “rabbit”"),
        ("a dog between a cat and a key", "a dog and a cat", "not drawn: “key”"),
        ("a green banana", "a banana", "cannot paint bananas green"),
        ("a yellow banana", "a yellow banana", ""),
        ("a light blue car", "a blue car", "nearest to light blue is blue"),
        ("a dog behind a tree", "a dog and a tree", "does not know “behind”"),
        ("a dog on a car", "a dog above a car", "drawn as “above”"),
        ("on the left a dog, on the right a cat", "a dog to the left of a cat", ""),
        ("a dog at the top, a cat at the bottom", "a dog above a cat", ""),
        ("a tiny dog", "a small dog", ""),
        ("a dog facing left", "a dog", "cannot make a thing face left"),
        ("a dog in the top left", "a dog", "cannot place a thing"),
        ("a cat, not a dog", "a cat", ""),
        ("a cat without whiskers", "a cat", "cannot leave out what it does not know: “whiskers”"),
        ("a cat and a wolf", "a cat", "“wolf” means nothing"),
        ("a cat and a wolf", "a cat", "it knows: “bear” for “wolf”"),
    ],
)  # fmt: skip
def test_what_cannot_be_drawn_is_told(vocabulary, prompt, caption, note):
    found = caption_of(prompt, vocabulary, None)
    assert found is not None
    assert found.text == caption
    assert note in " ".join(found.notes) and bool(note) == bool(found.notes)


def test_larger_model_draws_what_todays_cannot(larger):
    prompt = "two red cars behind a cat facing left, in the top left, and a tree"
    found = caption_of(prompt, larger, None)
    assert found is not None
    assert found.text == "two red cars behind a cat facing left, in the top left, and a tree"
    assert found.notes == ()


def test_seed_completes_a_prompt_always_the_same_way(vocabulary, larger):
    assert written(completed(Scene(things=(Thing(name="cat"),)), larger, 7), larger) == (
        "a big cat facing right at night, 3d style"
    )
    for words in (vocabulary, larger):
        drawn = [caption_of("a cat", words, seed) for seed in range(40)]
        assert drawn == [caption_of("a cat", words, seed) for seed in range(40)]
        assert len({one.text for one in drawn if one}) > 20


def test_completing_again_changes_nothing(vocabulary, larger):
    for words in (vocabulary, larger):
        for seed in range(60):
            for prompt in ("a cat", "a red car and a dog", "three owls"):
                once = caption_of(prompt, words, seed)
                assert once is not None
                again = caption_of(once.text, words, seed)
                assert again is not None and again.text == once.text and again.notes == ()


def test_what_the_prompt_says_stays(larger):
    for seed in range(60):
        scene = read("a big red car facing left on a white background, cartoon style", larger).scene
        assert scene is not None
        whole = completed(scene, larger, seed)
        (thing,) = whole.things
        assert (thing.size, thing.color, thing.facing) == ("big", "red", "left")
        assert (whole.background, whole.style) == (scene.background, "cartoon")


def test_completion_is_tasteful(vocabulary):
    grounds = Counter()
    for seed in range(400):
        scene = completed(Scene(things=(Thing(name="penguin"),)), vocabulary, seed)
        assert scene.background is not None
        grounds[scene.background.names[0]] += 1
        red = completed(Scene(things=(Thing(name="car", color="red"),)), vocabulary, seed)
        assert red.background is not None
        assert not {"red", "orange", "pink"} & set(red.background.names)
    assert grounds["snow"] > 60 and not {"underwater", "sky", "space"} & set(grounds)


def test_models_that_were_taught_no_choice_are_left_alone(vocabulary):
    plain = replace(vocabulary, completed=())
    scene = Scene(things=(Thing(name="cat"),))
    assert completed(scene, plain, 3) == scene
    assert fitted(scene, plain) == (scene, [])
