"""What a download would take, asked of a local stand-in for the hub before anything is fetched."""

from __future__ import annotations

from collections import namedtuple
from dataclasses import replace

import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import save_file

from infinity.checkpoints.download import bytes_to_download, fetch_model, fetch_text_encoder
from infinity.checkpoints.fit import text_parameters
from infinity.checkpoints.transfer import SPARE_BYTES, require_space
from infinity.errors import CheckpointError, ResourceError
from infinity.registry import TEXT_ENCODER_PARAMETERS
from infinity.spec import HubFiles
from tests.checkpoints.hub import COMMIT
from tests.tiny import SPEC

MODEL, TEXT = "Owner/Model", "google/t5"
FILES = {
    "model.pth": b"m" * 9000,
    "vae.pth": b"v" * 5000,
    "README.md": b"not wanted" * 100,
}
TEXT_FILES = {
    "config.json": b"{}",
    "model.safetensors": b"t" * 7000,
    "tokenizer.json": b"j" * 300,
    "pytorch_model.bin": b"not wanted" * 900,
}
HUB = HubFiles(repository=MODEL, revision=COMMIT, transformer="model.pth", tokenizer=("vae.pth",))
RELEASED = replace(
    SPEC, hub=HUB, text_encoder=replace(SPEC.text_encoder, source=TEXT, revision=COMMIT)
)
MODEL_BYTES = 9000 + 5000
TEXT_BYTES = 2 + 7000 + 300


def quiet(text: str, fraction: float) -> None:
    assert 0 <= fraction <= 1


@pytest.fixture
def hub(empty_hub):
    empty_hub.repositories |= {MODEL: {COMMIT: dict(FILES)}, TEXT: {COMMIT: dict(TEXT_FILES)}}
    return empty_hub


def test_plan_counts_the_model_and_its_text_encoder_and_fetches_nothing(hub):
    assert bytes_to_download(RELEASED) == MODEL_BYTES + TEXT_BYTES
    assert hub.gets == []
    require_space(MODEL_BYTES + TEXT_BYTES)


def test_plan_counts_what_is_still_missing(hub):
    fetch_model(HUB, quiet)
    assert bytes_to_download(RELEASED) == TEXT_BYTES
    fetch_text_encoder(RELEASED.text_encoder, quiet)
    asked = hub.requests
    assert bytes_to_download(RELEASED) == 0
    assert hub.requests == asked, "what is in the cache needs no network"


def test_interrupted_download_counts_for_what_it_has(hub):
    def stopped(text: str, fraction: float) -> None:
        if fraction > 0.3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch_model(HUB, stopped)
    assert 0 < bytes_to_download(RELEASED) - TEXT_BYTES < MODEL_BYTES


def test_model_in_a_folder_with_its_text_encoder_needs_nothing(empty_hub, tmp_path):
    beside = tmp_path / "model" / "text"
    beside.mkdir(parents=True)
    (beside / "config.json").write_text("{}")
    spec = replace(SPEC, text_encoder=replace(SPEC.text_encoder, source="text"))
    assert bytes_to_download(spec, tmp_path / "model") == 0
    assert empty_hub.requests == 0


def test_no_network_says_what_to_do(hub, monkeypatch):
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(ResourceError, match="check the network connection"):
        bytes_to_download(RELEASED)


def test_offline_mode_says_so(hub, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ResourceError, match="HF_HUB_OFFLINE"):
        bytes_to_download(RELEASED)


def test_missing_repository_and_missing_file_are_named(hub):
    del hub.repositories[TEXT]
    with pytest.raises(CheckpointError, match="no public repository google/t5"):
        bytes_to_download(RELEASED)
    del hub.repositories[MODEL][COMMIT]["vae.pth"]
    with pytest.raises(CheckpointError, match=r"no file vae\.pth"):
        bytes_to_download(RELEASED)


def test_full_disk_is_told_before_the_download(hub, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage(10**9, 0, SPARE_BYTES + 14_000))
    with pytest.raises(ResourceError, match="are free"):
        require_space(bytes_to_download(RELEASED))
    assert hub.gets == []


def test_text_encoder_is_counted_from_its_files_or_from_what_is_known(tmp_path):
    beside = tmp_path / "text"
    beside.mkdir()
    (beside / "config.json").write_text("{}")
    save_file({"a": torch.zeros(3, 4), "b": torch.zeros(5)}, beside / "model-1.safetensors")
    save_file({"c": torch.zeros(7)}, beside / "model-2.safetensors")
    spec = replace(SPEC, text_encoder=replace(SPEC.text_encoder, source="text"))
    assert text_parameters(spec, tmp_path) == 12 + 5 + 7
    (name, count), *_ = TEXT_ENCODER_PARAMETERS.items()
    known = replace(SPEC, text_encoder=replace(SPEC.text_encoder, source=name))
    assert text_parameters(known) == count
    unknown = replace(SPEC, text_encoder=replace(SPEC.text_encoder, source=TEXT))
    assert text_parameters(unknown) == 0
