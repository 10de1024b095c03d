"""The command: what it says, what it draws, and that its shards are those of the library."""

import json
from pathlib import Path

import pytest
from PIL import Image

from tests.tiny import SPEC, tiny_folder
from tests.training.data.make import as_folder, small_set
from training.data.shards import read_index
from training.prepare import main


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tiny_folder(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / "set"
    as_folder(folder, small_set(12))
    (folder / "0001.txt").write_text("")
    path = folder / "0002.png"
    path.write_bytes(path.read_bytes()[:-300])
    return folder


def test_statistics_are_told_and_drawn(pictures, tmp_path, caplog):
    caplog.set_level("INFO")
    main([str(pictures), "--output", str(tmp_path / "out")])
    assert "10 usable records (folder)" in caplog.text
    assert "12 records read, 2 skipped" in caplog.text
    assert "0002.png cannot be read as a picture" in caplog.text
    assert "10 different, 5 to 5" in caplog.text
    written = json.loads((tmp_path / "out" / "statistics.json").read_text())
    assert written["records"] == sum(written["aspect_ratios"].values()) == 10
    assert written["skipped"] == {"empty caption": 1, "broken picture": 1}
    with Image.open(tmp_path / "out" / "statistics.png") as picture:
        assert picture.width > 500


def test_shards_are_written_checked_and_found_damaged(pictures, model, tmp_path, caplog):
    caplog.set_level("INFO")
    target = tmp_path / "prepared"
    command = [str(pictures), "--model", str(model), "--output", str(target)]
    main([*command, "--tokenize", "--shard-samples", "4", "--text-dtype", "float16"])
    assert "tokens" in caplog.text
    index = read_index(target)
    assert index.complete and index.recipe["text"]["dtype"] == "float16"
    assert index.recipe["text"]["width"] == SPEC.text_encoder.width
    assert set(index.schedules) == set(SPEC.schedules)
    caplog.clear()
    main([str(target), "--output", str(tmp_path / "out")])
    assert "every shard is as it was written" in caplog.text
    assert "10 usable records (prepared)" in caplog.text
    path = target / index.shards[0].file
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(SystemExit, match="is cut or damaged") as ended:
        main([str(target), "--output", str(tmp_path / "out")])
    assert "\n" not in str(ended.value)


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        (["/nowhere/at/all"], "There is no data at /nowhere/at/all"),
        ([], r"data\.sources"),
        (["SET", "--tokenize"], "needs a tokenizer"),
        (["SET", "--model", "infinty-2b"], "infinty-2b"),
        (["SET", "--caption-field", "x", "--format", "jsonl"], "no jsonl file"),
    ],
)
def test_what_is_wrong_is_one_sentence(pictures, tmp_path, command, sentence):
    arguments = [str(pictures) if part == "SET" else part for part in command]
    with pytest.raises(SystemExit, match=sentence) as ended:
        main([*arguments, "--output", str(tmp_path / "out")])
    assert "\n" not in str(ended.value)


def test_pictures_alone_can_be_looked_at(pictures, tmp_path, caplog):
    caplog.set_level("INFO")
    for path in pictures.glob("*.txt"):
        path.unlink()
    with pytest.raises(SystemExit, match="have no captions"):
        main([str(pictures), "--output", str(tmp_path / "out")])
    main([str(pictures), "--output", str(tmp_path / "out"), "--no-captions"])
    assert "11 usable records" in caplog.text


def test_buckets_are_those_of_the_model_that_is_named(pictures, model, tmp_path, caplog):
    said = {}
    for words in ([], ["--model", str(model)]):
        caplog.clear()
        caplog.set_level("INFO")
        main([str(pictures), "--quick", "--output", str(tmp_path / "looked"), *words])
        said[len(words)] = caplog.text
    assert "no model is named" in said[0] and "no model is named" not in said[2]
    (found,) = [line for line in said[2].splitlines() if "aspect ratios: " in line]
    named = {part.split(": ")[0] for part in found.split("aspect ratios: ")[1].split(", ")}
    assert named <= set(SPEC.schedules)


def test_quick_start_looks_at_the_data_for_the_model_it_fine_tunes():
    page = (Path(__file__).parents[2] / "docs" / "training.md").read_text()
    start = page.split("## Quick start")[1].split("## ")[0]
    assert "training.prepare pictures --model default" in start
    assert "--start_from default" in start
