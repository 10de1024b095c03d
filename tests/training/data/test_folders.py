"""Folders as people and common tools leave them: links, splits, metadata, img2dataset's and kohya's."""

import json
import logging
import os
from pathlib import Path

import pytest
from PIL import Image

from tests.training.data.make import SCHEDULES, config_for, small_set, write_pictures
from training.config.settings import DataSettings
from training.data.batches import batches
from training.data.errors import DataError
from training.data.files import of_split
from training.data.formats import detect
from training.data.source import open_data, open_held_out, open_source


def opened(*sources, **settings):
    chosen = {"skip_tolerance": 1.0, "schedules": SCHEDULES, **settings}
    return open_source(DataSettings(sources=tuple(map(str, sources)), **chosen))


def found(source):
    """Key -> first caption."""
    records = [source.record(index) for index in range(len(source))]
    return {record.key: record.captions.long[0] for record in records}


def picture(path: Path, caption: str | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        Image.new("RGB", (48, 48)).save(file, "PNG")
    if caption is not None:
        path.with_suffix(".txt").write_text(caption)
    return path


# Links


def test_links_to_folders_are_followed_and_circles_end(tmp_path):
    picture(tmp_path / "store" / "cats" / "a.png")
    picture(tmp_path / "set" / "dogs" / "b.png")
    (tmp_path / "set" / "linked").symlink_to(tmp_path / "store" / "cats")
    (tmp_path / "set" / "dogs" / "around").symlink_to(tmp_path / "set")
    (tmp_path / "set" / "dogs" / "self").symlink_to(".")
    (tmp_path / "set" / "nowhere").symlink_to(tmp_path / "gone")
    assert found(opened(tmp_path / "set")) == {"dogs/b.png": "dogs", "linked/a.png": "linked"}


def test_folder_that_two_ways_lead_to_is_read_once_and_by_its_own_name(tmp_path):
    picture(tmp_path / "set" / "cats" / "a.png")
    for name in ("also", "zoo"):
        (tmp_path / "set" / name).symlink_to("cats")
    assert found(opened(tmp_path / "set")) == {"cats/a.png": "cats"}


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_folder_that_cannot_be_read_is_said(tmp_path, caplog):
    picture(tmp_path / "set" / "cats" / "a.png")
    (tmp_path / "set" / "dogs").mkdir(mode=0o000)
    assert len(opened(tmp_path / "set")) == 1
    assert "dogs is left out" in caplog.text


# Hugging Face's picture folders

NAMES = (
    "train", "Training", "test", "testing", "validation", "valid", "dev", "val", "eval", "evaluation",
    "my-train", "train_1", "val2017", "test.set", "a test b", "latest", "detrain", "testify", "cat",
)  # fmt: skip


def loaded(folder: Path) -> dict[str, set[str]]:
    """Split -> files, as Hugging Face's own loader has them."""
    from datasets.data_files import DataFilesDict, get_data_patterns

    files = DataFilesDict.from_patterns(
        get_data_patterns(str(folder)), base_path=str(folder), allowed_extensions=[".png"]
    )
    return {
        str(split): {Path(name).relative_to(folder).as_posix() for name in names}
        for split, names in files.items()
    }


@pytest.mark.parametrize("name", [name for name in NAMES if name != "Training"])
def test_split_of_a_folder_is_the_one_hugging_face_finds(tmp_path, name):
    for part in ("train", "test", name):
        picture(tmp_path / part / "cat" / "a.png")
    wanted = loaded(tmp_path)
    files = [path for path in tmp_path.rglob("*.png")]
    for split in wanted:
        chosen = {
            path.relative_to(tmp_path).as_posix() for path in of_split(files, tmp_path, split)
        }
        assert chosen == wanted[split]


@pytest.mark.parametrize(
    "name", ["train-0.png", "0_train.png", "my test 1.png", "val.png", "latest.png"]
)
def test_split_of_a_file_is_the_one_hugging_face_finds(tmp_path, name):
    for part in ("train_1.png", "test-2.png", name):
        picture(tmp_path / part)
    files = [path for path in tmp_path.rglob("*.png")]
    for split, wanted in loaded(tmp_path).items():
        assert {path.name for path in of_split(files, tmp_path, split)} == wanted


def test_only_pictures_of_the_split_are_trained_on(tmp_path, caplog):
    for split in ("train", "validation", "Test"):
        for label in ("cat", "dog"):
            picture(tmp_path / split / label / f"{split}.png")
    assert set(found(opened(tmp_path))) == {"train/cat/train.png", "train/dog/train.png"}
    assert "left out: 2 of the split validation, 2 of the split test" in caplog.text
    assert set(found(opened(tmp_path, split="val"))) == {
        "validation/cat/validation.png", "validation/dog/validation.png",
    }  # fmt: skip
    assert len(opened(tmp_path, split="all")) == 6
    assert len(next(batches(config_for(tmp_path))).keys) == 4
    with pytest.raises(
        DataError, match=r"no split 'holdout'; set data\.split to train, validation"
    ):
        opened(tmp_path, split="holdout")


def test_splits_hold_where_captions_lie_beside_the_pictures(tmp_path):
    picture(tmp_path / "train" / "a.png", "one")
    picture(tmp_path / "test" / "b.png", "two")
    picture(tmp_path / "plain" / "train station.png", "three")
    picture(tmp_path / "plain" / "test tube.png", "four")
    assert found(opened(tmp_path / "plain")) == {
        "train station.png": "three", "test tube.png": "four",
    }  # fmt: skip
    assert set(found(opened(tmp_path))) == {"train/a.png"}


def test_folders_that_may_or_may_not_be_splits_are_a_sentence(tmp_path):
    for name in ("bus", "train"):
        picture(tmp_path / "vehicles" / name / "a.png")
    with pytest.raises(DataError, match=r"of the split 'train' by its name.*data\.split to all"):
        opened(tmp_path / "vehicles")
    assert found(opened(tmp_path / "vehicles", split="all")) == {
        "bus/a.png": "bus", "train/a.png": "train",
    }  # fmt: skip
    picture(tmp_path / "tests" / "test" / "a.png")
    with pytest.raises(DataError, match=r"no split 'train'; set data\.split to test"):
        opened(tmp_path / "tests")


def rows(suffix: str, lines: list[dict[str, str]]) -> bytes:
    import io

    import pyarrow as pa
    import pyarrow.parquet as pq

    if suffix == "jsonl":
        return "".join(json.dumps(line) + "\n" for line in lines).encode()
    if suffix == "csv":
        texts = [",".join(lines[0]), *(",".join(line.values()) for line in lines)]
        return ("\n".join(texts) + "\n").encode()
    data = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(lines), data)
    return data.getvalue()


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize("field", ["file_name", "image_file_name"])
def test_metadata_in_every_split_is_read(tmp_path, suffix, field):
    for split in ("train", "test"):
        for name in ("x/a.png", "b.png"):
            picture(tmp_path / split / name)
        lines = [{field: name, "text": f"{split} {name}"} for name in ("x/a.png", "b.png")]
        (tmp_path / split / f"metadata.{suffix}").write_bytes(rows(suffix, lines))
    assert detect(str(tmp_path)) == "folder"
    assert found(opened(tmp_path)) == {"x/a.png": "train x/a.png", "b.png": "train b.png"}
    assert set(found(opened(tmp_path, split="test")).values()) == {"test x/a.png", "test b.png"}


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_metadata_above_the_splits_is_read_without_the_test_pictures(tmp_path, suffix, caplog):
    lines = []
    picture(tmp_path / "train" / "cat" / "unlisted.png")
    for name in ("train/cat/a.png", "test/cat/b.png"):
        picture(tmp_path / name)
        lines.append({"file_name": name, "text": f"a caption of {name}"})
    (tmp_path / f"metadata.{suffix}").write_bytes(rows(suffix, lines))
    assert found(opened(tmp_path)) == {"train/cat/a.png": "a caption of train/cat/a.png"}
    assert "at least 1 pictures are in no metadata file" in caplog.text


def test_metadata_of_several_kinds_is_a_sentence(tmp_path):
    picture(tmp_path / "a.png")
    (tmp_path / "metadata.csv").write_text("file_name,text\na.png,one\n")
    (tmp_path / "metadata.jsonl").write_text('{"file_name": "a.png", "text": "two"}\n')
    with pytest.raises(DataError, match=r"several kinds, metadata\.csv and metadata\.jsonl"):
        opened(tmp_path)


def test_metadata_without_captions_is_a_sentence_and_not_the_folders_name(tmp_path):
    picture(tmp_path / "cat" / "a.png")
    (tmp_path / "metadata.csv").write_text("file_name,label\ncat/a.png,3\n")
    with pytest.raises(
        DataError, match=r"looks like the caption; name it with data\.caption_field"
    ):
        opened(tmp_path)


def test_shards_and_tables_and_annotations_of_other_splits_are_left_out(tmp_path):
    from tests.training.data.make import as_coco, as_parquet, as_webdataset

    as_webdataset(tmp_path / "shards", small_set(4), shards=2)
    for number, split in enumerate(("train", "test")):
        old = tmp_path / "shards" / f"data-00{number}.tar"
        old.rename(tmp_path / "shards" / f"{split}-000.tar")
    assert len(opened(tmp_path / "shards")) == 2
    as_parquet(tmp_path / "tables", small_set(3))
    (file,) = (tmp_path / "tables").rglob("*.parquet")
    file.rename(file.with_name("test-00000-of-00001.parquet"))
    with pytest.raises(DataError, match="no split 'train'"):
        opened(tmp_path / "tables")
    assert len(opened(tmp_path / "tables", split="test")) == 3
    as_coco(tmp_path / "coco", small_set(2))
    annotations = tmp_path / "coco" / "annotations"
    (tmp_path / "coco" / "train2017").symlink_to("val2017")
    text = (annotations / "captions_val2017.json").read_text()
    (annotations / "captions_train2017.json").write_text(text.replace("of noise", "to train"))
    captions = found(opened(tmp_path / "coco")).values()
    assert set(captions) == {"picture number 0000 to train", "picture number 0001 to train"}


# What other tools write


def test_files_of_img2dataset_are_read(tmp_path):
    for key, caption in (("000000000", "one"), ("000000001", None), ("000000002", "three")):
        path = picture(tmp_path / "00000" / f"{key}.jpg", caption)
        fields = {"caption": caption or "two", "key": key, "status": "success", "url": "http://x"}
        path.with_suffix(".json").write_text(json.dumps(fields))
    (tmp_path / "00000_stats.json").write_text(json.dumps({"count": 3, "successes": 3}))
    (tmp_path / "00000.parquet").write_bytes(
        rows("parquet", [{"url": "http://x", "caption": "one"}])
    )
    assert detect(str(tmp_path)) == "folder"
    assert list(found(opened(tmp_path)).values()) == ["one", "two", "three"]
    for path in (tmp_path / "00000").glob("*.txt"):
        path.unlink()
    assert list(found(opened(tmp_path)).values()) == ["one", "two", "three"]
    single = opened(tmp_path / "00000")
    assert list(found(single).values()) == ["one", "two", "three"]


def test_json_that_is_no_caption_leaves_the_folder_its_name(tmp_path):
    path = picture(tmp_path / "cats" / "a.png")
    path.with_suffix(".json").write_text('{"version": 1, "shapes": []}')
    assert found(opened(tmp_path)) == {"cats/a.png": "cats"}


def test_upper_case_suffixes_are_read(tmp_path):
    picture(tmp_path / "set" / "A.JPG")
    (tmp_path / "set" / "A.TXT").write_text("upper")
    (tmp_path / "set" / "A.SHORT.TXT").write_text("brief")
    source = opened(tmp_path / "set")
    record = source.record(0)
    assert (record.captions.long, record.captions.short) == (("upper",), ("brief",))
    for name, text in {
        "l.JSONL": '{"image": "A.JPG", "caption": "listed"}\n',
        "l.TSV": "image\tcaption\nA.JPG\tlisted\n",
        "l.CSV": "image,caption\nA.JPG,listed\n",
        "l.JSON": '[{"image": "A.JPG", "caption": "listed"}]',
        "1.000_000001.JSONL": '{"image_path": "A.JPG", "long_caption": "listed", "h_div_w": 1}\n',
    }.items():
        (tmp_path / "set" / name).write_text(text)
        assert list(found(opened(tmp_path / "set" / name)).values()) == ["listed"]


def test_upper_case_shards_are_found(tmp_path):
    from tests.training.data.make import as_webdataset

    as_webdataset(tmp_path / "set", small_set(2), shards=1)
    (tmp_path / "set" / "data-000.tar").rename(tmp_path / "set" / "data-000.TAR")
    assert detect(str(tmp_path / "set")) == detect(str(tmp_path / "set" / "data-000.TAR"))
    assert len(opened(tmp_path / "set")) == 2


@pytest.fixture
def kohya(tmp_path):
    for folder, names in {"3_sks dog": "ab", "1_toy_cat": "cdef"}.items():
        for name in names:
            picture(tmp_path / "kohya" / folder / f"{name}.png")
    (tmp_path / "kohya" / "3_sks dog" / "a.caption").write_text("a dog")
    (tmp_path / "kohya" / "3_sks dog" / "b.caption").write_text("another dog")
    for name in "cdef":
        (tmp_path / "kohya" / "1_toy_cat" / f"{name}.txt").write_text("a cat")
    return tmp_path / "kohya"


def test_folders_of_kohya_repeat_as_they_say(kohya, caplog):
    config = config_for(kohya, steps=1)
    source, plan = open_data(config)
    assert sum(source.sizes.values()) == sum(plan.sizes.values()) == 2 * 3 + 4
    assert len(source) == 6
    assert "1 times 1_toy_cat, 3 times 3_sks dog" in caplog.text
    assert found(source)["3_sks dog/a.png"] == "a dog"
    once, _ = open_data(config_for(kohya, steps=1, folder_repeats=False))
    assert sum(once.sizes.values()) == 6


def test_repeated_pictures_are_never_both_trained_and_tested_on(kohya):
    config = config_for(kohya, held_out=0.34)
    trained, held_out = open_data(config)[0], open_held_out(config)
    members = [set(map(int, each.buckets["1:1"])) for each in (trained, held_out)]
    assert members[0] and members[1]
    assert not members[0] & members[1]


def test_names_of_kohyas_folders_are_captions_without_their_number(kohya):
    for path in kohya.rglob("*.*"):
        if path.suffix in (".caption", ".txt"):
            path.unlink()
    assert set(found(opened(kohya)).values()) == {"sks dog", "toy cat"}
    picture(kohya / "other" / "x.png")
    assert found(opened(kohya))["3_sks dog/a.png"] == "3 sks dog"


@pytest.mark.parametrize("names", [("meta_cap.json",), ("meta_cap.json", "meta_lat.json")])
def test_lists_of_kohya_are_read(tmp_path, names):
    for name in ("a.png", "b.png", "v1.5 c.png"):
        picture(tmp_path / name)
    for list_name in names:
        content = {
            "a": {"caption": f"one of {list_name}", "train_resolution": [512, 512]},
            str(tmp_path / "b.png"): {"caption": "two", "tags": "red, blue"},
            "v1.5 c": {"tags": "green"},
        }
        (tmp_path / list_name).write_text(json.dumps(content))
    captions = list(found(opened(tmp_path)).values())
    assert captions == [f"one of {names[-1]}", "two, red, blue", "green"]


def test_folder_log_is_quiet_where_nothing_is_left_out(tmp_path, caplog):
    caplog.set_level(logging.WARNING)
    write_pictures(tmp_path / "cats", small_set(2))
    opened(tmp_path)
    assert not caplog.records
