"""Every format, written from one small set, gives the same first batches."""

import pytest
import torch

from tests.training.data.make import FORMATS, as_folder, config_for, small_set
from training.data.batches import batches


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
