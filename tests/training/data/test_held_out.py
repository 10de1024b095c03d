"""Held-out pictures: never trained on, all of them tested on, alike on any number of processes."""

from __future__ import annotations

import pytest
import torch

from infinity.errors import InfinityError
from tests.training.data.make import as_folder, config_for, small_set
from training.data.batches import HeldOut, batches
from training.data.errors import DataError
from training.data.source import open_data, open_held_out

COUNT = 40


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return as_folder(tmp_path_factory.mktemp("held_out") / "set", small_set(COUNT))


def keys_of(config, world_size=1):
    """Of the samples that count, in order."""
    ranks = [list(HeldOut(config, rank=r, world_size=world_size)) for r in range(world_size)]
    assert len({len(rank) for rank in ranks}) == 1
    return [
        key
        for parts in zip(*ranks, strict=True)
        for batch, counts in parts
        if counts
        for key in batch.keys
    ]


def samples(config, **place):
    """Key, caption and picture of every sample, also of those that do not count."""
    for batch, _ in HeldOut(config, **place):
        assert batch.pictures_u8 is not None
        yield from zip(batch.keys, batch.captions, batch.pictures_u8, strict=True)


def test_held_out_share_is_tested_and_the_rest_is_trained(folder):
    config = config_for(folder, held_out=0.25, steps=30)
    trained = {key for batch in batches(config) for key in batch.keys}
    tested = keys_of(config)
    assert len(tested) == len(set(tested)) == 10
    assert not trained & set(tested)
    assert len(trained) == COUNT - 10


def test_share_does_not_depend_on_the_seed(folder):
    one, two = (config_for(folder, held_out=0.25, seed=seed) for seed in (1, 2))
    assert keys_of(one) == keys_of(two)


@pytest.mark.parametrize("world_size", [2, 3, 4])
def test_any_number_of_processes_sees_the_same_samples(folder, world_size):
    config = config_for(folder, held_out=0.25, batch_size=4)
    whole = {key: (caption, picture) for key, caption, picture in samples(config)}
    assert keys_of(config, world_size) == keys_of(config)
    for rank in range(world_size):
        for key, caption, picture in samples(config, rank=rank, world_size=world_size):
            assert caption == whole[key][0]
            assert torch.equal(picture, whole[key][1])


def test_every_pass_is_the_same_and_broken_pictures_are_replaced(tmp_path):
    folder = as_folder(tmp_path / "set", small_set(8))
    config = config_for("elsewhere", held_out_sources=[folder])
    before = keys_of(config)
    assert len(before) == 8
    held_out = HeldOut(config)
    broken = tmp_path / "set" / before[0]
    broken.write_bytes(broken.read_bytes()[:300])
    passes = [[key for batch, _ in held_out for key in batch.keys] for _ in range(2)]
    assert passes[0] == passes[1]
    assert len(passes[0]) == 8 and before[0] not in passes[0]


def test_number_of_samples_is_bounded_and_every_ratio_has_some(folder):
    config = config_for(folder, held_out=0.5)
    few = config.model_copy(
        update={"logging": config.logging.model_copy(update={"validation_samples": 6})}
    )
    sizes = open_held_out(few).sizes
    assert sum(sizes.values()) <= 8 and all(sizes.values())
    assert set(keys_of(few)) < set(keys_of(config))


def test_share_of_too_few_pictures_is_refused(folder):
    with pytest.raises(DataError, match=r"data.held_out 0.001 of 40 pictures is none; raise it"):
        open_data(config_for(folder, held_out=0.001))


def test_pictures_cannot_be_trained_and_tested_on(folder):
    with pytest.raises(InfinityError, match="exclude each other"):
        config_for(folder, held_out=0.1, held_out_sources=["elsewhere"])
    with pytest.raises(InfinityError, match="is trained on too"):
        config_for(folder, held_out_sources=[folder])
