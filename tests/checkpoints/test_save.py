"""infinity.checkpoints.save: all or nothing."""

from __future__ import annotations

import json
import resource
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from infinity.checkpoints import save
from infinity.checkpoints.load import load_model
from infinity.checkpoints.save import save_model
from infinity.errors import CheckpointError, ResourceError
from infinity.spec import CONFIG_FILE
from tests.t5_folder import write_t5_folder
from tests.tiny import SPEC, tiny_tokenizer, tiny_transformer


@pytest.fixture(scope="module")
def encoder(tmp_path_factory) -> Path:
    return write_t5_folder(tmp_path_factory.mktemp("t5") / "encoder")


@contextmanager
def files_at_most(limit: int):
    """Writing beyond ``limit`` bytes of a file fails, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def save_tiny(folder: Path, encoder: Path, seed: int = 0) -> None:
    save_model(folder, SPEC, tiny_transformer(seed=seed), tiny_tokenizer(seed=seed), encoder)


def content(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_saving_again_replaces_the_model_and_keeps_other_files(tmp_path, encoder):
    folder = tmp_path / "model"
    save_tiny(folder, encoder)
    (folder / "LICENSE").write_text("terms")
    save_tiny(folder, folder / "text_encoder", seed=1)
    expected = tiny_transformer(seed=1).head.weight
    assert torch.equal(load_model(folder).transformer.head.weight, expected)
    assert (folder / "LICENSE").read_text() == "terms"
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_saving_over_a_loaded_model_leaves_it_intact(tmp_path, encoder):
    folder = tmp_path / "model"
    save_tiny(folder, encoder)
    loaded = load_model(folder)
    save_tiny(folder, encoder, seed=1)
    assert torch.equal(loaded.transformer.head.weight, tiny_transformer().head.weight)


def test_full_disk_leaves_the_old_model_and_no_rest(tmp_path, encoder):
    folder = tmp_path / "model"
    save_tiny(folder, encoder)
    before = content(folder)
    with files_at_most(200_000), pytest.raises(ResourceError, match="disk is full") as caught:
        save_tiny(folder, encoder, seed=1)
    assert "\n" not in str(caught.value)
    assert content(folder) == before
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_full_disk_leaves_no_new_folder(tmp_path, encoder):
    with files_at_most(1000), pytest.raises(ResourceError, match="disk is full"):
        save_tiny(tmp_path / "model", encoder)
    assert list(tmp_path.iterdir()) == []


def test_failing_swap_restores_the_old_model(tmp_path, encoder, monkeypatch):
    folder = tmp_path / "model"
    save_tiny(folder, encoder)
    before = content(folder)
    rename = Path.rename

    def fail(self: Path, target):
        if ".saving-" in self.name:
            raise PermissionError(13, "Permission denied")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(ResourceError, match="may not be written"):
        save_tiny(folder, encoder, seed=1)
    assert content(folder) == before
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_interruption_leaves_no_rest(tmp_path, encoder, monkeypatch):
    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(save, "save_file", interrupt)
    with pytest.raises(KeyboardInterrupt):
        save_tiny(tmp_path / "model", encoder)
    assert list(tmp_path.iterdir()) == []


def test_folder_with_other_content_is_not_replaced(tmp_path, encoder):
    (tmp_path / "photo.jpg").write_bytes(b"precious")
    with pytest.raises(CheckpointError, match="nothing is lost"):
        save_tiny(tmp_path, encoder)
    assert (tmp_path / "photo.jpg").read_bytes() == b"precious"


def test_model_folder_with_other_folders_is_not_replaced(tmp_path, encoder):
    folder = tmp_path / "model"
    save_tiny(folder, encoder)
    (folder / "photos").mkdir()
    with pytest.raises(CheckpointError, match="nothing is lost"):
        save_tiny(folder, encoder)


def test_file_in_the_way_is_refused(tmp_path, encoder):
    (tmp_path / "model").write_text("")
    with pytest.raises(CheckpointError, match="is a file"):
        save_tiny(tmp_path / "model", encoder)


def test_missing_text_encoder_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match="does not exist"):
        save_tiny(tmp_path / "model", tmp_path / "nowhere")
    with pytest.raises(CheckpointError, match="give it to save it along"):
        save_model(tmp_path / "model", SPEC, tiny_transformer(), tiny_tokenizer())


def test_config_file_is_readable_json(tmp_path, encoder):
    save_tiny(tmp_path / "model", encoder)
    data = json.loads((tmp_path / "model" / CONFIG_FILE).read_text())
    assert data["name"] == "tiny"
    assert data["hub"] is None
