"""WebDataset shards: here, over http from servers of both kinds, and what is wrong with them."""

import gzip
import http.server
import io
import json
import re
import tarfile
import threading
from functools import partial

import pytest
import torch

from infinity.errors import ResourceError
from tests.training.data.make import (
    SCHEDULES,
    add_member,
    as_folder,
    as_webdataset,
    config_for,
    small_set,
)
from training.config.settings import DataSettings
from training.data import webdataset
from training.data.batches import batches
from training.data.errors import DataError
from training.data.source import open_source
from training.data.webdataset import shard_names


class Ranged(http.server.SimpleHTTPRequestHandler):
    """Sends pieces of files, as object stores do; notes how many bytes went out."""

    sent = 0

    def do_GET(self):
        wanted = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("range", ""))
        if wanted is None:
            return super().do_GET()
        begin, end = (int(number) for number in wanted.groups())
        with open(self.translate_path(self.path), "rb") as file:  # noqa: PTH123
            file.seek(begin)
            data = file.read(end - begin + 1)
        type(self).sent += len(data)
        self.send_response(206)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
        return None

    def log_message(self, *arguments):
        pass


class Whole(http.server.SimpleHTTPRequestHandler):
    """Sends whole files only, whatever piece is asked for."""

    def log_message(self, *arguments):
        pass


@pytest.fixture(params=[Ranged, Whole])
def address(request, tmp_path):
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(request.param, directory=str(tmp_path / "served"))
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("workers", [0, 2])
def test_streamed_shards_give_the_batches_of_local_files(address, tmp_path, workers):
    samples = small_set()
    as_webdataset(tmp_path / "served", samples)
    streamed = batches(config_for(f"{address}/data-{{000..002}}.tar", workers=workers))
    local = batches(config_for(as_folder(tmp_path / "folder", samples)))
    for batch, other in zip(streamed, local, strict=True):
        assert batch.captions == other.captions
        assert torch.equal(batch.pictures_u8, other.pictures_u8)


def test_missing_remote_shard_is_a_sentence(address, tmp_path):
    (tmp_path / "served").mkdir()
    with pytest.raises(ResourceError, match="the server answers 404"):
        opened(f"{address}/data-000.tar")


def test_unreachable_server_is_a_sentence():
    with pytest.raises(ResourceError, match="cannot be fetched"):
        opened("http://127.0.0.1:9/data-000.tar")


def opened(*sources, **settings):
    chosen = {"skip_tolerance": 1.0, "schedules": SCHEDULES, "format": "webdataset", **settings}
    return open_source(DataSettings(sources=tuple(map(str, sources)), **chosen))


def png(sample):
    data = io.BytesIO()
    sample[1].save(data, "PNG")
    return data.getvalue()


def write_tar(path, members):
    with tarfile.open(path, "w") as tar:
        for name, data in members:
            add_member(tar, name, data)
    return path


def test_captions_come_from_text_or_json_members(tmp_path):
    picture = png(small_set(1)[0])
    fields = {"long_caption": "long", "short_caption": "brief"}
    source = opened(
        write_tar(
            tmp_path / "a.tar",
            [
                ("x/a.png", picture),
                ("x/a.txt", b"a text\n"),
                ("x/b.json", json.dumps(fields).encode()),
                ("x/b.png", picture),
                ("x/c.png", picture),
                ("x/d.txt", b"no picture"),
                ("x/e.png", b"no picture"),
                ("x/e.txt", b"e"),
            ],
        )
    )
    found = [source.record(index) for index in range(len(source))]
    assert [record.key for record in found] == ["x/a", "x/b"]
    assert found[0].captions.long == ("a text",)
    assert (found[1].captions.long, found[1].captions.short) == (("long",), ("brief",))
    counts = {"empty caption": 1, "missing file": 1, "broken picture": 1}
    assert source.report.counts == counts
    assert found[0].load().size == (48, 48)


def test_members_outside_of_the_shard_are_never_written_or_followed(tmp_path):
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as tar:
        link = tarfile.TarInfo("a.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/hostname"
        tar.addfile(link)
        add_member(tar, "../../b.png", png(small_set(1)[0]))
        add_member(tar, "../../b.txt", b"b")
    before = sorted(tmp_path.parent.rglob("b.png"))
    source = opened(path)
    assert [source.record(index).key for index in range(len(source))] == ["../../b"]
    assert sorted(tmp_path.parent.rglob("b.png")) == before


@pytest.mark.parametrize("keep", [700, 5000])
def test_cut_shard_is_a_sentence(tmp_path, keep):
    as_webdataset(tmp_path / "set", small_set(4), shards=1)
    path = tmp_path / "set" / "data-000.tar"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(DataError, match=r"data-000\.tar is compressed, damaged or cut short"):
        opened(path)


def test_compressed_shard_is_a_sentence(tmp_path):
    as_webdataset(tmp_path / "set", small_set(4), shards=1)
    path = tmp_path / "set" / "packed.tar"
    path.write_bytes(gzip.compress((tmp_path / "set" / "data-000.tar").read_bytes()))
    with pytest.raises(DataError, match="is compressed"):
        opened(path)


def test_what_is_no_tar_file_is_a_sentence(tmp_path):
    (tmp_path / "a.tar").write_bytes(b"hello" * 500)
    with pytest.raises(DataError, match="is compressed, damaged or cut short"):
        opened(tmp_path / "a.tar")


@pytest.mark.parametrize("source", ["pipe:cat x.tar", "pipe:curl -s http://x/{0..1}.tar", "ls |"])
def test_commands_are_never_run(source):
    with pytest.raises(DataError, match="would run a command"):
        shard_names(source)


def test_patterns_stand_for_shards(tmp_path):
    as_webdataset(tmp_path / "set", small_set(6))
    three = [str(tmp_path / "set" / f"data-00{number}.tar") for number in range(3)]
    assert shard_names(str(tmp_path / "set")) == three
    assert shard_names(str(tmp_path / "set" / "data-*.tar")) == three
    assert shard_names(str(tmp_path / "set" / "data-{000..002}.tar")) == three
    assert shard_names("::".join(three)) == three
    with pytest.raises(DataError, match=r"There are no \.tar shards"):
        shard_names(str(tmp_path / "none-*.tar"))
    with pytest.raises(DataError, match="too many shards"):
        shard_names("http://host/{0..99999999}.tar")
    with pytest.raises(DataError, match="There is no shard at"):
        opened(tmp_path / "none.tar")


def test_full_disk_while_a_shard_is_kept_is_a_sentence(tmp_path, monkeypatch):
    as_webdataset(tmp_path / "served", small_set(2), shards=1)
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(Whole, directory=str(tmp_path / "served"))
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    source = opened(f"http://127.0.0.1:{server.server_port}/data-000.tar")
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(ResourceError, match="could not be saved"):
        source.record(0).load()
    server.shutdown()
    server.server_close()


def test_picture_larger_than_any_is_skipped_unread_and_the_next_one_used(tmp_path, monkeypatch):
    monkeypatch.setattr(webdataset, "_LARGEST_PICTURE", 9_000)
    large, small = png(small_set(1)[0]) + bytes(9_000), png(small_set(1)[0])
    members = [("a.png", large), ("a.txt", b"a"), ("b.png", small), ("b.txt", b"b")]
    source = opened(write_tar(tmp_path / "a.tar", members))
    assert [source.record(index).key for index in range(len(source))] == ["b"]
    assert source.report.counts == {"broken picture": 1}
    assert "scale it down" in source.report.examples["broken picture"][0]
