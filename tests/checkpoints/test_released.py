"""A released model by its name, from the hub's stand-in to features and weights."""

from __future__ import annotations

import io
import threading
from dataclasses import replace

import pytest
import torch
from huggingface_hub import constants

from infinity import registry
from infinity.checkpoints.load import convert, load_model, load_tokenizer
from infinity.config import TextEncoderConfig
from infinity.errors import CheckpointError, ResourceError, StoppedError
from infinity.manager import ModelManager
from infinity.spec import HubFiles
from tests.checkpoints.hub import COMMIT
from tests.checkpoints.upstream_files import SPEC, tokenizer_state, transformer_state
from tests.t5_folder import write_t5_folder
from tests.tiny import tiny_folder, tiny_transformer

NAME = "tiny-released"
TEXT_ENCODER = TextEncoderConfig(source="Owner/t5", revision=COMMIT, width=128, max_length=24)
RELEASED = replace(
    SPEC,
    name=NAME,
    text_encoder=TEXT_ENCODER,
    hub=HubFiles(
        repository="Owner/Model",
        revision=COMMIT,
        transformer="model.pth",
        tokenizer=("vae_d_8.pth", "vae_d8.pth"),
    ),
)


def pickled(content) -> bytes:
    stream = io.BytesIO()
    torch.save(content, stream)
    return stream.getvalue()


@pytest.fixture
def hub(empty_hub, tmp_path, monkeypatch):
    encoder = write_t5_folder(tmp_path / "t5")
    empty_hub.repositories = {
        "Owner/Model": {
            COMMIT: {
                "model.pth": pickled(transformer_state(3)),
                "vae_d8.pth": pickled({"vae": tokenizer_state()}),
                "vae_d16.pth": b"not wanted" * 100,
            }
        },
        "Owner/t5": {COMMIT: {path.name: path.read_bytes() for path in encoder.iterdir()}},
    }
    monkeypatch.setitem(registry.MODEL_SPECS, NAME, RELEASED)
    return empty_hub


def test_released_model_is_fetched_and_loaded(hub):
    seen = []
    model = load_model(NAME, progress=lambda text, part: seen.append(text))
    assert model.spec == RELEASED
    assert torch.equal(model.transformer.head.weight, tiny_transformer(SPEC).head.weight)
    assert model.text_encoder.encode("a red apple").features.shape[1] == 128
    assert {path for path, _ in hub.gets} == {
        "model.pth",
        "vae_d8.pth",
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    }
    assert "Downloading model.pth" in seen
    assert "Loading the transformer" in seen


def test_fetched_model_loads_without_a_network(hub, monkeypatch):
    load_model(NAME, progress=lambda text, part: None)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    assert load_model(NAME).spec == RELEASED


def test_released_model_without_a_network_says_what_to_do(hub, monkeypatch):
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(ResourceError, match="check the network connection"):
        load_model(NAME)


def test_released_model_converts_by_name(hub, tmp_path):
    convert(NAME, tmp_path / "own", progress=lambda text, part: None)
    model = load_model(tmp_path / "own", progress=lambda text, part: None)
    assert model.spec == replace(RELEASED, hub=None)
    assert torch.equal(model.transformer.head.weight, tiny_transformer(SPEC).head.weight)


def test_released_weights_of_another_shape_are_refused(hub):
    small = replace(SPEC.transformer, depth=2)
    state = tiny_transformer(replace(SPEC, transformer=small)).state_dict()
    from tests.upstream_names import to_upstream

    content = pickled(to_upstream(state, "transformer", 2))
    hub.repositories["Owner/Model"][COMMIT]["model.pth"] = content
    with pytest.raises(CheckpointError, match="do not fit the configuration"):
        load_model(NAME, progress=lambda text, part: None)


def test_tokenizer_of_a_released_model_is_fetched_alone(hub):
    tokenizer = load_tokenizer(NAME)
    assert tokenizer.config == RELEASED.tokenizer
    assert {path for path, _ in hub.gets} == {"vae_d8.pth"}


def managed(tmp_path, **options) -> ModelManager:
    folder = tiny_folder(tmp_path / "used")
    return ModelManager(models={"used": folder}, device="cpu", dtype="float32", **options)


def end_of_loads() -> None:
    for thread in threading.enumerate():
        if thread.name == f"load-{NAME}":
            thread.join(60)
            assert not thread.is_alive()


def test_stop_ends_a_download_in_the_middle_and_the_next_load_goes_on_there(hub, tmp_path):
    manager, cancel = managed(tmp_path, memory_budget=1), threading.Event()
    used = manager.get("used")
    hub.held.add("model.pth")

    def progress(what, fraction):
        if fraction > 0:
            cancel.set()

    with pytest.raises(StoppedError):
        manager.get(NAME, progress, cancel)
    hub.released.set()
    end_of_loads()
    assert [path for path, _ in hub.gets] == ["model.pth"], "nothing more was asked of the hub"
    assert manager.get("used") is used
    assert [model.name for model in manager.loaded()] == ["used"]
    manager.get(NAME)
    path, first = hub.gets[1]
    assert path == "model.pth" and first > 0


def test_other_models_are_handed_out_while_one_downloads(hub, tmp_path):
    manager, found = managed(tmp_path), []
    hub.held.add("model.pth")
    begun = threading.Event()
    slow = threading.Thread(target=lambda: found.append(manager.get(NAME, lambda *_: begun.set())))
    slow.start()
    assert begun.wait(60)
    assert manager.get("used").spec.name == "tiny"
    hub.released.set()
    slow.join(60)
    assert found[0].spec.name == NAME


def test_model_that_cannot_fit_is_refused_before_the_hub_is_asked(hub, tmp_path, monkeypatch):
    manager = managed(tmp_path)
    used = manager.get("used")
    monkeypatch.setattr("infinity.manager.memory_of", lambda _: (1000, 10**9))
    monkeypatch.setattr("infinity.checkpoints.fit.TEXT_ENCODER_PARAMETERS", {"Owner/t5": 10**9})
    with pytest.raises(ResourceError, match="choose a smaller memory mode or another model"):
        manager.get(NAME)
    assert hub.requests == 0
    assert manager.get("used") is used


def test_failed_download_leaves_the_model_in_use(hub, tmp_path, monkeypatch):
    manager = managed(tmp_path, memory_budget=1)
    used = manager.get("used")
    monkeypatch.setattr("infinity.kept_models.memory_of", lambda _: (0, 10**9))
    hub.corrupt.add("model.pth")
    with pytest.raises(CheckpointError, match="damaged on the way"):
        manager.get(NAME)
    hub.status = 500
    with pytest.raises(ResourceError, match="hub answered 500"):
        manager.get(NAME)
    assert manager.get("used") is used
