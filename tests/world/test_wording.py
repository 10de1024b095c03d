"""Scenes are written in the wording that the small model was trained on."""

import pytest

from infinity.registry import DEFAULT_MODEL_FOLDER
from infinity.spec import read_spec
from infinity.world.scene import Background, Scene, Thing
from infinity.world.wording import article_for, written

WHITE = Background(kind="plain", names=("white",))
APPLES = Thing(name="apple", count=3, color="red", relation="left of")
CAR = Thing(name="car", facing="right", tilt="left", spot="top left")


@pytest.mark.parametrize(
    ("scene", "caption"),
    [
        (Scene(things=(APPLES, Thing(name="cat")), background=WHITE, style="cartoon"),
         "three red apples to the left of a cat on a white background, cartoon style"),
        (Scene(things=(Thing(name="french fries", size="big"),),
               background=Background(kind="gradient", names=("red", "light blue"))),
         "big french fries on a red to light blue gradient"),
        (Scene(things=(CAR,), background=Background(kind="place", names=("beach",))),
         "a car facing right, tilted left, in the top left, on a beach"),
        (Scene(things=(Thing(name="owl", size="normal", spot="center", relation="on"),
                       Thing(name="grapes", count=2, tilt="none"))),
         "an owl, in the center, on two bunches of grapes"),
        (Scene(things=tuple(Thing(name=name, relation=relation) for name, relation in
                            (("dog", "and"), ("cat", "and"), ("key", None)))),
         "a dog, a cat and a key"),
        (Scene(things=tuple(Thing(name=name, relation=relation) for name, relation in
                            (("dog", "between"), ("cat", "and"), ("key", None)))),
         "a dog between a cat and a key"),
    ],
)  # fmt: skip
def test_scene_is_written_as_its_caption(scene, caption):
    vocabulary = read_spec(DEFAULT_MODEL_FOLDER).vocabulary
    assert vocabulary is not None
    assert written(scene, vocabulary) == caption


def test_scene_with_a_broken_chain_of_relations_is_refused():
    with pytest.raises(AssertionError, match="relations"):
        Scene(things=(Thing(name="dog"), Thing(name="cat")))
    with pytest.raises(AssertionError, match="between"):
        Scene(things=(Thing(name="dog", relation="between"), Thing(name="cat")))


def test_article_follows_the_sound():
    said = {"apple": "an", "orange car": "an", "hourglass": "an", "umbrella": "an", "owl": "an"}
    said |= {"unicorn": "a", "UFO": "a", "hamburger": "a", "house": "a", "yellow umbrella": "a"}
    assert {phrase: article_for(phrase) for phrase in said} == said
