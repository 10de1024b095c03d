"""Hugging Face datasets on disk, without a network."""

import io

import datasets
import pytest
from PIL import Image

from tests.training.data.make import SCHEDULES, as_huggingface, as_parquet, small_set
from training.config.settings import DataSettings
from training.data.errors import DataError
from training.data.source import open_source


@pytest.fixture(autouse=True)
def offline(monkeypatch, tmp_path):
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "datasets")


def opened(source, **settings):
    chosen = {"skip_tolerance": 1.0, "schedules": SCHEDULES, "format": "huggingface", **settings}
    return open_source(DataSettings(sources=(str(source),), **chosen))


def encoded(size=(20, 10)):
    data = io.BytesIO()
    Image.new("RGB", size).save(data, "PNG")
    return data.getvalue()


def test_split_of_a_saved_dictionary_is_chosen(tmp_path):
    parts = {
        name: datasets.Dataset.from_dict({"png": [encoded()], "prompt": [name]})
        for name in ("train", "test")
    }
    datasets.DatasetDict(parts).save_to_disk(tmp_path / "saved")
    source = opened(tmp_path / "saved", split="test")
    assert source.record(0).captions.long == ("test",)
    assert (source.record(0).height, source.record(0).width) == (10, 20)
    with pytest.raises(DataError, match=r"no split 'validation'; set data\.split to one of"):
        opened(tmp_path / "saved", split="validation")


def test_parquet_file_is_read_by_itself(tmp_path):
    folder = as_parquet(tmp_path / "data", small_set(3))
    (file,) = (tmp_path / "data").rglob("*.parquet")
    assert len(opened(file)) == len(opened(folder)) == 3


def test_rows_without_picture_or_caption_are_skipped(tmp_path):
    rows = {"image": [encoded(), None, b"junk", encoded()], "text": ["a", "b", "c", ""]}
    datasets.Dataset.from_dict(rows).save_to_disk(tmp_path / "saved")
    source = opened(tmp_path / "saved")
    assert len(source) == 1
    assert source.report.counts == {"broken picture": 2, "empty caption": 1}


def test_rows_cannot_name_files_elsewhere(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "secret.png")
    rows = {"image": [str(tmp_path / "secret.png"), "inside.png"], "text": ["a", "b"]}
    datasets.Dataset.from_dict(rows).save_to_disk(tmp_path / "saved")
    Image.new("RGB", (8, 8)).save(tmp_path / "saved" / "inside.png")
    source = opened(tmp_path / "saved")
    assert [source.record(index).key for index in range(len(source))] == ["row 1"]
    assert "outside of" in source.report.examples["broken picture"][0]


def test_columns_that_hold_no_captions_are_a_sentence(tmp_path):
    datasets.Dataset.from_dict({"image": [encoded()], "label": [3]}).save_to_disk(tmp_path / "s")
    with pytest.raises(
        DataError, match=r"name it with data\.caption_field: it has 'image', 'label'"
    ):
        opened(tmp_path / "s")


def test_name_that_cannot_be_fetched_is_a_sentence():
    with pytest.raises(DataError, match="cannot be read as a Hugging Face dataset"):
        opened("someone/something")


def test_pictures_stay_encoded_until_they_are_asked_for(tmp_path):
    source = opened(as_huggingface(tmp_path / "saved", small_set(2)))
    assert source.record(1).load().size == (60, 40)
