"""A small world's words: what is unknown, what may have been meant, and the file they are kept in."""

from __future__ import annotations

import json

import pytest

from infinity.checkpoints.save import save_model
from infinity.errors import CheckpointError
from infinity.generation.notes import vocabulary_notes
from infinity.pipeline import InfinityPipeline
from infinity.registry import DEFAULT_MODEL_FOLDER
from infinity.request import GenerationRequest
from infinity.spec import read_spec
from infinity.world.caption import MOST_SHOWN
from infinity.world.dictionary import dictionary, packed, unpacked
from infinity.world.vocabulary import (
    VOCABULARY_FILE,
    Vocabulary,
    one_slip_apart,
    read_vocabulary,
    write_vocabulary,
)

WORLD = Vocabulary(
    objects={"animal": ("dog", "penguin"), "vehicle": ("fire truck",)},
    synonyms={"dog": ("puppy",)},
    scenes={"beach": ("on a sandy beach",)},
    styles={"3d": ("3d style",), "cartoon": ("cartoon style",)},
    colors=("red", "light blue"),
    other_words=("dogs", "puppies", "penguins", "two", "jack-o'-lantern"),
)


@pytest.mark.parametrize(
    ("text", "unknown"),
    [
        ("a Red DOG on a sandy beach, 3D style", {}),
        ("two puppies and my fire-truck", {}),
        ("the dog's beach", {}),
        ("a jack-o’-lantern", {}),
        ("a zebra", {"zebra": ()}),
        ("a Pinguin on a beech", {"Pinguin": ("penguin",), "beech": ()}),
        ("🐧 !?", {}),
        ("ein Hund, 犬", {"ein": (), "Hund": (), "犬": ()}),
        ("", {}),
    ],
)
def test_words_outside_the_world_are_named_with_what_may_be_meant(text, unknown):
    assert WORLD.unknown(text) == unknown


@pytest.mark.parametrize(
    ("text", "corrected", "read"),
    [
        ("a Pnguin on a beach", "a penguin on a beach", {"Pnguin": "penguin"}),
        ("two pupies, a lihgt blue dgo", "two puppies, a light blue dgo",
         {"pupies": "puppies", "lihgt": "light"}),
        ("a pennguin and a fire tuck", "a penguin and a fire tuck", {"pennguin": "penguin"}),
        ("a zebra, an engine, a pinguinn", "a zebra, an engine, a pinguinn", {}),
        ("a dog on a beech in the showing", "a dog on a beech in the showing", {}),
        ("a lenguin", "a lenguin", {}),
    ],
)  # fmt: skip
def test_names_one_slip_away_are_put_right_and_nothing_else(text, corrected, read):
    assert WORLD.corrected(text) == (corrected, read)


@pytest.mark.parametrize(
    ("one", "other", "near"),
    [("cat", "cat", True), ("hart", "heart", True), ("sheeep", "sheep", True), ("sreep", "sheep", True),
     ("rcoket", "rocket", True), ("rokcte", "rocket", False), ("dog", "cat", False), ("", "ab", False)],
)  # fmt: skip
def test_one_slip_is_a_letter_or_two_neighbors(one, other, near):
    assert one_slip_apart(one, other) == one_slip_apart(other, one) == near


def test_default_model_draws_a_misspelt_name_and_says_so():
    pipeline = InfinityPipeline.from_pretrained("default")
    plain, slipped = (
        pipeline.generate(
            GenerationRequest(prompt=f"a {name} in space", seed=1, complete_prompt=False)
        )
        for name in ("rocket", "rcoket")
    )
    assert plain.images[0].tobytes() == slipped.images[0].tobytes()
    assert plain.notes == () and slipped.notes == ("Read “rcoket” as “rocket”.",)
    assert slipped.request.prompt == "a rcoket in space"


def test_note_names_the_words_and_the_likely_meanings():
    assert vocabulary_notes("a dog", WORLD) == []
    assert vocabulary_notes("a zebra", None) == []
    (one,) = vocabulary_notes("a pinguin", WORLD)
    assert one.startswith("“pinguin” is not among the words this small model has learnt")
    assert one.endswith("The nearest that it knows: “penguin” for “pinguin”.")
    (two,) = vocabulary_notes("a zebra and a pupy", WORLD)
    assert "“zebra” and “pupy” are not" in two
    assert two.endswith("it knows: “puppy” for “pupy”.")
    (many,) = vocabulary_notes(" ".join(f"qx{i}" for i in range(MOST_SHOWN + 3)), WORLD)
    assert "and 3 more are" in many


def test_file_reads_back_to_the_same_words(tmp_path):
    assert read_vocabulary(tmp_path) is None
    write_vocabulary(WORLD, tmp_path)
    assert read_vocabulary(tmp_path) == WORLD


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data.pop("objects"),
        lambda data: data.update(animals=[]),
        lambda data: data.update(colors="red"),
        lambda data: data.update(objects=["dog"]),
        lambda data: data.update(scenes={"beach": [1]}),
    ],
)
def test_damaged_file_is_refused(tmp_path, change):
    data = WORLD.to_dict()
    change(data)
    (tmp_path / VOCABULARY_FILE).write_text(json.dumps(data))
    with pytest.raises(CheckpointError, match=VOCABULARY_FILE):
        read_vocabulary(tmp_path)


@pytest.mark.parametrize("text", ["{", "[]"])
def test_file_that_is_no_object_is_refused(tmp_path, text):
    (tmp_path / VOCABULARY_FILE).write_text(text)
    with pytest.raises(CheckpointError, match=VOCABULARY_FILE):
        read_vocabulary(tmp_path)


def test_saved_model_carries_its_own_words_and_no_other_models(tmp_path):
    from dataclasses import replace

    from tests.t5_folder import write_t5_folder
    from tests.tiny import SPEC, tiny_tokenizer, tiny_transformer

    encoder = write_t5_folder(tmp_path / "t5", SPEC.text_encoder.width, 0)
    parts = (tiny_transformer(), tiny_tokenizer(), encoder)
    save_model(tmp_path / "model", replace(SPEC, vocabulary=WORLD), *parts)
    assert read_spec(tmp_path / "model").vocabulary == WORLD
    save_model(tmp_path / "model", SPEC, *parts)
    assert read_spec(tmp_path / "model").vocabulary is None


def test_shipped_model_knows_its_own_examples():
    vocabulary = read_spec(DEFAULT_MODEL_FOLDER).vocabulary
    assert vocabulary is not None
    assert vocabulary.unknown("a red apple on a sandy beach, 3d style") == {}
    assert vocabulary.unknown("three octopuses left of a robot, cartoon style") == {}
    assert vocabulary.unknown("a zeppelin and a wolf") == {"zeppelin": (), "wolf": ("bear",)}


def test_no_word_of_english_and_no_number_is_mended():
    vocabulary = read_spec(DEFAULT_MODEL_FOLDER).vocabulary
    assert vocabulary is not None
    words = sorted(dictionary())
    assert len(words) >= 50_000
    assert {"five", "money", "coat", "plant", "cattle", "lamp", "start", "colour"} <= set(words)
    assert vocabulary.corrected(" ".join(words))[1] == {}
    assert vocabulary.corrected("12 1234 99 five seventy") == ("12 1234 99 five seventy", {})


def test_near_things_are_offered_by_meaning_in_singular_and_plural():
    vocabulary = read_spec(DEFAULT_MODEL_FOLDER).vocabulary
    assert vocabulary is not None
    assert vocabulary.near("wolves") == vocabulary.near("Wolf") == ("bear",)
    assert vocabulary.near("violin") == ("guitar",)
    assert vocabulary.near("idea") == vocabulary.near("pretty") == ()
    assert WORLD.near("wolf") == ()


def test_list_of_words_reads_back():
    words = {"a", "an", "ant", "antenna", "bee", "zoo"}
    near = {"bee": ("dog",), "zoo": ("penguin", "dog")}
    assert unpacked(packed(words, near)) == {word: near.get(word, ()) for word in sorted(words)}
