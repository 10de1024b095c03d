"""Captions and lists in any encoding: read by their mark, else UTF-8, else skipped and named."""

import codecs
import json

import pytest

from tests.training.data.make import SCHEDULES, small_set, write_pictures
from tests.training.data.test_webdataset import png, write_tar
from training.config.settings import DataSettings
from training.data.errors import DataError
from training.data.source import open_source

CAPTION = "café, 猫, a cat"
MARKED = {
    "utf-8-sig": codecs.BOM_UTF8,
    "utf-16-le": codecs.BOM_UTF16_LE,
    "utf-16-be": codecs.BOM_UTF16_BE,
    "utf-32-le": codecs.BOM_UTF32_LE,
    "utf-32-be": codecs.BOM_UTF32_BE,
}
UNREADABLE = {
    "latin-1": "café".encode("latin-1"),
    "gbk": "一只黑猫坐在椅子上".encode("gbk"),
    "no mark": "a cat".encode("utf-16-le"),
    "zero byte": b"a\0cat",
    "cut": codecs.BOM_UTF16_LE + b"a",
    "surrogate": "a \ud800".encode("utf-8", "surrogatepass"),
}


def opened(*sources, **settings):
    chosen = {"skip_tolerance": 1.0, "schedules": SCHEDULES, **settings}
    return open_source(DataSettings(sources=tuple(map(str, sources)), **chosen))


def captions(source):
    return [source.record(index).captions.long for index in range(len(source))]


def marked(text: str, encoding: str) -> bytes:
    return MARKED[encoding] + text.encode(encoding.removesuffix("-sig"))


@pytest.fixture
def folder(tmp_path):
    write_pictures(tmp_path / "set", small_set(2))
    (tmp_path / "set" / "0000.txt").write_text("plain")
    return tmp_path / "set"


@pytest.mark.parametrize("encoding", MARKED)
def test_caption_files_are_read_by_their_mark(folder, encoding):
    (folder / "0001.txt").write_bytes(marked(CAPTION, encoding))
    assert captions(opened(folder)) == [("plain",), (CAPTION,)]


@pytest.mark.parametrize("data", UNREADABLE.values(), ids=UNREADABLE)
def test_caption_files_in_no_known_encoding_are_skipped_and_named(folder, data):
    (folder / "0001.txt").write_bytes(data)
    source = opened(folder)
    assert captions(source) == [("plain",)]
    assert source.report.counts == {"unreadable text": 1}
    told = "\n".join(source.report.lines())
    assert "0001.png" in told and "0001.txt" in told and "save it as UTF-8" in told


def test_long_caption_is_cut_between_characters(folder, monkeypatch):
    from training.data import captions as reading
    from training.data import folders

    for module in (reading, folders):
        monkeypatch.setattr(module, "LONGEST_TEXT", 10)
    (folder / "0001.txt").write_text("猫" * 9, encoding="utf-8")
    assert captions(opened(folder)) == [("plain",), ("猫猫猫",)]


def listed(suffix: str) -> str:
    if suffix == "json":
        return json.dumps([{"image": "0000.png", "caption": CAPTION}], ensure_ascii=False)
    if suffix == "jsonl":
        return json.dumps({"image": "0000.png", "caption": CAPTION}, ensure_ascii=False) + "\n"
    comma = "\t" if suffix == "tsv" else ","
    return f'image{comma}caption\n0000.png{comma}"{CAPTION}"\n'


@pytest.mark.parametrize("encoding", MARKED)
@pytest.mark.parametrize("suffix", ["json", "jsonl", "csv", "tsv"])
def test_lists_are_read_by_their_mark(folder, suffix, encoding):
    path = folder / f"list.{suffix}"
    path.write_bytes(marked(listed(suffix), encoding))
    assert captions(opened(path)) == [(CAPTION,)]


@pytest.mark.parametrize("suffix", ["jsonl", "csv", "tsv"])
def test_lines_in_another_encoding_are_skipped_and_named(folder, suffix):
    comma = {"csv": ",", "tsv": "\t"}.get(suffix)
    lines = [("0000.png", "good"), ("0001.png", "café")]
    if comma is None:
        texts = [json.dumps({"image": i, "caption": c}, ensure_ascii=False) for i, c in lines]
    else:
        texts = [f"image{comma}caption", *(comma.join(line) for line in lines)]
    path = folder / f"list.{suffix}"
    path.write_bytes("\n".join(texts).encode("latin-1"))
    source = opened(path)
    assert captions(source) == [("good",)]
    assert source.report.counts == {"unreadable text": 1}
    assert f"list.{suffix}, line" in source.report.lines()[2]


def test_whole_list_in_another_encoding_is_a_sentence(folder):
    path = folder / "list.json"
    path.write_bytes(listed("json").replace("猫", "").encode("latin-1"))
    with pytest.raises(DataError, match=r"list\.json is not a JSON file"):
        opened(path)


def test_escapes_that_are_no_text_are_skipped(folder):
    path = folder / "list.jsonl"
    path.write_text(
        '{"image": "0000.png", "caption": "half \\ud83d"}\n'
        '{"image": "0000.png", "caption": "zero \\u0000"}\n'
        '{"image": "0001.png", "caption": "whole \\ud83d\\ude00"}\n'
    )
    source = opened(path)
    assert captions(source) == [("whole \U0001f600",)]
    assert source.report.counts == {"unreadable text": 2}
    path.write_text('{"image": "\\ud800.png", "caption": "x"}\n')
    with pytest.raises(DataError, match=r"line 1 names .* which no file can be called"):
        opened(path)


def test_members_of_shards_are_read_by_their_mark_or_skipped(tmp_path):
    picture = png(small_set(1)[0])
    members = [
        ("a.txt", marked(CAPTION, "utf-16-le")),
        ("b.json", marked(json.dumps({"caption": CAPTION}), "utf-16-be")),
        ("c.txt", "café".encode("latin-1")),
        ("d.json", '{"caption": "café"}'.encode("latin-1")),
    ]
    pairs = [pair for name, text in members for pair in ((name[0] + ".png", picture), (name, text))]
    source = opened(write_tar(tmp_path / "a.tar", pairs))
    assert captions(source) == [(CAPTION,), (CAPTION,)]
    assert source.report.counts == {"unreadable text": 2}
    told = "\n".join(source.report.lines())
    assert "c.txt" in told and "d.json" in told


def test_rows_of_tables_with_zero_bytes_are_skipped(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    picture = png(small_set(1)[0])
    table = pa.table({"image": [picture, picture], "caption": ["good", "a\0b"]})
    pq.write_table(table, tmp_path / "rows.PARQUET")
    source = opened(tmp_path / "rows.PARQUET")
    assert captions(source) == [("good",)]
    assert source.report.counts == {"unreadable text": 1}
