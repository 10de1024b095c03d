"""Names of files and folders in any bytes: read, reported, written and named in messages."""

import io
import json
import logging
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from PIL import Image

from tests.tiny import tiny_folder
from tests.training.data.make import SCHEDULES, config_for
from training.config import load_config
from training.config.load import save_config
from training.config.settings import DataSettings
from training.data import catalog
from training.data.batches import batches
from training.data.errors import DataError
from training.data.source import open_source
from training.prepare import main

BAD = os.fsdecode(b"caf\xe9 \xe7\x8c\xab")
"""A byte that is no UTF-8, and a character beyond ASCII."""

pytestmark = pytest.mark.skipif(
    sys.platform in ("win32", "darwin"), reason="names are Unicode on this system"
)


def picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        Image.new("RGB", (48, 48), "red").save(file, "PNG")


@pytest.fixture
def folder(tmp_path):
    """Three pictures in a folder of such a name, one of them broken."""
    folder = tmp_path / BAD / "set"
    for name in ("a", "b" + BAD, BAD):
        picture(folder / f"{name}.png")
        (folder / f"{name}.txt").write_text("a picture")
    (folder / f"{BAD}.png").write_bytes(b"broken")
    return folder


def opened(source, **settings):
    chosen = {"skip_tolerance": 1.0, "schedules": SCHEDULES, **settings}
    return open_source(DataSettings(sources=(str(source),), **chosen))


@pytest.mark.parametrize("kept_from", [1, 10_000])
def test_pictures_of_any_name_are_read_and_reported(folder, monkeypatch, kept_from):
    monkeypatch.setattr(catalog, "KEPT_FROM", kept_from)
    for _ in range(2):
        source = opened(folder)
        assert [source.record(index).key for index in range(2)] == ["a.png", "bcaf\\xe9 猫.png"]
        assert source.record(1).load().size == (48, 48)
        "\n".join(source.report.lines()).encode()
        assert "caf\\xe9 猫.png cannot be read" in source.report.lines()[2]


def test_batches_of_pictures_of_any_name(folder):
    batch = next(batches(config_for(folder, skip_tolerance=1.0)))
    assert set(batch.keys) == {"a.png", "bcaf\\xe9 猫.png"}


def test_folders_of_any_name_are_captions_or_named(tmp_path):
    for name in (BAD, "猫"):
        picture(tmp_path / "set" / name / "a.png")
    source = opened(tmp_path / "set")
    assert source.record(0).captions.long == ("猫",)
    assert source.report.counts == {"unreadable text": 1}
    assert "rename" in source.report.lines()[2]


@pytest.mark.parametrize("escaped", [True, False])
@pytest.mark.parametrize("suffix", ["jsonl", "csv"])
def test_lists_name_pictures_of_any_name(folder, suffix, escaped):
    names = ["a.png", f"b{BAD}.png", f"gone{BAD}.png"]
    if suffix == "csv":
        lines = ["image,caption", *(f"{name},x" for name in names)]
    else:
        lines = [json.dumps({"image": n, "caption": "x"}, ensure_ascii=escaped) for n in names]
    path = folder / f"list{BAD}.{suffix}"
    path.write_bytes("\n".join(lines).encode("utf-8", "surrogateescape"))
    source = opened(path)
    assert [source.record(index).load().size for index in range(len(source))] == [(48, 48)] * 2
    assert "gonecaf\\xe9 猫.png" in source.report.lines()[2]


def test_members_of_shards_of_any_name(folder):
    path = folder / f"shard{BAD}.tar"
    data = io.BytesIO()
    Image.new("RGB", (48, 48)).save(data, "PNG")
    with tarfile.open(path, "w", errors="surrogateescape") as tar:
        for name, content in ((f"{BAD}.png", data.getvalue()), (f"{BAD}.txt", b"x")):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    for source in (path, path.parent):
        assert opened(source).record(0).key == "caf\\xe9 猫"


@pytest.mark.parametrize("format", ["json", "jsonl", "csv", "coco", "webdataset", "huggingface"])
def test_what_is_wrong_in_a_folder_of_any_name_is_a_sentence(folder, format):
    with pytest.raises(DataError):
        opened(folder.parent / "gone", format=format)


def test_prepared_data_in_a_folder_of_any_name(folder, tmp_path):
    model = tiny_folder(tmp_path / "tiny")
    target = folder.parent / "prepared"
    main([str(folder), "--model", str(model), "--output", str(target), "--tokenize"])
    assert len(opened(target, format="prepared")) == 2


def test_settings_with_paths_of_any_name_are_read_and_saved(tmp_path):
    words = ["--preset", "125m-256", "--data.sources", BAD, "猫", 'a "b", c', "--output", BAD]
    config = load_config(None, words)
    assert config.data.sources == (BAD, "猫", 'a "b", c')
    assert str(config.output) == BAD
    save_config(config, tmp_path / "config.JSON")
    assert load_config(tmp_path / "config.JSON") == config


def test_training_and_export_in_a_folder_of_any_name(folder, tmp_path, monkeypatch):
    from training import export, train

    settings = {
        "task": "tokenizer",
        "tokenizer": {"model": config_for("x").tokenizer.model.to_dict()},
        "optimization": {"steps": 1, "batch_size": 1},
        "data": {"schedules": {"1:1": [[1, 1], [2, 2], [4, 4]]}, "workers": 0, "skip_tolerance": 1},
    }
    (tmp_path / "run.json").write_text(json.dumps(settings))
    run = folder.parent / "run"
    words = [str(tmp_path / "run.json"), "--data.sources", str(folder), "--output", str(run)]
    assert train.main(words) == 0
    printed = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(printed, "utf-8"))
    assert export.main([str(run)]) == 0
    sys.stdout.flush()
    assert "exported" in printed.getvalue().decode()
    assert (run / "exported" / "tokenizer.safetensors").is_file()


@pytest.fixture
def unreadable_names(folder, tmp_path):
    """What prepare is asked: a folder, a list, and a folder that is not there."""
    picture(folder / "猫.png")
    (folder / "猫.txt").write_text("一只猫", encoding="utf-8")
    plain = tmp_path / BAD / "list.jsonl"
    plain.write_bytes('{"image": "set/猫.png", "caption": "猫"}'.encode())
    return [[str(source), "--output", str(tmp_path / BAD / "out")]
            for source in (folder, plain, f"{folder}gone")]  # fmt: skip


def told_all(told: str) -> bool:
    lines = ("3 usable records (folder)", "1 usable records (jsonl)", "There is no data at")
    return "Traceback" not in told and all(line in told for line in lines)


def test_command_reads_the_same_in_a_locale_without_unicode(unreadable_names):
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("LC_", "LANG"))
    }
    words = [os.fsencode(word) for words in unreadable_names for word in words]
    command = """
import sys
from training.prepare import main
for words in (sys.argv[1:4], sys.argv[4:7], sys.argv[7:]):
    main(words)
"""
    done = subprocess.run(
        [sys.executable, "-c", command, *words],
        env={**kept, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        capture_output=True,
        check=False,
        timeout=120,
    )
    assert told_all(done.stderr.decode("utf-8", "replace"))
    assert done.returncode == 1


def test_command_reads_the_same_on_a_terminal_without_unicode(unreadable_names, monkeypatch):
    told = io.BytesIO()
    monkeypatch.setattr(logging.root, "handlers", [])
    monkeypatch.setattr(logging.root, "level", logging.root.level)
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(told, "cp1252"))
    for words in unreadable_names[:2]:
        main(words)
    with pytest.raises(SystemExit) as end:
        main(unreadable_names[2])
    sys.stderr.write(str(end.value))
    sys.stderr.flush()
    assert told_all(told.getvalue().decode("cp1252"))
