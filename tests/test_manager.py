import json
import threading
import time
import weakref
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from infinity.errors import CheckpointError, RequestError, ResourceError, StoppedError
from infinity.estimate import LoadPlan, memory_need
from infinity.manager import ModelManager
from infinity.memory_modes import MEMORY_MODES, get_memory_mode
from infinity.registry import model_names
from infinity.request import GenerationRequest
from infinity.shared_work import SharedWork
from infinity.spec import CONFIG_FILE
from infinity.weights import Weights
from tests.tiny import SPEC, tiny_folder

FOLDERS: dict[str, Path] = {}
NEED = memory_need(SPEC, MEMORY_MODES["none"], torch.device("cpu"), torch.float32, 0)
WEIGHTS = NEED.weights
PLAN = LoadPlan(
    name="one", memory_mode="none", device="cpu", dtype="float32", need=NEED, free=None, total=None
)


@pytest.fixture(scope="module", autouse=True)
def folders(tmp_path_factory):
    """Folders with a description and no weights, for models that only pretend to load."""
    for name in ("one", "two", "three"):
        folder = FOLDERS[name] = tmp_path_factory.mktemp(name)
        (folder / CONFIG_FILE).write_text(json.dumps(replace(SPEC, name=name).to_dict()))


@pytest.fixture
def memory(monkeypatch):
    """Bytes that are free and all there are; tests change the free ones."""
    bytes_ = [10 * NEED.device, 20 * NEED.device]
    for owner in ("manager", "kept_models"):
        monkeypatch.setattr(f"infinity.{owner}.memory_of", lambda _: tuple(bytes_))
    return bytes_


class Model(SimpleNamespace):
    """What a loader gives; may be referred to weakly, as a pipeline."""


class Loader:
    """Loads models of 100 bytes, slowly if told so."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, object, object]] = []
        self.gate: threading.Event | None = None
        self.error: Exception | None = None
        self.late_error: Exception | None = None
        self.kept_while_loading: list[tuple[str, ...]] = []
        self.manager: ModelManager | None = None
        self.options: dict[str, object] = {}

    def __call__(self, name_or_path, device, dtype, progress, **options):
        self.options = options
        self.calls.append((name_or_path, device, dtype))
        if progress is not None:
            progress("Reading the transformer", 0.5)
        while self.gate is not None and not self.gate.wait(0.01):
            if progress is not None:
                progress("Reading the transformer", 0.6)
        if self.error is not None:
            raise self.error
        options["make_room"]()
        if self.late_error is not None:
            raise self.late_error
        if self.manager is not None:
            self.kept_while_loading.append(names_of(self.manager))
        return Model(
            name=name_or_path,
            nbytes=100,
            spec=SPEC,
            device="cpu",
            dtype=torch.float32,
            text_encoder=SimpleNamespace(is_loaded=True, device="cpu"),
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
    assert loader.calls == [(str(FOLDERS["one"]), "cpu", "float32")]
    assert manager.nbytes == 100


def test_registered_name_is_passed_on_as_it_is(monkeypatch):
    monkeypatch.setattr("infinity.manager.memory_of", lambda _: None)
    manager, loader = make()
    manager.get("infinity-2b")
    assert loader.calls[0][0] == "infinity-2b"


def test_progress_is_reported_to_the_call_that_loads():
    seen = []
    manager, loader = make()
    loader.gate = threading.Event()

    def progress(what, fraction):
        seen.append((what, fraction))
        loader.gate.set()

    manager.get("one", progress)
    assert ("Reading the transformer", 0.6) in seen
    assert seen[-1] == ("Loaded", 1.0)


def test_unknown_model_is_refused_with_the_nearest_name():
    manager, loader = make()
    with pytest.raises(
        RequestError, match=r"Unknown model 'infinity-2c'; did you mean 'infinity-2b'"
    ):
        manager.get("infinity-2c")
    assert loader.calls == []


def test_budget_lets_go_of_the_model_used_longest_ago(memory):
    manager, loader = make(250, device="cpu")
    loader.manager = manager
    manager.get("one")
    manager.get("two")
    manager.get("one")
    manager.get("three")
    assert names_of(manager) == ("one", "three")
    assert loader.kept_while_loading[-1] == ("two", "one"), "let go once the next is loaded"
    assert manager.nbytes == 200


def test_model_larger_than_the_budget_is_kept_alone():
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
    manager.unload("one")
    assert manager.loaded() == ()


def test_failed_load_frees_the_lock_and_the_next_call_tries_again():
    manager, loader = make()
    loader.error = CheckpointError("damaged")
    for _ in range(2):
        with pytest.raises(CheckpointError, match="damaged"):
            manager.get("one")
    loader.error = None
    assert manager.get("one").name == str(FOLDERS["one"])


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
    assert manager.get("one").name == str(FOLDERS["one"])
    assert names_of(manager) == ("one",)
    loader.gate.set()
    slow.join(10)
    assert set(names_of(manager)) == {"one", "two"}


@pytest.mark.parametrize("error", [CheckpointError("damaged"), ZeroDivisionError("bug")])
def test_failed_load_leaves_what_is_in_memory(error, memory, monkeypatch):
    monkeypatch.setattr(ModelManager, "_require_memory", lambda *_: PLAN)
    manager, loader = make(150, device="cpu")
    used = manager.get("one")
    memory[0] = 0  # no room for both
    loader.error = error
    with pytest.raises(type(error)):
        manager.get("two")
    assert manager.get("one") is used
    assert len(loader.calls) == 2


def test_load_that_fails_late_gives_back_the_model_that_is_drawn_with(memory, monkeypatch):
    monkeypatch.setattr("infinity.kept_models.IN_USE_SECONDS", 0.0)
    monkeypatch.setattr(ModelManager, "_require_memory", lambda *_: PLAN)
    manager, loader = make(device="cpu")
    loader.manager = manager
    used = manager.get("one")
    memory[0] = WEIGHTS - 1
    loader.late_error = ResourceError("The disk gave no answer.")
    with pytest.raises(ResourceError):
        manager.get("two")
    assert manager.get("one") is used


def test_room_is_made_only_where_the_memory_is_too_small_for_both(memory, monkeypatch):
    monkeypatch.setattr(ModelManager, "_require_memory", lambda *_: PLAN)
    manager, loader = make(device="cpu")
    loader.manager = manager
    manager.get("one")
    memory[0] = WEIGHTS - 1
    manager.get("two")
    assert loader.kept_while_loading == [(), ()]
    assert names_of(manager) == ("two",)


def test_load_waits_for_the_memory_of_a_model_still_drawn_with(memory, monkeypatch):
    monkeypatch.setattr(ModelManager, "_require_memory", lambda *_: PLAN)
    manager, _ = make(device="cpu")
    used = [manager.get("one")]
    memory[0] = WEIGHTS - 1
    said = []

    def progress(what, fraction):
        said.append(what)
        if "still draws" in what:
            used.clear()

    manager.get("two", progress)
    assert any("still draws" in what for what in said)


def test_model_that_cannot_fit_is_refused_before_anything_is_let_go_or_read(memory):
    manager, loader = make(100, device="cpu")
    used = manager.get("one")
    memory[:] = [NEED.device - 200, 2 * NEED.device]
    with pytest.raises(ResourceError, match=r"two takes .* GB of memory .* cpu has .* GB"):
        manager.get("two")
    assert len(loader.calls) == 1
    assert manager.get("one") is used
    memory[0] += 200
    assert manager.get("two").name == str(FOLDERS["two"])


def test_missing_and_unfitting_files_are_refused_before_anything_is_let_go(tmp_path, monkeypatch):
    folders = {name: tiny_folder(tmp_path / name) for name in ("used", "missing", "cut", "wrong")}
    (folders["missing"] / "tokenizer.safetensors").unlink()
    whole = (folders["cut"] / "transformer.safetensors").read_bytes()
    (folders["cut"] / "transformer.safetensors").write_bytes(whole[: len(whole) // 2])
    config = json.loads((folders["wrong"] / CONFIG_FILE).read_text())
    config["transformer"]["depth"] = 2
    (folders["wrong"] / CONFIG_FILE).write_text(json.dumps(config))
    manager = ModelManager(1, models=dict(folders), device="cpu", dtype="float32")
    used = manager.get("used")
    monkeypatch.setattr("infinity.kept_models.memory_of", lambda _: (0, 1))
    for name in ("missing", "cut", "wrong"):
        with pytest.raises(CheckpointError):
            manager.get(name)
        assert manager.get("used") is used


def test_failed_load_with_another_saving_keeps_the_model_and_its_saving():
    manager, loader = make(device="cpu")
    used = manager.get("one")
    loader.error = CheckpointError("damaged")
    with pytest.raises(CheckpointError):
        manager.get("one", memory_mode="most")
    assert manager.get("one") is used
    assert manager.memory_mode_of("one") == "none"


def test_stop_ends_a_load():
    manager, loader = make()
    loader.gate = threading.Event()
    cancel = threading.Event()
    with pytest.raises(StoppedError):
        manager.get("one", lambda *_: cancel.set(), cancel)
    for thread in threading.enumerate():
        if thread.name == "load-one":
            thread.join(10)
            assert not thread.is_alive()
    assert names_of(manager) == ()
    loader.gate.set()
    assert manager.get("one").name == str(FOLDERS["one"])
    assert len(loader.calls) == 2


def test_load_that_somebody_else_waits_for_goes_on_after_a_stop():
    manager, loader = make()
    loader.gate = threading.Event()
    joined, cancel, found = threading.Event(), threading.Event(), []
    other = threading.Thread(
        target=lambda: found.append(manager.get("one", lambda *_: joined.set()))
    )
    other.start()
    assert joined.wait(10)
    with pytest.raises(StoppedError):
        manager.get("one", lambda *_: cancel.set(), cancel)
    loader.gate.set()
    other.join(10)
    assert names_of(manager) == ("one",)
    assert len(found) == len(loader.calls) == 1


def test_stopped_load_leaves_nothing_in_memory(tmp_path):
    """Not even in what the error's frames hold."""
    folder = tiny_folder(tmp_path / "tiny")
    made: list[weakref.ref[torch.Tensor]] = []
    take = Weights.take

    def counted(self, *arguments):
        tensor = take(self, *arguments)
        made.append(weakref.ref(tensor))
        return tensor

    cancel = threading.Event()
    manager = ModelManager(models={"tiny": folder}, device="cpu", dtype="float32")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Weights, "take", counted)
        patch.setattr("infinity.shared_work.POLL_SECONDS", 0.0)
        patch.setattr(SharedWork, "_record", lambda self, what, fraction: _stop_when(made, 3))
        with pytest.raises(StoppedError):
            manager.get("tiny", None, cancel)
    assert len(made) == 3
    assert not any(tensor() is not None for tensor in made)
    assert manager.loaded() == ()


def _stop_when(made, count):
    if len(made) >= count:
        raise StoppedError


def test_spec_of_a_loaded_model_needs_no_file():
    manager, _ = make()
    manager.get("one")
    manager._folders["one"] = Path("gone")
    assert manager.spec("one") is SPEC
    manager.unload("one")
    with pytest.raises(CheckpointError, match="does not exist"):
        manager.spec("one")
    assert manager.spec("infinity-8b").name == "infinity-8b"


def test_loaded_model_tells_where_it_is_and_how_large():
    manager, _ = make(memory_mode="some")
    manager.get("one")
    (loaded,) = manager.loaded()
    assert (loaded.name, loaded.nbytes, loaded.device) == ("one", 100, "cpu")
    assert (loaded.dtype, loaded.text_place, loaded.memory_mode) == ("float32", "cpu", "some")


def test_smaller_budget_is_kept_to_at_once():
    manager, _ = make()
    manager.get("one")
    manager.get("two")
    manager.set_budget(150)
    assert names_of(manager) == ("two",)


@pytest.mark.parametrize("memory_mode", ["none", "some", "most", "8GB", "int8-cache,strips"])
def test_memory_mode_reaches_the_loader_and_stays_with_the_model(memory_mode):
    manager, loader = make(device="cpu", dtype="float32")
    pipeline = manager.get("one", memory_mode=memory_mode)
    given = {key: value for key, value in loader.options.items() if value}
    assert given.keys() == {"memory", "make_room"}
    assert given["memory"].parts == get_memory_mode(memory_mode).parts  # 8 GB hold it as it is
    assert manager.get("one", memory_mode=memory_mode) is manager.get("one") is pipeline
    assert manager.memory_mode_of("one") == memory_mode
    assert manager.memory_mode_of("two") == "none"


def test_another_saving_loads_anew():
    manager, loader = make()
    first = manager.get("one", memory_mode="none")
    assert manager.get("one", memory_mode="most") is not first
    assert len(loader.calls) == 2
    assert names_of(manager) == ("one",)


def test_unknown_saving_is_refused():
    with pytest.raises(RequestError, match="Unknown memory mode"):
        make()[0].get("one", memory_mode="all")
    with pytest.raises(RequestError, match="Unknown memory mode"):
        make(memory_mode="all")


def test_every_saving_draws_the_same_picture_in_the_same_precision(tmp_path, monkeypatch):
    """What a memory mode moves, releases or cuts changes no pixel, rounding of strips aside."""
    for name in ("some", "most"):
        parts = MEMORY_MODES[name].parts - {"bfloat16"}
        monkeypatch.setitem(MEMORY_MODES, name, replace(MEMORY_MODES[name], parts=parts))
    monkeypatch.setattr("infinity.checkpoints.load.STRIP_ELEMENTS", 512)
    folder = tiny_folder(tmp_path / "tiny")
    manager = ModelManager(models={"tiny": folder}, device="cpu", dtype="float32")
    request = GenerationRequest(prompt="a red fox")
    pictures = {}
    for name in MEMORY_MODES:
        pipeline = manager.get("tiny", memory_mode=name)
        pictures[name] = np.asarray(pipeline.generate(request).images[0], dtype=int)
        assert pipeline.text_encoder.is_loaded is (name != "most")
    assert (pictures["none"] == pictures["some"]).all()
    assert abs(pictures["none"] - pictures["most"]).max() <= 1


def test_plan_tells_the_need_before_anything_is_loaded(tmp_path):
    manager = ModelManager(models={"tiny": tiny_folder(tmp_path / "tiny")}, device="cpu")
    plan = manager.plan("tiny", "most")
    assert manager.loaded() == ()
    assert (plan.memory_mode, plan.device, plan.dtype) == ("most", "cpu", "bfloat16")
    assert (plan.download, plan.obstacle) == (0, "")
    assert plan.fits
    manager.get("tiny", memory_mode="most")
    pipeline = manager.get("tiny")
    weights = plan.need.transformer + plan.need.tokenizer
    assert pipeline.nbytes == weights
    pipeline.text_encoder.encode("x")
    assert pipeline.nbytes == weights + plan.need.text_encoder


def test_plan_of_a_model_larger_than_the_memory_does_not_fit(tmp_path, monkeypatch):
    monkeypatch.setattr("infinity.manager.memory_of", lambda _: (1000, 2000))
    manager = ModelManager(models={"tiny": tiny_folder(tmp_path / "tiny")}, device="cpu")
    plan = manager.plan("tiny")
    assert not plan.fits
    assert (plan.free, plan.total) == (1000, 2000)


def test_plan_of_a_mere_configuration_says_that_it_has_no_weights(monkeypatch):
    monkeypatch.setattr("infinity.manager.bytes_to_download", lambda *_: 0)
    plan = ModelManager(device="cpu").plan("infinity-361m")
    assert "never released" in plan.obstacle
