import threading
import time
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from infinity.errors import CheckpointError, RequestError
from infinity.manager import ModelManager
from infinity.registry import model_names
from infinity.request import GenerationRequest
from infinity.saving import SAVINGS
from infinity.tokenizer.strips import STRIP_ELEMENTS
from tests.tiny import SPEC, tiny_folder

FOLDERS = {"one": "/models/one", "two": "/models/two", "three": "/models/three"}


class Loader:
    """Loads models of 100 bytes, slowly if told so."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, object, object]] = []
        self.gate: threading.Event | None = None
        self.error: Exception | None = None
        self.kept_while_loading: list[tuple[str, ...]] = []
        self.manager: ModelManager | None = None
        self.options: dict[str, object] = {}

    def __call__(self, name_or_path, device, dtype, progress, **options):
        self.options = options
        self.calls.append((name_or_path, device, dtype))
        if self.manager is not None:
            self.kept_while_loading.append(names_of(self.manager))
        if progress is not None:
            progress("Reading the transformer", 0.5)
        if self.gate is not None:
            assert self.gate.wait(10)
        if self.error is not None:
            raise self.error
        return SimpleNamespace(
            name=name_or_path,
            nbytes=100,
            spec=SPEC,
            device="cpu",
            dtype=torch.float32,
            text_encoder=SimpleNamespace(is_loaded=True, device="cpu"),
            tokenizer=SimpleNamespace(strip_elements=None),
        )


def names_of(manager: ModelManager) -> tuple[str, ...]:
    return tuple(size.name for size in manager.loaded())


def make(budget=None, **options):
    loader = Loader()
    manager = ModelManager(budget, models=dict(FOLDERS), loader=loader, **options)
    return manager, loader


def test_names_are_the_registry_and_the_given_folders():
    assert make()[0].names() == (*model_names(), "one", "two", "three")


def test_model_is_loaded_once_and_kept():
    manager, loader = make(device="cpu", dtype="float32")
    assert manager.get("one") is manager.get("one")
    assert loader.calls == [("/models/one", "cpu", "float32")]
    assert manager.nbytes == 100


def test_registered_name_is_passed_on_as_it_is():
    manager, loader = make()
    manager.get("infinity-2b")
    assert loader.calls[0][0] == "infinity-2b"


def test_progress_is_reported_to_the_call_that_loads():
    seen = []
    make()[0].get("one", lambda what, fraction: seen.append((what, fraction)))
    assert seen == [("Reading the transformer", 0.5)]


def test_unknown_model_is_refused_with_the_nearest_name():
    manager, loader = make()
    with pytest.raises(
        RequestError, match=r"Unknown model 'infinity-2c'; did you mean 'infinity-2b'"
    ):
        manager.get("infinity-2c")
    assert loader.calls == []


def test_budget_lets_go_of_the_model_used_longest_ago(monkeypatch):
    monkeypatch.setattr("infinity.manager.weight_bytes", lambda *_: (60, 40))
    monkeypatch.setattr(ModelManager, "spec", lambda self, name: SPEC)
    manager, loader = make(250, device="cpu")
    loader.manager = manager
    manager.get("one")
    manager.get("two")
    manager.get("one")
    manager.get("three")
    assert names_of(manager) == ("one", "three")
    assert loader.kept_while_loading[-1] == ("one",), "room is made before loading"
    assert manager.nbytes == 200


def test_model_larger_than_the_budget_is_kept_alone(monkeypatch):
    monkeypatch.setattr("infinity.manager.weight_bytes", lambda *_: (60, 40))
    monkeypatch.setattr(ModelManager, "spec", lambda self, name: SPEC)
    manager, _ = make(50, device="cpu")
    manager.get("one")
    manager.get("two")
    assert names_of(manager) == ("two",)


def test_unload_lets_go_and_a_later_call_loads_again():
    manager, loader = make()
    first = manager.get("one")
    assert manager.unload("one")
    assert not manager.unload("one")
    assert manager.get("one") is not first
    assert len(loader.calls) == 2
    manager.unload_all()
    assert manager.loaded() == ()


def test_failed_load_frees_the_lock_and_the_next_call_tries_again():
    manager, loader = make()
    loader.error = CheckpointError("damaged")
    for _ in range(2):
        with pytest.raises(CheckpointError, match="damaged"):
            manager.get("one")
    loader.error = None
    assert manager.get("one").name == "/models/one"


def test_two_threads_asking_for_one_model_load_it_once():
    manager, loader = make()
    loader.gate = threading.Event()
    found = []
    threads = [threading.Thread(target=lambda: found.append(manager.get("one"))) for _ in range(4)]
    for thread in threads:
        thread.start()
    loader.gate.set()
    for thread in threads:
        thread.join(10)
    assert len(loader.calls) == 1
    assert len(found) == 4 and len({id(model) for model in found}) == 1


def test_kept_model_is_handed_out_while_another_one_loads():
    manager, loader = make()
    manager.get("one")
    loader.gate = threading.Event()
    slow = threading.Thread(target=lambda: manager.get("two"))
    slow.start()
    while len(loader.calls) < 2:
        time.sleep(0.001)
    assert manager.get("one").name == "/models/one"
    assert names_of(manager) == ("one",)
    loader.gate.set()
    slow.join(10)
    assert set(names_of(manager)) == {"one", "two"}


def test_spec_of_a_loaded_model_needs_no_file():
    manager, _ = make()
    with pytest.raises(CheckpointError, match="does not exist"):
        manager.spec("one")
    manager.get("one")
    assert manager.spec("one") is SPEC
    assert manager.spec("infinity-8b").name == "infinity-8b"


def test_loaded_model_tells_where_it_is_and_how_large():
    manager, _ = make(saving="some")
    manager.get("one")
    (loaded,) = manager.loaded()
    assert (loaded.name, loaded.nbytes, loaded.device) == ("one", 100, "cpu")
    assert (loaded.dtype, loaded.text_place, loaded.saving) == ("float32", "cpu", "some")


def test_smaller_budget_is_kept_to_at_once():
    manager, _ = make()
    manager.get("one")
    manager.get("two")
    manager.set_budget(150)
    assert names_of(manager) == ("two",)


@pytest.mark.parametrize(
    ("saving", "options", "strips"),
    [
        ("none", {}, None),
        ("some", {"text_device": "cpu"}, None),
        ("most", {"text_device": "cpu", "release_text_encoder": True}, STRIP_ELEMENTS),
    ],
)
def test_saving_reaches_the_loader_and_stays_with_the_model(saving, options, strips):
    manager, loader = make(dtype="float32")
    pipeline = manager.load("one", saving)
    assert loader.options == options
    assert loader.calls[0][2] == ("float32" if saving == "none" else "bfloat16")
    assert pipeline.tokenizer.strip_elements == strips
    assert manager.load("one") is manager.load("one", saving) is manager.get("one")
    assert manager.saving_of("one") == saving
    assert manager.saving_of("two") == "none"


def test_another_saving_loads_anew():
    manager, loader = make()
    first = manager.load("one", "none")
    assert manager.load("one", "most") is not first
    assert len(loader.calls) == 2
    assert names_of(manager) == ("one",)


def test_unknown_saving_is_refused():
    with pytest.raises(RequestError, match="Unknown memory setting"):
        make()[0].load("one", "all")
    with pytest.raises(RequestError, match="Unknown memory setting"):
        make(saving="all")


def test_every_saving_draws_the_same_picture_in_the_same_precision(tmp_path, monkeypatch):
    """What a saving moves, releases or cuts changes no pixel, rounding of strips aside."""
    for name in ("some", "most"):
        monkeypatch.setitem(SAVINGS, name, replace(SAVINGS[name], dtype=None))
    monkeypatch.setattr("infinity.manager.STRIP_ELEMENTS", 512)
    folder = tiny_folder(tmp_path / "tiny")
    manager = ModelManager(models={"tiny": folder}, device="cpu", dtype="float32")
    request = GenerationRequest(prompt="a red fox")
    pictures = {}
    for name in SAVINGS:
        pipeline = manager.load("tiny", name)
        pictures[name] = np.asarray(pipeline.generate(request).images[0], dtype=int)
        assert pipeline.text_encoder.is_loaded is (name != "most")
    assert (pictures["none"] == pictures["some"]).all()
    assert abs(pictures["none"] - pictures["most"]).max() <= 1


def test_plan_tells_the_need_before_anything_is_loaded(tmp_path):
    manager = ModelManager(models={"tiny": tiny_folder(tmp_path / "tiny")}, device="cpu")
    plan = manager.plan("tiny", "most")
    assert manager.loaded() == ()
    assert (plan.saving, plan.device, plan.dtype) == ("most", "cpu", "bfloat16")
    assert (plan.download, plan.obstacle) == (0, "")
    assert plan.fits
    manager.load("tiny", "most")
    pipeline = manager.get("tiny")
    weights = plan.need.transformer + plan.need.tokenizer
    assert pipeline.nbytes == weights
    pipeline.text_encoder.load()
    assert pipeline.nbytes == weights + plan.need.text_encoder


def test_plan_of_a_model_larger_than_the_memory_does_not_fit(tmp_path, monkeypatch):
    monkeypatch.setattr("infinity.manager.memory_of", lambda _: (1000, 2000))
    manager = ModelManager(models={"tiny": tiny_folder(tmp_path / "tiny")}, device="cpu")
    plan = manager.plan("tiny")
    assert not plan.fits
    assert (plan.free, plan.total) == (1000, 2000)


def test_plan_of_a_mere_configuration_says_that_it_has_no_weights(monkeypatch):
    monkeypatch.setattr("infinity.manager.plan_download", lambda *_: None)
    plan = ModelManager(device="cpu").plan("infinity-361m")
    assert "never released" in plan.obstacle
