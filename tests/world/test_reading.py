"""Prompts in plain English are read into scenes."""

import json
import random
from dataclasses import replace
from pathlib import Path

import pytest

from infinity.registry import DEFAULT_MODEL_FOLDER
from infinity.spec import read_spec
from infinity.world.reading import read
from infinity.world.scene import (
    FACINGS,
    RELATIONS,
    SIZES,
    SPOTS,
    TILTS,
    Background,
    Scene,
    Thing,
)
from infinity.world.vocabulary import Vocabulary
from infinity.world.wording import written

PROMPTS = Path(__file__).parents[2] / "training" / "prompts"


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    found = read_spec(DEFAULT_MODEL_FOLDER).vocabulary
    assert found is not None
    return found


def random_scene(source: random.Random, vocabulary: Vocabulary) -> Scene:
    """Anything that a caption can say, whatever today's model knows of it."""

    def maybe(options):
        return source.choice(list(options)) if source.random() < 0.4 else None

    names = source.sample(sorted(set(vocabulary.names.values())), source.randint(1, 3))
    things = [
        Thing(name=name, count=source.choice((1, 1, 2, 3, 5)), color=maybe(vocabulary.thing_colors),
              size=maybe(set(SIZES) - {"normal"}), spot=maybe(SPOTS), facing=maybe(FACINGS),
              tilt=maybe(set(TILTS) - {"none"}))
        for name in names
    ]  # fmt: skip
    joints = [source.choice(RELATIONS[:-1]) for _ in things[1:]]
    if len(joints) == 2 and source.random() < 0.3:
        joints = ["between", "and"]
    things = [
        replace(thing, relation=joint) for thing, joint in zip(things, [*joints, None], strict=True)
    ]
    colors = source.sample(vocabulary.background_colors, 2)
    background = source.choice((
        None, Background(kind="plain", names=(colors[0],)), Background(kind="gradient", names=tuple(colors)),
        Background(kind="place", names=(source.choice(list(vocabulary.scenes)),)),
    ))  # fmt: skip
    return Scene(things=tuple(things), background=background, style=maybe(vocabulary.styles))


def test_written_scene_reads_back_to_the_same_scene(vocabulary):
    source = random.Random(1)
    for _ in range(300):
        scene = random_scene(source, vocabulary)
        reading = read(written(scene, vocabulary), vocabulary)
        assert reading.scene == scene, written(scene, vocabulary)
        assert reading.unknown == reading.left_out == reading.not_negated == ()


@pytest.mark.parametrize(
    ("prompt", "caption"),
    [
        ("a crown & a diamond", "a crown and a diamond"),
        ("white horse, green truck", "a white horse and a green truck"),
        ("one robot, one teddy bear", "a robot and a teddy bear"),
        ("a pair of cats", "two cats"),
        ("trio of bells", "three bells"),
        ("a dozen apples", "twelve apples"),
        ("a shark, on orange", "a shark on an orange background"),
        ("UFO in front of purple", "a flying saucer on a purple background"),
        ("a yellow coloured umbrella", "a yellow umbrella"),
        ("a car that is red", "a red car"),
        ("the moon is above the castle", "a moon above a castle"),
        ("on the left a dog, on the right a cat", "a dog, on the left, and a cat, on the right"),
        ("on the left, a dog; on the right, a cat", "a dog, on the left, and a cat, on the right"),
        ("two apples and three bananas", "two apples and three bananas"),
        ("IN THE SNOW: A FOX!", "a fox in the snow"),
        ("a cat stands beside a tree", "a cat and a tree"),
        ("a bee flies over a flower", "a bee above a flower"),
        ("a bird-free flower with a bee flying over it", "a flower below a bee"),
        ("next to a house there is a dog", "a house and a dog"),
        ("below the sun, a house", "a sun above a house"),
        ("a dog and another dog", "two dogs"),
        ("a cat, not a dog", "a cat"),
        ("a house without any trees or flowers", "a house"),
        ("I don't want a tiger, I want a lion", "a lion"),
        ("a balloon that is not red but blue", "a blue balloon"),
        ("in cartoon style, a dragon at night", "a dragon at night, cartoon style"),
        ("3 tiny red cars plus a huge bus", "three tiny red cars and a huge bus"),
        ("two wolves and a cat", "a cat"),
        ("a cat on a chair, and a dog", "a cat and a dog"),
        ("an owl facing to the right, tilted to the left", "an owl facing right, tilted left"),
        ("a dog between a cat and a key", "a dog between a cat and a key"),
    ],
)  # fmt: skip
def test_plain_english_is_read(vocabulary, prompt, caption):
    scene = read(prompt, vocabulary).scene
    assert scene is not None
    assert written(scene, vocabulary) == caption


@pytest.mark.parametrize(
    "prompt", ["", "?!", "犬", "a phone", "no cats", "in the snow", "blue", "x" * 5000]
)
def test_prompt_without_a_known_thing_has_no_scene(vocabulary, prompt):
    assert read(prompt, vocabulary).scene is None


def test_what_is_not_understood_is_told(vocabulary):
    reading = read("a majestic cat or a dog, a car, a bus, a key, no whiskers", vocabulary)
    assert reading.scene is not None
    assert [thing.name for thing in reading.scene.things] == ["cat", "car", "bus"]
    assert reading.unknown == ("majestic",)
    assert reading.left_out == ("dog", "key")
    assert reading.not_negated == ("whiskers",)


@pytest.mark.parametrize(("file", "most_wrong"), [("plain_english.jsonl", 2), ("exam.jsonl", 0)])
def test_things_that_prompts_ask_for_are_read(vocabulary, file, most_wrong):
    wrong = []
    for line in (PROMPTS / file).read_text(encoding="utf-8").splitlines():
        asked = json.loads(line)
        scene = read(asked["prompt"], vocabulary).scene
        things = {thing.name: thing for thing in scene.things} if scene else {}
        for item in asked["include"]:
            thing = things.get(vocabulary.names.get(item["class"], item["class"]))
            if (
                thing is None
                or thing.count < item.get("count", 1)
                or item.get("color") not in (None, thing.color)
            ):
                wrong.append(asked["prompt"])
    assert len(wrong) <= most_wrong, wrong
