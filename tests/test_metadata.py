import errno
import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from infinity.errors import RequestError, ResourceError
from infinity.metadata import KEY, PictureRecord, attach, read_record, read_request, save_png
from infinity.request import GenerationRequest

REQUEST = GenerationRequest(
    prompt='ein roter Apfel "am" Strand, りんご 🍎',
    negative_prompt="blurry",
    seed=7,
    guidance=(1.0, 3.0),
    temperature=0.5,
    top_p=0.97,
    guidance_layers=(0, -2),
)
RECORD = PictureRecord(
    request=REQUEST,
    model="default",
    device="cpu",
    dtype="float32",
    threads=2,
    versions={"infinity": "0.1.0", "torch": "2.13"},
)


def picture(color: str = "red") -> Image.Image:
    return attach(Image.new("RGB", (5, 3), color), RECORD)


def test_saved_png_reads_back_to_the_same_record_and_pixels(tmp_path):
    path = save_png(picture(), tmp_path / "new" / "folder" / "x.png")
    assert read_record(path) == RECORD
    assert read_request(path) == (REQUEST, "default")
    with Image.open(path) as saved:
        assert saved.format == "PNG"
        assert np.array_equal(np.asarray(saved), np.asarray(picture()))
    assert [file.name for file in path.parent.iterdir()] == ["x.png"]


def test_record_of_a_pass_holds_all_of_it_once():
    batch = replace(REQUEST, prompt="a {red|blue} apple", num_images=3)
    record = replace(RECORD, request=batch.pictures()[2], batch=batch, place=2)
    text = record.to_json()
    assert PictureRecord.from_json(text) == record
    assert set(json.loads(text)["batch"]) == {"prompt", "seed", "num_images"}


@pytest.mark.parametrize(
    "change",
    [{"place": 3}, {"place": -1}, {"place": 0}, {"place": "2"}, {"batch": 5}, {"batch": {}}],
)
def test_record_whose_batch_has_no_such_picture_is_refused(change):
    batch = replace(REQUEST, num_images=3)
    record = replace(RECORD, request=batch.pictures()[2], batch=batch, place=2)
    data = json.loads(record.to_json())
    if change == {"batch": {}}:  # as in a record without
        assert PictureRecord.from_json(json.dumps(data | change)).batch is None
        return
    with pytest.raises(RequestError, match="its batch"):
        PictureRecord.from_json(json.dumps(data | change))


def test_record_is_plain_json_for_other_programs(tmp_path):
    with Image.open(save_png(picture(), tmp_path / "x.png")) as saved:
        data = json.loads(saved.info[KEY])
    assert data["request"]["prompt"] == REQUEST.prompt
    assert data["versions"]["torch"] == "2.13"


def test_record_is_read_from_a_picture_in_memory():
    assert read_record(picture()) == RECORD


def test_picture_without_a_record_saves_and_is_told_apart(tmp_path):
    path = save_png(Image.new("RGB", (2, 2)), tmp_path / "plain.png")
    with pytest.raises(
        RequestError, match=r"plain\.png has no Infinity record: it was made elsewhere"
    ):
        read_record(path)
    with pytest.raises(RequestError, match="This picture has no Infinity record"):
        read_record(Image.new("RGB", (2, 2)))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", "record is damaged"),
        ("[]", "a JSON object is needed"),
        ('{"request": {"prompt": "x"}}', "names no model"),
        ('{"request": {}, "model": "m"}', "it has no 'prompt'"),
        ('{"request": {"prompt": "x", "sed": 1}, "model": "m"}', "did you mean 'seed'"),
        ('{"request": {"prompt": "x", "seed": -1}, "model": "m"}', "seed must be"),
        ('{"request": {"prompt": "x", "guidance": NaN}, "model": "m"}', "guidance must be"),
    ],
)
def test_damaged_record_is_refused_with_what_is_wrong(text, sentence):
    with pytest.raises(RequestError, match=sentence):
        PictureRecord.from_json(text)


def test_record_of_odd_types_in_unimportant_places_still_reads():
    text = '{"request": {"prompt": "x"}, "model": "m", "threads": "many", "versions": 3}'
    assert PictureRecord.from_json(text).threads == 0


def test_files_that_are_no_picture_are_refused(tmp_path):
    with pytest.raises(RequestError, match="There is no picture"):
        read_request(tmp_path / "none.png")
    (tmp_path / "x.png").write_bytes(b"not a picture")
    with pytest.raises(RequestError, match="cannot be read"):
        read_request(tmp_path / "x.png")


def test_full_disk_while_saving_leaves_the_earlier_file_and_no_litter(tmp_path, monkeypatch):
    path = save_png(picture("red"), tmp_path / "x.png")
    before = path.read_bytes()

    def full(self, target, *arguments, **options):
        with open(target, "wb") as file:  # noqa: PTH123 - as Pillow opens it
            file.write(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Image.Image, "save", full)
        with pytest.raises(ResourceError, match="The disk is full"):
            save_png(picture("blue"), path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["x.png"]
    save_png(picture("blue"), path)
    assert path.read_bytes() != before


def test_place_that_cannot_hold_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ResourceError, match="could not be saved"):
        save_png(picture(), tmp_path / "file" / "x.png")


@pytest.mark.parametrize(
    "threads", [100_000, -5, 0, 9999999999999999999, 1e30, True, "4", None, [], {}]
)
def test_threads_that_no_machine_has_are_left_out(threads):
    data = {"request": {"prompt": "x"}, "model": "m", "threads": threads}
    assert PictureRecord.from_json(json.dumps(data)).threads == 0


@pytest.mark.parametrize(
    "change",
    [{"num_images": 2}, {"seed": -5}, {"seed": 9999999999999999999}, {"seed": -1}, {"prompt": []}],
)
def test_request_of_a_record_is_checked(change):
    data = {"request": {"prompt": "x", **change}, "model": "m"}
    with pytest.raises(RequestError):
        PictureRecord.from_json(json.dumps(data))


def test_deep_or_huge_record_is_one_sentence():
    for text in ("[" * 100_000, '{"a":' * 100_000, f'{{"threads": {"9" * 5000}}}'):
        with pytest.raises(RequestError, match="record is damaged") as caught:
            PictureRecord.from_json(text)
        assert len(str(caught.value)) < 300
