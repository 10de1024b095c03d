"""The page of what a model knows: every word has its picture, and the words are the model's."""

import json
from dataclasses import replace

import pytest
from PIL import Image

from infinity.errors import RequestError
from infinity.world.vocabulary import Vocabulary
from tests.tiny import SPEC, tiny_pipeline
from training.drawing import LINE_HEIGHT, sheet
from training.pages.known_words import TILE, TILES_A_ROW, sections, write_known_words

WORLD = Vocabulary(
    objects={"animal": ("dog", "owl"), "food": ("apple",)},
    synonyms={"dog": ("puppy",)},
    scenes={"snow": ("in the snow", "in winter")},
    styles={"3d": ("3d style",)},
    colors=("red",),
    other_words=(),
)


def test_every_word_is_asked_for_in_a_sentence():
    found = sections(WORLD)
    assert found["animal"]["owl"] == "an owl on a light blue background"
    assert found["places"]["snow"] == "a penguin in the snow"
    assert found["backgrounds"]["orange"] == "a smiley on an orange background"


def test_page_names_synonyms_and_numbers_the_tiles(tmp_path):
    pipeline = tiny_pipeline(replace(SPEC, vocabulary=WORLD))
    write_known_words(pipeline, tmp_path / "docs", tmp_path / "assets")
    text = (tmp_path / "docs" / "world.md").read_text()
    assert "dog (puppy)" in text and "in winter" in text
    for title in sections(WORLD):
        assert f"images/world/{title}.webp" in text
        assert (tmp_path / "docs" / "images" / "world" / f"{title}.webp").exists()
    listed = json.loads((tmp_path / "assets" / "thumbnails.json").read_text())
    assert listed == {"columns": TILES_A_ROW, "words": ["dog", "owl", "apple", "snow", "3d"]}
    assert Image.open(tmp_path / "assets" / "thumbnails.webp").size == (TILES_A_ROW * TILE, TILE)


def test_model_without_a_world_is_refused(tmp_path):
    with pytest.raises(RequestError, match="no model of a small world"):
        write_known_words(tiny_pipeline(), tmp_path, tmp_path)


def test_sheet_places_every_picture_above_its_label():
    pictures = [Image.new("RGB", (48, 32), (50 * i, 0, 0)) for i in range(5)]
    labeled = sheet(pictures, ["a dog", "x" * 99, "", "a b c", "last"], columns=3, lines=1)
    assert labeled.size == (3 * 48, 2 * (32 + LINE_HEIGHT))
    assert labeled.getpixel((48 + 20, 32 + LINE_HEIGHT + 10)) == (200, 0, 0)
    assert labeled.crop((0, 32, 48, 32 + LINE_HEIGHT)).getextrema()[0][0] < 128  # there is text
