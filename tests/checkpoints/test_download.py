"""infinity.checkpoints.download against a local stand-in for the hub."""

from __future__ import annotations

import logging
import shutil
from collections import namedtuple
from pathlib import Path

import pytest
from huggingface_hub import constants, hf_hub_download

from infinity.checkpoints.download import HubRequest, fetch_model, fetch_text_encoder
from infinity.config import TextEncoderConfig
from infinity.errors import CheckpointError, ResourceError
from infinity.spec import HubFiles
from tests.checkpoints.hub import COMMIT, NEWER_COMMIT

REPOSITORY = "Owner/Model"
TRANSFORMER = bytes(range(256)) * 400
FILES = {
    "model.pth": TRANSFORMER,
    "vae_d8.pth": b"v" * 5000,
    "README.md": b"not wanted" * 100,
    "sharded/index.json": b"{}",
    "sharded/part-1.bin": b"1" * 3000,
    "sharded/part-2.bin": b"2" * 3000,
}
HUB_FILES = HubFiles(
    repository=REPOSITORY,
    revision=COMMIT,
    transformer="model.pth",
    tokenizer=("vae_d_8.pth", "vae_d8.pth"),
)


@pytest.fixture
def hub(empty_hub):
    empty_hub.repositories[REPOSITORY] = {COMMIT: dict(FILES)}
    return empty_hub


def quiet(text: str, fraction: float) -> None:
    assert 0 <= fraction <= 1


def test_fetch_gets_only_the_needed_files(hub):
    transformer, tokenizer = fetch_model(HUB_FILES, quiet)
    assert transformer.read_bytes() == FILES["model.pth"]
    assert tokenizer.read_bytes() == FILES["vae_d8.pth"]
    assert sorted(path for path, _ in hub.gets) == ["model.pth", "vae_d8.pth"]


def test_fetch_of_a_folder_gets_all_its_files(hub):
    files = HubFiles(
        repository=REPOSITORY, revision=COMMIT, transformer="sharded/", tokenizer=("vae_d8.pth",)
    )
    folder, _ = fetch_model(files, quiet)
    assert sorted(path.name for path in folder.iterdir()) == [
        "index.json",
        "part-1.bin",
        "part-2.bin",
    ]


def test_fetch_reports_rising_progress_up_to_one(hub):
    seen = []
    fetch_model(HUB_FILES, lambda text, fraction: seen.append((fraction, text)))
    fractions = [fraction for fraction, _ in seen]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1
    assert any("model.pth" in text for _, text in seen)


def test_second_fetch_needs_no_network(hub):
    first = fetch_model(HUB_FILES, quiet)
    hub.status = 500
    asked = hub.requests
    assert fetch_model(HUB_FILES, quiet) == first
    assert hub.requests == asked


def test_branch_is_pinned_on_first_use(hub):
    wanted = ((("model.pth",)),)
    first = HubRequest(REPOSITORY, "main", wanted).fetch(quiet)
    hub.repositories[REPOSITORY][NEWER_COMMIT] = {"model.pth": b"another model" * 10}
    again = HubRequest(REPOSITORY, "main", wanted).fetch(quiet)
    assert again == first
    assert again.folder.name == COMMIT


def test_lost_connection_is_resumed_within_a_fetch(hub):
    hub.cut_after, hub.cuts_left = 30_000, 2
    transformer, _ = fetch_model(HUB_FILES, quiet)
    assert transformer.read_bytes() == TRANSFORMER
    starts = [first for path, first in hub.gets if path == "model.pth"]
    assert starts[0] == 0
    assert len(starts) == 3
    assert all(first > 0 for first in starts[1:])


def test_stopped_fetch_goes_on_where_it_stopped(hub):
    class StoppedError(Exception):
        pass

    def stop(text: str, fraction: float) -> None:
        if fraction > 0:
            raise StoppedError

    hub.cut_after, hub.cuts_left = 30_000, 1
    with pytest.raises(StoppedError):
        fetch_model(HUB_FILES, stop)
    hub.gets.clear()
    transformer, _ = fetch_model(HUB_FILES, quiet)
    assert transformer.read_bytes() == TRANSFORMER
    assert dict(hub.gets)["model.pth"] > 0


def test_hub_without_ranges_sends_the_whole_file_again(hub):
    hub.cut_after, hub.cuts_left, hub.ignore_range = 30_000, 1, True
    transformer, _ = fetch_model(HUB_FILES, quiet)
    assert transformer.read_bytes() == TRANSFORMER


@pytest.mark.parametrize("name", ["model.pth", "sharded/index.json"])
def test_damaged_content_is_refused_and_removed(hub, tmp_path, name):
    hub.corrupt.add(name)
    wanted = (((name,)),)
    with pytest.raises(CheckpointError, match="damaged on the way"):
        HubRequest(REPOSITORY, COMMIT, wanted).fetch(quiet)
    assert not list((tmp_path / "cache").rglob("*partial"))
    hub.corrupt.clear()
    assert (
        HubRequest(REPOSITORY, COMMIT, wanted).fetch(quiet).folder / name
    ).read_bytes() == FILES[name]


def test_unknown_pinned_commit_falls_back_to_newest_with_a_warning(hub, caplog):
    files = HubFiles(
        repository=REPOSITORY,
        revision="c" * 40,
        transformer="model.pth",
        tokenizer=("vae_d8.pth",),
    )
    with caplog.at_level(logging.WARNING):
        first = fetch_model(files, quiet)
    assert "using the newest commit" in caplog.text
    hub.status = 500
    assert fetch_model(files, quiet) == first


def test_file_missing_at_the_pin_is_taken_from_newest(hub):
    hub.repositories[REPOSITORY][NEWER_COMMIT] = {**FILES, "late.pth": b"late" * 50}
    fetched = HubRequest(REPOSITORY, COMMIT, ((("late.pth",)),)).fetch(quiet)
    assert fetched.folder.name == NEWER_COMMIT


def test_missing_file_is_named(hub):
    with pytest.raises(CheckpointError, match=r"no file nothing\.pth"):
        HubRequest(REPOSITORY, COMMIT, ((("nothing.pth",)),)).fetch(quiet)


def test_missing_repository_is_named(hub):
    with pytest.raises(CheckpointError, match="no public repository Owner/Other"):
        HubRequest("Owner/Other", "main", ((("model.pth",)),)).fetch(quiet)


def test_no_network_says_what_to_do(hub, monkeypatch):
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(ResourceError, match="check the network connection") as caught:
        fetch_model(HUB_FILES, quiet)
    assert "\n" not in str(caught.value)


def test_offline_mode_says_so(hub, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ResourceError):
        fetch_model(HUB_FILES, quiet)


def test_failing_hub_says_try_later(hub):
    hub.status = 500
    with pytest.raises(ResourceError):
        fetch_model(HUB_FILES, quiet)


def test_full_disk_is_noticed_before_downloading(hub, monkeypatch):
    usage = namedtuple("usage", "total used free")(10**9, 10**9, 10_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(ResourceError, match="are free"):
        fetch_model(HUB_FILES, quiet)
    assert hub.gets == []


def test_disk_filling_up_while_downloading_says_so(hub, monkeypatch):
    import resource

    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, limits[1]))
    try:
        with pytest.raises(ResourceError, match="disk filled up"):
            fetch_model(HUB_FILES, quiet)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    transformer, _ = fetch_model(HUB_FILES, quiet)
    assert transformer.read_bytes() == TRANSFORMER


def test_text_encoder_takes_safetensors_and_tokenizer_only(hub):
    hub.repositories["google/t5"] = {
        COMMIT: {
            "config.json": b"{}",
            "model-00001-of-00002.safetensors": b"a" * 100,
            "model-00002-of-00002.safetensors": b"b" * 100,
            "model.safetensors.index.json": b"{}" * 50,
            "pytorch_model-00001-of-00002.bin": b"c" * 100,
            "tf_model.h5": b"d" * 100,
            "tokenizer.json": b"{}" * 60,
            "tokenizer_config.json": b"{}",
        }
    }
    folder = fetch_text_encoder(TextEncoderConfig(source="google/t5", revision=COMMIT), quiet)
    assert {path.name for path in folder.iterdir()} == {
        "config.json",
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
        "model.safetensors.index.json",
        "tokenizer.json",
        "tokenizer_config.json",
    }


def test_files_from_another_program_are_not_fetched_again(hub, tmp_path):
    hf_hub_download(
        REPOSITORY,
        "model.pth",
        revision=COMMIT,
        cache_dir=Path(tmp_path / "cache"),
        endpoint=hub.url,
    )
    hub.gets.clear()
    fetch_model(HUB_FILES, quiet)
    assert [path for path, _ in hub.gets] == ["vae_d8.pth"]
