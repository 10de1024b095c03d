"""A shared GPU, played by a stand-in that lets through only what can be pickled."""

from __future__ import annotations

import pickle
import sys
import threading
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from infinity.edit import tasks
from infinity.edit.sources import source_of
from infinity.errors import RequestError, ResourceError
from infinity.estimate import gpu_seconds
from infinity.events import Cancelled, Done, Preview
from infinity.grid.axes import Axis
from infinity.grid.plan import GridPlan, draw_plan
from infinity.inside.reading import look
from infinity.manager import ModelManager
from infinity.metadata import read_record, save_png
from infinity.packing import pack_bits
from infinity.request import GenerationRequest
from infinity.ui.server.spaces import SharedGpuLoader, SharedGpuPipeline, shared_gpu
from tests.edit.test_sources import photo
from tests.tiny import SPEC, tiny_pipeline

REQUEST = GenerationRequest(prompt="a red fox", num_images=2)
REQUESTED = GenerationRequest(prompt="a red apple", seed=1)


class FakeGpu:
    """``spaces.GPU``: books a duration, and everything crosses as pickled bytes."""

    def __init__(self) -> None:
        self.booked: list[int] = []
        self.closed = 0

    def __call__(self, *, duration: Callable[..., int]) -> Callable[..., Any]:
        def decorate(task: Callable[..., Any]) -> Callable[..., Any]:
            def run(*arguments: Any) -> Any:
                self.booked.append(duration(*arguments))
                crossed = pickle.loads(pickle.dumps(arguments))
                try:
                    for result in task(*crossed):
                        yield pickle.loads(pickle.dumps(result))
                finally:
                    self.closed += 1

            return run

        return decorate


def make(load: Callable[..., Any] = lambda *_, **__: tiny_pipeline()) -> tuple[FakeGpu, Any]:
    gpu = FakeGpu()
    return gpu, SharedGpuLoader(gpu, load)("tiny", "cpu", "float32", None)


def test_without_the_package_nothing_is_needed(monkeypatch):
    monkeypatch.setitem(sys.modules, "spaces", None)
    assert shared_gpu() is None


def test_package_is_used_where_it_is(monkeypatch):
    spaces = ModuleType("spaces")
    spaces.GPU = FakeGpu()  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "spaces", spaces)
    assert shared_gpu() is spaces.GPU


def test_pictures_and_their_records_cross_unchanged(tmp_path):
    _, shared = make()
    *previews, done = shared.stream(REQUEST, previews="off")
    assert isinstance(done, Done)
    assert [type(event) for event in previews] == [Preview] * len(SPEC.schedule("1:1"))
    expected = tiny_pipeline().generate(REQUEST).images
    assert [i.tobytes() for i in done.images] == [i.tobytes() for i in expected]
    path = save_png(done.images[0], tmp_path / "picture.png")
    assert read_record(path).request.prompt == "a red fox"


def test_pictures_are_rebuilt_there_too():
    gpu, shared = make()
    here = tiny_pipeline()
    rebuilt = shared.reconstruct(photo(), "2:3")
    assert rebuilt.image.tobytes() == here.reconstruct(photo(), "2:3").image.tobytes()
    bits = pack_bits([torch.from_numpy(each) for each in rebuilt.bits])
    assert shared.decode(bits, "2:3").image.tobytes() == rebuilt.image.tobytes()
    measured = [one.to_dict() for one in shared.measure(rebuilt)]
    assert measured == [one.to_dict() for one in here.measure(rebuilt)]
    assert len(gpu.booked) == gpu.closed == 3 and all(seconds > 0 for seconds in gpu.booked)
    with pytest.raises(RequestError, match="aspect ratio"):
        shared.reconstruct(photo(), "9:1")


def test_bits_are_read_there_too():
    gpu, shared = make()
    here = tiny_pipeline()
    (picture,) = here.generate(GenerationRequest(prompt="a red apple", seed=1)).images
    tasks_of = {
        "words": lambda pipeline: tasks.edit(pipeline, picture, None, prompt="a red boat"),
        "extend": lambda pipeline: tasks.extend(pipeline, photo(64, 64), "3:2", prompt="snow"),
    }
    shared.transformer = shared.text_encoder = None  # on this side there is no GPU
    shared.tokenizer = SimpleNamespace(config=here.tokenizer.config)
    for task in tasks_of.values():
        assert task(shared) == task(here)
    found, expected = (
        list(look(pipeline, picture, model="tiny", cancel=threading.Event()))[-1]
        for pipeline in (shared, here)
    )
    assert [p.tobytes() for p in found.pictures] == [p.tobytes() for p in expected.pictures]
    assert found.inspection.words == expected.inspection.words
    for one, other in zip(found.inspection.scales, expected.inspection.scales, strict=True):
        assert np.array_equal(one.probability_lD, other.probability_lD)
    assert len(gpu.booked) == gpu.closed
    steps = tasks.inspect_bits(shared, REQUESTED, found.inspection.bits)
    next(steps)
    steps.close()
    assert len(gpu.booked) == gpu.closed, "whoever leaves gives the GPU back"


def test_bits_of_what_was_drawn_there_are_kept_here():
    gpu, shared = make()
    done = shared.generate(REQUESTED)
    (image,) = done.images
    booked = len(gpu.booked)
    assert booked == 1
    assert source_of(shared, image).bits == done.bits[0]
    assert len(gpu.booked) == booked


def test_time_is_booked_by_the_request():
    gpu, shared = make()
    for request in (REQUEST, GenerationRequest(prompt="x", num_images=64)):
        next(shared.stream(request))
    assert all(isinstance(seconds, int) and seconds > 0 for seconds in gpu.booked)
    assert gpu.booked[0] <= gpu.booked[1]


def test_error_there_is_the_same_sentence_here():
    class Failing:
        spec = SPEC

        def check(self, request: Any) -> None: ...

        def stream(self, request: Any, **_: Any) -> Any:
            yield from ()
            raise ResourceError("Out of memory while drawing; ask for fewer pictures.")

    _, shared = make(lambda *_, **__: Failing())
    with pytest.raises(ResourceError, match="ask for fewer pictures"):
        list(shared.stream(REQUEST))


def test_impossible_request_books_nothing():
    gpu, shared = make()
    with pytest.raises(RequestError, match="aspect ratio"):
        shared.stream(GenerationRequest(prompt="x", aspect_ratio="9:1"))
    assert gpu.booked == []


def test_stop_ends_within_one_scale_and_gives_the_gpu_back():
    gpu, shared = make()
    cancel = threading.Event()
    events = shared.stream(REQUEST, cancel=cancel)
    next(events)
    cancel.set()
    assert list(events) == [Cancelled(completed_scales=2)]
    assert gpu.closed == 1


def test_browser_that_leaves_gives_the_gpu_back():
    gpu, shared = make()
    events = shared.stream(REQUEST)
    next(events)
    events.close()
    assert gpu.closed == 1


def test_process_older_than_the_model_loads_it_itself():
    calls: list[Any] = []

    def load(name: str, device: str, dtype: str, progress: Any = None, **options: Any) -> Any:
        calls.append((name, device, dtype, options))
        return tiny_pipeline()

    loader = SharedGpuLoader(FakeGpu(), load)
    shared = loader("tiny", "cpu", "float32", None, memory="8GB")
    loader._pipelines.clear()
    loader.seconds = lambda *_: 1  # type: ignore[method-assign]
    events = list(loader._events(shared._call, REQUEST, "off", False))
    assert isinstance(events[-1], Done)
    assert calls == [("tiny", "cpu", "float32", {"memory": "8GB"})] * 2


def test_manager_loads_and_unloads_shared_models(tmp_path):
    import json

    (tmp_path / "config.json").write_text(json.dumps(SPEC.to_dict()))
    loader = SharedGpuLoader(FakeGpu(), lambda *_, **__: tiny_pipeline())
    manager = ModelManager(device="cpu", models={"tiny": tmp_path}, loader=loader)
    assert isinstance(manager.get("tiny"), SharedGpuPipeline)
    assert manager.loaded()[0].name == "tiny"
    assert manager.unload("tiny")
    assert len(loader._pipelines) == 0


def test_grid_books_the_gpu_for_each_of_its_pictures():
    gpu, pipeline = make()
    axes = Axis.parse("seed", "1-2"), Axis.parse("guidance", "1, 3")
    plan = GridPlan(model="tiny", request=REQUEST, x=axes[0], y=axes[1])
    events = draw_plan(plan, lambda name: pipeline, threading.Event())
    done = [cell for cell, event in events if isinstance(event, Done)]
    assert tuple(done) == plan.cells()
    assert gpu.booked == [gpu_seconds(SPEC, cell.request) for cell in plan.cells()]
    assert gpu.closed == 4
