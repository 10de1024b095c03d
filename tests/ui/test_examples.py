"""Examples with pictures, and the list of what a model knows."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from functools import partial

from PIL import Image

from infinity.registry import DEFAULT_MODEL, DEFAULT_MODEL_FOLDER
from infinity.request import GenerationRequest
from infinity.spec import read_spec
from infinity.ui.generate import help as module
from infinity.ui.generate.examples import Example, examples_of, read_examples
from infinity.ui.generate.help import world_html
from tests.tiny import tiny_pipeline
from tests.ui.fakes import make_spec
from tests.ui.test_follow import WORLD
from training.pages.examples import SIDE, write_examples


def test_written_examples_are_read_back_with_their_pictures(tmp_path):
    (tmp_path / "old.webp").write_bytes(b"")
    pipeline = tiny_pipeline()
    write_examples(pipeline, ["a dog", "a <b>cat</b>"], tmp_path)
    assert not (tmp_path / "old.webp").exists()
    examples = read_examples(tmp_path)
    assert [(example.prompt, example.seed) for example in examples] == [
        ("a dog", 0), ("a <b>cat</b>", 1),
    ]  # fmt: skip
    drawn = pipeline.generate(GenerationRequest(prompt="a dog", seed=0)).images[0]
    with Image.open(io.BytesIO(examples[0].picture)) as picture:
        assert picture.format == "WEBP"
        assert picture.size == drawn.size
    assert "&lt;b&gt;cat" in examples[1].html


def test_no_folder_no_examples(tmp_path):
    assert read_examples(tmp_path / "nowhere") == ()


def test_shipped_examples_are_small_and_of_the_shipped_models_world():
    vocabulary = read_spec(DEFAULT_MODEL_FOLDER).vocabulary
    examples = read_examples()
    assert len(examples) >= 6
    assert sum(len(example.picture) for example in examples) < 60_000
    for example in examples:
        assert vocabulary is not None
        assert vocabulary.unknown(example.prompt) == {}
        with Image.open(io.BytesIO(example.picture)) as picture:
            assert max(picture.size) <= SIDE


def test_examples_are_the_models_own():
    assert examples_of(make_spec(DEFAULT_MODEL, "X")) == read_examples()
    assert all(not example.picture for example in examples_of(make_spec("x", "X")))
    assert examples_of(make_spec("x", "X"))
    assert examples_of(replace(make_spec("x", "X"), vocabulary=WORLD)) == ()


def test_example_shows_its_picture_from_its_own_address():
    assert Example("a dog", 0, b"\0").html.startswith('<img src="data:image/webp;base64,AA=="')


def test_known_words_are_listed_and_escaped():
    html = world_html(replace(make_spec("x", "X"), vocabulary=WORLD))
    for word in ("dog", "red", "3d style", "cartoon style"):
        assert f"<span>{word}</span></button></li>" in html
    risky = replace(WORLD, objects={"<i>": ("<b>",)})
    assert "{red|blue}" in html
    assert "<b>" not in world_html(replace(make_spec("x", "X"), vocabulary=risky))
    assert "pictures of all kinds" in world_html(make_spec("x", "X"))


def test_default_models_words_have_their_tiles(tmp_path, monkeypatch):
    (tmp_path / "thumbnails.json").write_text(
        json.dumps({"columns": 2, "words": ["dog", "b", "c", "cartoon"]})
    )
    (tmp_path / "thumbnails.webp").write_bytes(b"\0")
    monkeypatch.setattr(module, "read_tiles", partial(module.read_tiles, tmp_path))
    html = world_html(replace(make_spec(DEFAULT_MODEL, "X"), vocabulary=WORLD))
    assert "--tiles:url(data:image/webp;base64,AA==) 0 0 / 72px auto" in html
    assert 'background-position:-0px -0px"></span><span>dog</span>' in html
    assert 'background-position:-36px -36px"></span><span>cartoon style</span>' in html
    assert "tile" not in world_html(replace(make_spec("x", "X"), vocabulary=WORLD))
