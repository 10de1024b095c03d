"""The same batches whatever loads them: workers, ranks, another start, broken pictures between."""

import logging

import pytest
import torch

from infinity.images import preprocess
from tests.training.data.make import as_folder, as_webdataset, config_for, small_set
from training.data.batches import batches
from training.data.errors import DataError

pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create")

COUNT = 24


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return as_folder(tmp_path_factory.mktemp("batches") / "set", small_set(COUNT))


@pytest.fixture(scope="module")
def wanted(folder):
    return list(batches(config_for(folder)))


def same(batch, other):
    return (
        batch.keys == other.keys
        and batch.captions == other.captions
        and batch.aspect_ratio == other.aspect_ratio
        and torch.equal(batch.pictures_u8, other.pictures_u8)
    )


@pytest.mark.parametrize("world_size", [1, 2])
@pytest.mark.parametrize("workers", [1, 2, 3])
def test_workers_and_ranks_share_without_duplicates_or_holes(folder, wanted, workers, world_size):
    config = config_for(folder, workers=workers)
    ranks = [list(batches(config, rank=rank, world_size=world_size)) for rank in range(world_size)]
    for step, whole in enumerate(wanted):
        parts = [rank[step] for rank in ranks]
        assert sum((part.keys for part in parts), ()) == whole.keys
        assert sum((part.captions for part in parts), ()) == whole.captions
        assert sum((part.positions for part in parts), ()) == whole.positions == (0, 1, 2, 3)
        assert torch.equal(torch.cat([part.pictures_u8 for part in parts]), whole.pictures_u8)
        assert {part.aspect_ratio for part in parts} == {whole.aspect_ratio}


def test_a_pass_has_every_record_once(tmp_path):
    square = [sample for sample in small_set(COUNT) if sample[1].height == sample[1].width]
    source = as_folder(tmp_path / "square", square)
    config = config_for(source, batch_size=2, steps=len(square))
    keys = [key for batch in batches(config) for key in batch.keys]
    names = sorted(f"{name}.png" for name, _, _ in square)
    assert sorted(keys[: len(square)]) == sorted(keys[len(square) :]) == names


@pytest.mark.parametrize("start", [1, 5, 7])
@pytest.mark.parametrize("workers", [0, 2])
def test_run_resumes_anywhere_within_a_pass(folder, wanted, start, workers):
    rest = list(batches(config_for(folder, workers=workers), start_step=start))
    assert [batch.step for batch in rest] == list(range(start, 8))
    assert all(same(batch, other) for batch, other in zip(rest, wanted[start:], strict=True))


def test_run_resumes_at_another_world_size(folder, wanted):
    later = list(batches(config_for(folder), start_step=3, rank=1, world_size=4))
    for batch, whole in zip(later, wanted[3:], strict=True):
        assert same(batch, whole.slice(1, 2))
        assert batch.positions == (1,)


def test_pictures_are_resized_as_the_parity_numbers_are(folder, wanted):
    pictures = {f"{name}.png": picture for name, picture, _ in small_set(COUNT)}
    sizes = {"1:1": (32, 32), "3:2": (32, 48), "2:3": (48, 32)}
    for batch in wanted:
        unit = batch.pictures_u8.float() / 255
        for key, pixels in zip(batch.keys, unit + unit - 1, strict=True):
            assert torch.equal(pixels, preprocess(pictures[key], *sizes[batch.aspect_ratio]))


def test_every_aspect_ratio_goes_to_the_nearest_bucket(folder, wanted):
    ratios = {
        f"{name}.png": picture.height / picture.width for name, picture, _ in small_set(COUNT)
    }
    targets = {"1:1": 1.0, "3:2": 0.666, "2:3": 1.5}
    assert {batch.aspect_ratio for batch in wanted} == set(targets)
    for batch in wanted:
        for key in batch.keys:
            nearest = min(targets, key=lambda name: abs(targets[name] - ratios[key]))
            assert nearest == batch.aspect_ratio


def test_without_shuffling_records_come_in_order(folder):
    config = config_for(folder, shuffle=False, schedules={"1:1": [[1, 1], [4, 4]]}, steps=6)
    keys = [key for batch in batches(config) for key in batch.keys]
    assert keys == sorted(keys)


def break_picture(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.fixture
def damaged(tmp_path):
    source = tmp_path / "damaged"
    as_folder(source, small_set(COUNT))
    for name in ("0000", "0003"):
        break_picture(source / f"{name}.png")
    return str(source)


def test_broken_pictures_are_replaced_alike_by_all_workers_and_ranks(damaged):
    config = config_for(damaged, skip_tolerance=0.5)
    whole = list(batches(config))
    skips = [skip for batch in whole for skip in batch.skipped]
    assert {skip.reason for skip in skips} == {"broken picture"}
    assert {skip.text[:8] for skip in skips} == {"0000.png", "0003.png"}
    assert all(len(batch) == 4 for batch in whole)
    ranks = [
        list(batches(config_for(damaged, skip_tolerance=0.5, workers=2), rank=r, world_size=2))
        for r in range(2)
    ]
    for step, batch in enumerate(whole):
        assert ranks[0][step].keys + ranks[1][step].keys == batch.keys
        assert not {"0000.png", "0003.png"} & set(batch.keys)


def test_report_ends_the_pass(damaged, caplog):
    with caplog.at_level(logging.INFO):
        list(batches(config_for(damaged, skip_tolerance=0.5)))
    assert "pass 1 ends" in caplog.text
    assert "broken picture" in caplog.text
    assert "image file is truncated" in caplog.text


def test_more_skips_than_tolerated_stop_the_run_with_a_sentence(tmp_path):
    source = tmp_path / "set"
    as_folder(source, small_set(COUNT))
    for path in list(source.glob("*.txt"))[:8]:
        path.write_text(" ")
    with pytest.raises(DataError, match=r"8 of 24 records cannot be used .*training\.prepare"):
        batches(config_for(source, skip_tolerance=0.2))


@pytest.mark.parametrize("workers", [0, 1])
def test_nothing_but_broken_pictures_is_one_sentence_also_from_a_worker(tmp_path, workers):
    source = tmp_path / "set"
    as_folder(source, small_set(8))
    for path in source.glob("*.png"):
        break_picture(path)
    with pytest.raises(DataError, match="records in a row cannot be used") as raised:
        list(batches(config_for(source, workers=workers, skip_tolerance=1.0)))
    assert "Traceback" not in str(raised.value)


def test_batch_that_ranks_cannot_share_is_refused(folder):
    with pytest.raises(DataError, match="multiple of 3"):
        batches(config_for(folder), world_size=3)


def test_sources_are_joined_in_order(tmp_path):
    samples = small_set(COUNT)
    first = as_folder(tmp_path / "first", samples[:10])
    second = as_webdataset(tmp_path / "second", samples[10:])
    joined = list(batches(config_for(first, second)))
    together = list(batches(config_for(as_folder(tmp_path / "all", samples))))
    assert [batch.captions for batch in joined] == [batch.captions for batch in together]


def test_micro_batches_are_slices(folder, wanted):
    batch = wanted[0]
    parts = [batch.slice(0, 2), batch.slice(2, 4)]
    assert parts[0].keys + parts[1].keys == batch.keys
    assert torch.equal(torch.cat([part.pictures_u8 for part in parts]), batch.pictures_u8)
    assert parts[1].positions == (2, 3)


def test_short_captions_depend_on_the_step_alone(tmp_path):
    source = tmp_path / "set"
    as_folder(source, small_set(COUNT))
    for path in source.glob("*.png"):
        path.with_suffix(".short.txt").write_text(f"short {path.stem}")
    config = config_for(source, short_caption_probability=0.5)
    captions = [batch.captions for batch in batches(config)]
    flat = sum(captions, ())
    assert any(text.startswith("short") for text in flat)
    assert any(text.startswith("picture") for text in flat)
    assert [b.captions for b in batches(config, start_step=2)] == captions[2:]


def test_a_card_is_fed_by_its_share_of_the_cores(folder, monkeypatch):
    left_open = config_for(folder, workers=None).data
    monkeypatch.setattr("os.cpu_count", lambda: 24)
    assert left_open.workers_on("cpu") == 2 and left_open.workers_on("cuda") == 16
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    assert left_open.workers_on("cuda") == 6
    assert config_for(folder, workers=0).data.workers_on("cuda") == 0
    assert config_for(folder, workers=3).data.workers_on("cpu") == 3
