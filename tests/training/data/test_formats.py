"""Every format, written from one small set, gives the same first batches."""

import pytest
import torch

from tests.training.data.make import (
    FORMATS,
    as_folder,
    as_named_folders,
    config_for,
    small_set,
    write_pictures,
)
from training.data.batches import batches
from training.data.errors import DataError


def first_batches(source, **settings):
    return list(batches(config_for(source, **settings)))


@pytest.fixture(scope="module")
def from_folder(tmp_path_factory):
    return first_batches(as_folder(tmp_path_factory.mktemp("set") / "folder", small_set()))


@pytest.mark.parametrize("write", FORMATS.values(), ids=FORMATS)
def test_every_format_gives_the_same_first_batches(write, tmp_path, from_folder):
    found = first_batches(write(tmp_path / "data", small_set()))
    assert len(found) == len(from_folder) == 8
    for batch, wanted in zip(found, from_folder, strict=True):
        assert batch.aspect_ratio == wanted.aspect_ratio
        assert batch.captions == wanted.captions
        assert torch.equal(batch.pictures_u8, wanted.pictures_u8)
        assert batch.positions == (0, 1, 2, 3)


WITH_BLANKS = {name: write for name, write in FORMATS.items() if write is not as_named_folders}


@pytest.mark.parametrize("write", WITH_BLANKS.values(), ids=WITH_BLANKS)
def test_pictures_without_captions_are_enough_for_a_tokenizer(write, tmp_path):
    blank = [(name, picture, "") for name, picture, _ in small_set()]
    source = write(tmp_path / "data", blank)
    tokenizer = config_for(source, task="tokenizer")
    assert len(list(batches(tokenizer))) == 8
    with pytest.raises(DataError, match=r"caption"):
        batches(config_for(source))


def test_plain_folder_is_enough_for_a_tokenizer(tmp_path):
    write_pictures(tmp_path / "plain", small_set())
    assert len(list(batches(config_for(tmp_path / "plain", task="tokenizer")))) == 8
