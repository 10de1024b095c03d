"""Files of arrays from anywhere: what is ours comes back, all else is one sentence, and costs little."""

import io
import json
import random
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest

from infinity import arrays
from infinity.arrays import holds_arrays, read_arrays, save_arrays
from infinity.errors import RequestError

GOOD = {"bits": np.arange(40).reshape(5, 8) % 3 == 0}


def npy(array):
    stream = io.BytesIO()
    np.lib.format.write_array(stream, array)
    return stream.getvalue()


ABOUT = npy(np.array(json.dumps({"model": "tiny"})))


def packed(path, members, kind=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", kind) as file:
        for name, content in members.items():
            file.writestr(name, content)


def read(path):
    return read_arrays(path, lambda name: name == "bits", "The file")


def test_arrays_come_back_and_others_are_not_read(tmp_path):
    path = tmp_path / "new" / "x.npz"
    save_arrays(path, {**GOOD, "pickled": np.zeros(3)}, {"model": "tiny"})
    assert holds_arrays(path) and [each.name for each in path.parent.iterdir()] == ["x.npz"]
    found, about = read(path)
    assert about == {"model": "tiny"} and found.keys() == {"bits"}
    assert np.array_equal(found["bits"], GOOD["bits"])


def lying(shape):
    return npy(GOOD["bits"]).replace(b"(5, 8)", shape.ljust(6).encode())


FEW_BYTES = 2**20
STRANGE = {
    "bomb": {"about.npy": ABOUT, "bits.npy": b"\0" * (FEW_BYTES + 1)},
    "bomb of json": {"about.npy": b"\0" * (FEW_BYTES + 1), "bits.npy": b""},
    "objects": {"about.npy": ABOUT, "bits.npy": npy(np.array([{}, []], object))},
    "lying shape": {"about.npy": ABOUT, "bits.npy": lying("(9**9,)")},
    "huge shape": {"about.npy": ABOUT, "bits.npy": lying("(10000000000,8)")},
    "negative shape": {"about.npy": ABOUT, "bits.npy": lying("(-5,-8)")},
    "no about": {"bits.npy": npy(GOOD["bits"])},
    "about of a list": {"about.npy": npy(np.array("[1]")), "bits.npy": npy(GOOD["bits"])},
    "deep about": {"about.npy": npy(np.array("[" * 9999)), "bits.npy": npy(GOOD["bits"])},
    "many parts": {f"{number}.npy": b"" for number in range(9000)},
}


@pytest.mark.parametrize("name", STRANGE)
def test_strange_file_is_refused_at_little_cost(tmp_path, monkeypatch, name):
    monkeypatch.setattr(arrays, "MOST_BYTES", FEW_BYTES)
    packed(tmp_path / "x.npz", STRANGE[name])
    tracemalloc.start()
    with pytest.raises(RequestError, match=r"^The file (cannot be read )?as a file of bits "):
        read(tmp_path / "x.npz")
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 2**20


@pytest.mark.parametrize("kind", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_unusual_packing_is_refused(tmp_path, kind):
    packed(tmp_path / "x.npz", {"about.npy": ABOUT, "bits.npy": npy(GOOD["bits"])}, kind)
    with pytest.raises(RequestError, match="unusual way"):
        read(tmp_path / "x.npz")


def test_large_file_is_refused_unread(tmp_path):
    path = tmp_path / "x.npz"
    save_arrays(path, GOOD, {})
    with path.open("r+b") as file:
        file.truncate(arrays.MOST_BYTES + 1)  # sparse
    with pytest.raises(RequestError, match="more than"):
        read(path)


def test_second_end_that_lists_more_is_refused(tmp_path):
    """zipfile would believe the 64-bit one."""
    path = tmp_path / "x.npz"
    save_arrays(path, GOOD, {})
    content = path.read_bytes()
    end = content[-22:]
    large = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, 2, 2, 10**6, 0)
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, len(content) - 22, 1)
    path.write_bytes(content[:-22] + large + locator + end)
    with pytest.raises(RequestError, match="does not end"):
        read(path)


def test_damaged_bytes_are_a_sentence_or_the_same_arrays(tmp_path):
    path = tmp_path / "x.npz"
    save_arrays(path, GOOD, {"model": "tiny"})
    content, chance = path.read_bytes(), random.Random(0)
    refused = 0
    for _ in range(300):
        damaged = bytearray(
            content[: chance.choice((len(content), chance.randrange(len(content))))]
        )
        for _ in range(chance.randrange(4)):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        path.write_bytes(damaged)
        try:
            found, _ = read(path)
        except RequestError:
            refused += 1
        else:
            assert all(np.array_equal(found[key], GOOD[key]) for key in found)
    assert 100 < refused < 300


def test_damaged_headers_are_a_sentence_or_arrays(tmp_path):
    """Packed anew, so that the checksums are right."""
    chance, refused = random.Random(1), 0
    for _ in range(300):
        damaged = bytearray(npy(GOOD["bits"]))
        for _ in range(chance.randrange(1, 4)):
            damaged[chance.randrange(128)] = chance.choice(b"0123456789(){}[]',:<|bOVU \\\0\xff")
        packed(tmp_path / "x.npz", {"about.npy": ABOUT, "bits.npy": bytes(damaged)})
        try:
            read(tmp_path / "x.npz")
        except RequestError:
            refused += 1
    assert refused > 100


@pytest.mark.parametrize("content", [b"", b"PK", b"\x89PNG\r\n\x1a\n" + b"PK\3\4", b"GIF89a"])
def test_other_files_hold_no_arrays(tmp_path, content):
    (tmp_path / "x").write_bytes(content)
    assert not holds_arrays(tmp_path / "x")
    assert not holds_arrays(tmp_path) and not holds_arrays(tmp_path / "none")
