"""A manager and a pipeline without a model: the page's tests need the events, not the pictures."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import gradio as gr
from PIL import Image

from infinity.config import TextEncoderConfig, TokenizerConfig, TransformerConfig
from infinity.errors import RequestError, StoppedError
from infinity.estimate import MemoryNeed
from infinity.events import Cancelled, Done, Event, Preview, Refined
from infinity.manager import Loaded, LoadPlan
from infinity.memory_modes import get_memory_mode
from infinity.metadata import PictureRecord, attach
from infinity.pipeline import InfinityPipeline
from infinity.request import GenerationRequest, PreviewPolicy, SamplingParams
from infinity.schedule import ScaleSchedule
from infinity.spec import ModelSpec
from infinity.ui.generate.tab import GenerateTab
from infinity.ui.grid.tab import GridTab
from infinity.ui.models.tab import ModelsTab
from infinity.ui.opening.wiring import build_back
from infinity.ui.shared.context import Context
from infinity.ui.shared.runs import Runs
from infinity.ui.shared.wiring import Components

SCALES = (1, 2, 3, 4, 6, 9, 12)


def make_spec(name: str, title: str, ratios: tuple[str, ...] = ("1:1", "2:1")) -> ModelSpec:
    shapes = {"1:1": (1.0, 1.0), "2:1": (0.5, 1.0), "1:2": (1.0, 0.5)}
    return ModelSpec(
        name=name,
        title=title,
        transformer=TransformerConfig(
            depth=1, width=64, num_heads=4, bits_per_token=24, text_width=128
        ),
        tokenizer=TokenizerConfig(bits=24, base_channels=32, channel_multipliers=(1, 2, 2, 2, 2)),
        text_encoder=TextEncoderConfig(width=128),
        schedules={
            ratio: ScaleSchedule(
                [
                    (max(1, round(s * shapes[ratio][0])), max(1, round(s * shapes[ratio][1])))
                    for s in SCALES
                ]
            )
            for ratio in ratios
        },
        sampling=SamplingParams(guidance=3.0, temperature=0.9),
    )


class Gate:
    """Scales wait here until a test lets them through; open at last, for all that still come."""

    def __init__(self) -> None:
        self._passes = threading.Semaphore(0)
        self._is_open = False

    def let(self, count: int) -> None:
        self._passes.release(count)

    def open(self) -> None:
        self._is_open = True
        self._passes.release(10_000)

    def wait(self) -> None:
        """Gives up after a minute, so that a failing test ends."""
        if not self._is_open and not self._passes.acquire(timeout=60):
            raise TimeoutError("no test let this scale through")


class FakePipeline:
    """Pictures of one colour a seed; ``gate`` (if given) is waited for before every scale."""

    def __init__(self, spec: ModelSpec, gate: Gate | None = None) -> None:
        self.spec = spec
        self.gate = gate
        self.requests: list[GenerationRequest] = []
        self.cancel: threading.Event | None = None  # of the newest run
        self.error: Exception | None = None
        self.notes: tuple[str, ...] = ()
        self.prepared = False
        self.picture: Callable[[int, tuple[int, int]], Image.Image] = plain_picture

    def stream(
        self,
        request: GenerationRequest,
        *,
        cancel: threading.Event | None = None,
        previews: PreviewPolicy = "live",
        refine: bool = False,
        only: int | None = None,
    ) -> Iterator[Event]:
        assert only is None, "no fake picture is of a pass"
        self.requests.append(request)
        self.cancel = cancel
        resolved = request.resolved(self.spec.sampling)
        schedule = self.spec.schedule(request.aspect_ratio)
        pixels = self.spec.tokenizer.token_pixels
        final: tuple[Image.Image, ...] = ()
        for index, scale in enumerate(schedule):
            if self.gate is not None:
                self.gate.wait()
            if cancel is not None and cancel.is_set():
                yield Cancelled(completed_scales=index)
                return
            if self.error is not None and index == 2:
                raise self.error
            size = (scale.width * pixels, scale.height * pixels)
            final = tuple(self.picture(seed, size) for seed in request.seeds)
            yield Preview(
                index=index,
                num_scales=len(schedule),
                height=scale.height,
                width=scale.width,
                bits=scale.tokens * self.spec.tokenizer.bits_per_token,
                seconds=0.01 * (index + 1),
                preview_seconds=0.001,
                images=None if previews == "off" else final,
                is_exact=index == len(schedule) - 1,
            )
        records = [
            PictureRecord(request=picture, model=self.spec.name) for picture in resolved.pictures()
        ]
        yield Done(
            images=tuple(
                attach(image, record) for image, record in zip(final, records, strict=True)
            ),
            request=resolved,
            seconds=0.28,
            text_seconds=0.01,
            model_seconds=0.2,
            decode_seconds=0.05,
            preview_seconds=0.02,
            notes=self.notes,
        )
        for index in reversed(range(len(schedule) - 1)) if refine else ():
            yield Refined(index=index, images=final)

    def warm_up(self) -> bool:
        return False

    def prepare_previews(self) -> None:
        self.prepared = True


class FakeManager:
    """Two models; loading the second one reports its progress, or fails with ``load_error``."""

    def __init__(self, gate: Gate | None = None) -> None:
        self.reset(gate)

    def reset(self, gate: Gate | None = None) -> None:
        """As new, with ``gate``; for a server that several tests share."""
        self.gate = gate
        self.pipelines = {
            spec.name: FakePipeline(spec, gate)
            for spec in (
                make_spec("default", "Infinity emoji"),
                make_spec("other", "Another model", ratios=("1:1", "1:2")),
            )
        }
        self.load_seconds = 0.0  # of a load that begins, and of one that goes on
        self.load_error: Exception | None = None
        self.in_memory: list[str] = []
        self.fingerprints: dict[str, str] = {}
        self.memory_modes: dict[str, str] = {}
        self.memory_budget: int | None = None
        self.free = 8 * 10**9
        self.obstacle = ""

    def names(self) -> tuple[str, ...]:
        return tuple(self.pipelines)

    def loaded(self) -> tuple[Loaded, ...]:
        return tuple(
            Loaded(name, 1_500_000_000, "cpu", "float32", "cpu", self.memory_mode_of(name))
            for name in self.in_memory
        )

    def memory_mode_of(self, name: str) -> str:
        return self.memory_modes.get(name, "none")

    def fingerprint(self, name: str) -> str:
        return self.fingerprints.get(name, "")

    def unload(self, name: str) -> bool:
        was = name in self.in_memory
        self.in_memory = [other for other in self.in_memory if other != name]
        return was

    def set_budget(self, nbytes: int | None) -> None:
        self.memory_budget = nbytes

    def plan(self, name: str, memory_mode: str | None = None) -> LoadPlan:
        self.spec(name)
        gb = 10**9
        return LoadPlan(
            name=name,
            memory_mode=memory_mode or self.memory_mode_of(name),
            mode=get_memory_mode(memory_mode or self.memory_mode_of(name)),
            device="cpu",
            dtype="float32",
            need=MemoryNeed(
                transformer=gb, tokenizer=gb, text_encoder=gb, cache=gb, working=gb,
                device=5 * gb, host=0,
            ),
            free=self.free,
            total=8 * gb,
            download=0,
            obstacle=self.obstacle,
        )  # fmt: skip

    def spec(self, name: str) -> ModelSpec:
        if name not in self.pipelines:
            raise RequestError(f"Unknown model {name!r}.")
        return self.pipelines[name].spec

    def get(
        self,
        name: str,
        progress: Callable[[str, float], None] | None = None,
        cancel: threading.Event | None = None,
        *,
        memory_mode: str | None = None,
    ) -> FakePipeline:
        if self.load_error is not None:
            raise self.load_error
        began = time.monotonic()
        while progress and (done := time.monotonic() - began) < (seconds := self.load_seconds):
            progress("Reading the transformer", done / seconds)
            if cancel is not None and cancel.is_set():
                raise StoppedError
            time.sleep(min(seconds / 10, 0.05))
        self.memory_modes[name] = memory_mode or self.memory_mode_of(name)
        self.in_memory = [*(other for other in self.in_memory if other != name), name]
        return self.pipelines[name]


class GatedManager:
    """One real pipeline, called "default", whose scales wait at a gate."""

    memory_budget: int | None = None

    def __init__(self, pipeline: InfinityPipeline, gate: Gate) -> None:
        self.pipeline = pipeline
        self.gate = gate

    def names(self) -> tuple[str, ...]:
        return ("default",)

    def spec(self, name: str) -> ModelSpec:
        return self.pipeline.spec

    def fingerprint(self, name: str) -> str:
        return self.pipeline.fingerprint

    def memory_mode_of(self, name: str) -> str:
        return "none"

    def get(self, name: str, *_: Any, **__: Any) -> Any:
        return GatedPipeline(self.pipeline, self.gate)


class GatedPipeline:
    """A real pipeline whose scales wait at a gate."""

    def __init__(self, pipeline: InfinityPipeline, gate: Gate) -> None:
        self.pipeline = pipeline
        self.gate = gate

    def __getattr__(self, name: str) -> Any:
        return getattr(self.pipeline, name)

    def stream(self, request: GenerationRequest, **options: Any) -> Iterator[Event]:
        for event in self.pipeline.stream(request, **options):
            self.gate.wait()
            yield event


def plain_picture(seed: int, size: tuple[int, int]) -> Image.Image:
    return Image.new("RGB", size, (seed % 256, seed // 256 % 256, 128))


class Written(set[str]):
    """The paths of a page's files, in the order in which they were written."""

    def __init__(self) -> None:
        super().__init__()
        self._order: list[str] = []

    def update(self, *others: Any) -> None:
        self._order += [path for paths in others for path in paths]
        super().update(self._order)

    def __iter__(self) -> Iterator[str]:
        return iter(self._order)

    def __getitem__(self, index: int) -> str:
        return self._order[index]


def make_context(manager: Any, *models: str) -> Context:
    """What a page over a manager works with; all its models by default."""
    specs = {name: manager.spec(name) for name in models or manager.names()}
    return Context(manager, Runs(), specs, Written())


def models_tab(context: Context, controls: Components) -> ModelsTab:
    """The Models tab on a page of its own; ``controls`` are of :func:`tabs_of`."""
    with gr.Blocks(), gr.Tab() as tab:
        return ModelsTab(context, tab, controls)


def tabs_of(context: Context) -> tuple[GenerateTab, GridTab]:
    """The tabs that draw, laid out on a page of their own."""
    with gr.Blocks():
        back = build_back()
        generate = GenerateTab(context, back)
        return generate, GridTab(context, generate.controls, back)
