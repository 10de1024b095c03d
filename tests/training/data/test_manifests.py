"""Manifests: fields, upstream's layout, what is skipped, and paths that lead outside."""

import errno
import json

import pytest
from PIL import Image

from tests.training.data.make import (
    SCHEDULES,
    as_coco,
    as_infinity,
    small_set,
    write_pictures,
)
from training.config.settings import DataSettings
from training.data.errors import DataError
from training.data.formats import detect
from training.data.source import open_source


def opened(*sources, **settings):
    chosen = {"skip_tolerance": 1.0, "schedules": SCHEDULES, **settings}
    return open_source(DataSettings(sources=tuple(map(str, sources)), **chosen))


def records(source):
    return [source.record(index) for index in range(len(source))]


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / "data"
    write_pictures(folder, small_set(3))
    return folder


def write_lines(path, *lines):
    path.write_text("".join(f"{json.dumps(x) if isinstance(x, dict) else x}\n" for x in lines))
    return path


def test_bad_records_are_counted_and_the_others_used(pictures):
    path = write_lines(
        pictures / "list.jsonl",
        {"image": "0000.png", "caption": "good"},
        "{not json",
        "[1, 2]",
        {"image": "0001.png", "caption": "   "},
        {"image": "none.png", "caption": "lost"},
        {"image": 7, "caption": "number"},
        "",
        {"image": "0002.png", "caption": ["one", "", "two"]},
    )
    source = opened(path)
    assert [record.captions.long for record in records(source)] == [("good",), ("one", "two")]
    assert source.report.counts == {"broken record": 3, "empty caption": 1, "missing file": 1}
    assert source.report.seen == 7
    told = "\n".join(source.report.lines())
    assert "7 records read, 5 skipped" in told
    assert "line 5" in told
    assert "none.png" in told


@pytest.mark.parametrize(
    "path",
    ["../outside.png", "sub/../../outside.png", "/etc/hostname", "..\\outside.png", "link/out.png"],
)
def test_paths_that_lead_outside_are_refused_with_a_sentence(pictures, path):
    outside = pictures.parent / "elsewhere"
    outside.mkdir()
    for place in (pictures.parent / "outside.png", outside / "out.png"):
        Image.new("RGB", (8, 8)).save(place)
    (pictures / "link").symlink_to(outside)
    (pictures / "sub").mkdir()
    manifest = write_lines(pictures / "list.jsonl", {"image": path, "caption": "secret"})
    with pytest.raises(DataError, match=r"line 1 names .* outside of .*data\.picture_folders"):
        opened(manifest)


def test_folders_that_settings_allow_may_be_named(pictures, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    write_pictures(elsewhere, small_set(1))
    absolute = {"image": str(elsewhere / "0000.png"), "caption": "absolute"}
    manifest = write_lines(pictures / "list.jsonl", absolute)
    with pytest.raises(DataError, match="outside"):
        opened(manifest)
    allowed = opened(manifest, picture_folders=(str(elsewhere),))
    assert records(allowed)[0].load().size == (48, 48)


@pytest.mark.parametrize("path", ["a" * 300 + ".png", "a/" * 3000 + "b.png", "x" * 5000])
def test_paths_longer_than_files_are_named_are_a_sentence(pictures, path):
    manifest = write_lines(pictures / "list.jsonl", {"image": path, "caption": "long"})
    with pytest.raises(DataError, match=r"line 1 names .* which no file can be called") as told:
        opened(manifest)
    assert len(str(told.value)) < 400


def test_links_in_a_circle_are_missing_pictures(pictures):
    (pictures / "one.png").symlink_to("two.png")
    (pictures / "two.png").symlink_to("one.png")
    manifest = write_lines(
        pictures / "list.jsonl",
        {"image": "one.png", "caption": "lost"},
        {"image": "0000.png", "caption": "good"},
    )
    assert opened(manifest).report.counts == {"missing file": 1}


def test_numbers_and_names_of_any_kind_in_lists_are_read_or_counted(pictures):
    path = pictures / "1.000_000000003.jsonl"
    huge = '{"image_path": "0000.png", "long_caption": "x", "h_div_w": 1' + "0" * 400 + "}"
    nan = '{"image_path": "0001.png", "long_caption": "x", "h_div_w": NaN}'
    odd = {"image_path": "go\nne.png", "long_caption": "x", "h_div_w": -1}
    source = opened(write_lines(path, huge, nan, odd))
    assert len(source) == 2
    assert all("\n" not in line for line in source.report.lines())


@pytest.mark.parametrize("url", ["https://example.org/a.png", "file:///etc/passwd"])
def test_urls_in_manifests_are_refused(pictures, url):
    manifest = write_lines(pictures / "list.jsonl", {"image": url, "caption": "far"})
    with pytest.raises(DataError, match="URL"):
        opened(manifest)


def test_fields_can_be_named_and_wrong_names_are_corrected(pictures):
    path = write_lines(pictures / "l.jsonl", {"photo": "0000.png", "title": "t", "brief": "b"})
    named = {"image_field": "photo", "caption_field": "title", "short_caption_field": "brief"}
    record = records(opened(path, **named))[0]
    assert (record.captions.long, record.captions.short) == (("t",), ("b",))
    with pytest.raises(DataError, match="did you mean 'photo'"):
        opened(path, **{**named, "image_field": "foto"})
    with pytest.raises(DataError, match=r"looks like the image; name it with data\.image_field"):
        opened(path)


def test_json_object_of_pictures_is_read(pictures):
    path = pictures / "list.json"
    path.write_text(json.dumps({"0000.png": "first", "0001.png": {"caption": "second"}}))
    assert [r.captions.long for r in records(opened(path))] == [("first",), ("second",)]


def test_tab_separated_and_byte_order_mark_are_read(pictures):
    path = pictures / "list.tsv"
    path.write_text("file\tcaption\n0000.png\tone, two\n", encoding="utf-8-sig")
    assert records(opened(path))[0].captions.long == ("one, two",)


def test_text_that_is_not_utf8_is_a_sentence(pictures):
    path = pictures / "list.csv"
    path.write_bytes("file,caption\n0000.png,caf\xe9\n".encode("latin-1"))
    with pytest.raises(DataError, match="save it as UTF-8"):
        opened(path)


@pytest.mark.parametrize("content", ["", "{", "[" * 100_000, '"text"', "3"])
def test_broken_json_is_a_sentence(pictures, content):
    path = pictures / "list.json"
    path.write_text(content)
    with pytest.raises(DataError, match=r"list\.json"):
        opened(path)


def test_upstream_layout_is_read_as_it_is(tmp_path):
    root = tmp_path / "toy"
    write_pictures(root / "images", small_set(1))
    (root / "splits").mkdir()
    line = {
        "image_path": "images/0000.png",
        "h_div_w": 1.5,
        "long_caption": "One. Two. Three. Four --ar 3:2 --v 6",
        "long_caption_type": "caption-InternVL2.0",
        "text": "brief --q 2",
        "short_caption_type": "blip2",
    }
    write_lines(root / "splits" / "1.500_000000099.jsonl", line)
    assert detect(str(root)) == detect(str(root / "splits")) == "infinity"
    source = opened(root)
    record = records(source)[0]
    assert record.captions.by_sentences
    assert record.captions.long == ("One. Two. Three. Four",)
    assert record.captions.short == ("brief",)
    assert source.sizes == {"1:1": 0, "3:2": 0, "2:3": 1}, "its h_div_w is believed"


def test_upstream_files_far_from_a_template_go_to_the_nearest(tmp_path):
    folder = as_infinity(tmp_path / "data", small_set(4))
    lines = [
        json.loads(line)
        for path in (tmp_path / "data" / "splits").glob("*.jsonl")
        for line in path.read_text().splitlines()
    ]
    assert any(abs(line["h_div_w"] - 1.5) > 0.05 for line in lines if line["h_div_w"] > 1.2)
    assert sum(opened(folder).sizes.values()) == 4


def test_coco_captions_of_a_picture_are_alternatives(tmp_path):
    root = tmp_path / "coco"
    as_coco(root, small_set(2))
    path = root / "annotations" / "captions_val2017.json"
    content = json.loads(path.read_text())
    content["annotations"].append({"id": 9, "image_id": 0, "caption": "another"})
    content["images"].append({"id": 99, "file_name": "0001.png"})
    content["images"].append({"id": 7, "file_name": "gone.png"})
    path.write_text(json.dumps(content))
    source = opened(root)
    assert len(records(source)[0].captions.long) == 2
    assert source.report.counts == {"empty caption": 1, "missing file": 1}


def test_coco_file_names_cannot_lead_outside(tmp_path):
    root = tmp_path / "coco"
    as_coco(root, small_set(1))
    path = root / "annotations" / "captions_val2017.json"
    path.write_text(path.read_text().replace("0000.png", "../../../../etc/hostname"))
    with pytest.raises(DataError, match="outside"):
        opened(root)


def test_folder_without_captions_is_a_sentence(pictures):
    with pytest.raises(DataError, match=r"have no captions; put a \.txt file beside each"):
        opened(pictures)


def test_picture_without_its_text_is_skipped_where_others_have_one(pictures):
    (pictures / "0001.txt").write_text("line one\nline two\n")
    source = opened(pictures)
    assert [record.captions.long for record in records(source)] == [("line one line two",)]
    assert source.report.counts == {"empty caption": 2}


def test_kinds_that_cannot_be_told_are_a_sentence(tmp_path):
    with pytest.raises(DataError, match="There is no data at"):
        detect(str(tmp_path / "nowhere"))
    with pytest.raises(DataError, match="holds neither pictures nor lists"):
        detect(str(tmp_path))
    (tmp_path / "a.bin").write_bytes(b"x")
    with pytest.raises(DataError, match="not data that can be trained from"):
        detect(str(tmp_path / "a.bin"))
    for name in ("a.csv", "b.jsonl"):
        (tmp_path / name).write_text("")
    with pytest.raises(DataError, match="several lists of pictures"):
        detect(str(tmp_path))
    with pytest.raises(DataError, match=r"data\.sources"):
        opened()


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_decompression_bombs_are_skipped_before_they_are_decoded(pictures):
    Image.new("1", (20_000, 6_000)).save(pictures / "bomb.png")
    path = write_lines(
        pictures / "list.jsonl",
        {"image": "0000.png", "caption": "good"},
        {"image": "bomb.png", "caption": "large"},
    )
    source = opened(path)
    assert len(source) == 1
    assert "megapixels" in source.report.examples["broken picture"][0]


def test_large_lists_are_kept_and_read_again_while_they_are_true(pictures, monkeypatch):
    from training.data import catalog

    for path in pictures.glob("*.png"):
        path.with_suffix(".txt").write_text(path.stem)
    monkeypatch.setattr(catalog, "KEPT_FROM", 2)
    first = opened(pictures)
    monkeypatch.setattr(catalog, "image_size", lambda *_: pytest.fail("the list was not kept"))
    again = opened(pictures)
    assert [r.captions for r in records(again)] == [r.captions for r in records(first)]
    assert again.fingerprint == first.fingerprint
    monkeypatch.undo()
    monkeypatch.setenv("XDG_CACHE_HOME", str(pictures.parent / "cache"))
    (pictures / "0000.txt").write_text("changed")
    assert records(opened(pictures))[0].captions.long == ("changed",)


def test_list_of_a_manifest_is_kept_only_where_no_picture_is_missing(pictures, monkeypatch):
    from training.data import catalog

    monkeypatch.setattr(catalog, "KEPT_FROM", 2)
    lines = [{"image": f"000{number}.png", "caption": "x"} for number in range(3)]
    manifest = write_lines(pictures / "list.jsonl", *lines)
    (pictures / "0002.png").rename(pictures / "away.png")
    assert len(opened(manifest)) == 2
    (pictures / "away.png").rename(pictures / "0002.png")
    assert len(opened(manifest)) == 3
    kept = list((pictures.parent / "cache" / "infinity" / "catalogues").glob("*.arrow"))
    assert len(kept) == 1
    (pictures / "0002.png").unlink()
    assert len(opened(manifest)) == 3, "the list is kept; loading will tell"
    write_lines(manifest, *lines[:1])
    assert len(opened(manifest)) == 1


@pytest.mark.parametrize("wrong", ["no folder", "full disk", "damaged list"])
def test_lists_that_cannot_be_kept_are_read_anew(pictures, monkeypatch, tmp_path, wrong, caplog):
    from training.data import catalog

    for path in pictures.glob("*.png"):
        path.with_suffix(".txt").write_text(path.stem)
    monkeypatch.setattr(catalog, "KEPT_FROM", 2)
    if wrong == "no folder":
        (tmp_path / "file").write_text("")
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    elif wrong == "full disk":

        def full(*_):
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(catalog.pa, "OSFile", full)
    else:
        opened(pictures)
        (kept,) = (tmp_path / "cache").rglob("*.arrow")
        kept.write_bytes(b"damaged")
    assert len(opened(pictures)) == 3
    assert any(word in caplog.text for word in ("not kept", "made anew"))
    if wrong == "damaged list":
        assert kept.stat().st_size > 1000


def test_explicit_format_of_a_source_that_is_not_there_is_a_sentence(tmp_path):
    for format in ("json", "jsonl", "csv", "coco", "infinity", "folder", "webdataset"):
        with pytest.raises(DataError, match=r"gone"):
            opened(tmp_path / "gone", format=format)
