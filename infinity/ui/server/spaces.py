"""A GPU that several Spaces share: drawing goes through ``spaces.GPU`` where that package is.

There the drawing runs in a process forked for it, for a time that is booked beforehand. So only
plain things cross over: a model's name and the request one way, events with pictures the other; an
error crosses as a value, for the package would hide what it says. Elsewhere nothing here does anything.
"""

import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from importlib import import_module
from typing import Any, cast
from weakref import WeakValueDictionary

from infinity.errors import InfinityError
from infinity.estimate import gpu_seconds
from infinity.events import Cancelled, Done, Event, Preview
from infinity.pipeline import InfinityPipeline
from infinity.request import GenerationRequest, PreviewPolicy
from infinity.tokenizer.reconstruction import ReconstructedScale, Reconstruction

Gpu = Callable[..., Callable[[Callable[..., Any]], Callable[..., Any]]]


def shared_gpu() -> Gpu | None:
    """``spaces.GPU``; None where the package is not installed.

    Call it before anything asks for CUDA: importing the package prepares torch for it.
    """
    try:
        return cast(Gpu, import_module("spaces").GPU)
    except ModuleNotFoundError as error:
        if error.name != "spaces":
            raise
        return None


@dataclass(frozen=True)
class Call:
    """How a model was loaded: plain things, so that another process can load it the same way."""

    source: str
    device: Any
    dtype: Any
    options: tuple[tuple[str, Any], ...]


class SharedGpuLoader:
    """Loads models as ``InfinityPipeline.from_pretrained`` does; they draw on the shared GPU.

    Args:
        gpu: ``spaces.GPU`` or a stand-in.
        load: how a model is loaded; for tests.
    """

    def __init__(self, gpu: Gpu, load: Callable[..., Any] = InfinityPipeline.from_pretrained):
        self._load = load
        self._pipelines: WeakValueDictionary[Call, Any] = WeakValueDictionary()
        self._reloaded: dict[Call, Any] = {}
        self._draw = gpu(duration=self.seconds)(self._events)
        self._rebuild = gpu(duration=self.rebuilding_seconds)(self._results)

    def __call__(
        self,
        name_or_path: str,
        device: Any,
        dtype: Any,
        progress: Any,
        make_room: Callable[[], None] | None = None,
        **options: Any,
    ) -> Any:
        call = Call(name_or_path, device, dtype, tuple(sorted(options.items())))
        if make_room is not None:
            options["make_room"] = make_room
        self._pipelines[call] = pipeline = self._load(
            name_or_path, device, dtype, progress, **options
        )
        return SharedGpuPipeline(pipeline, call, self._draw, self._rebuild)

    def seconds(
        self,
        call: Call,
        request: GenerationRequest,
        previews: PreviewPolicy,
        refine: bool,
        only: int | None = None,
    ) -> int:
        """What to book for a request."""
        return gpu_seconds(self._pipelines[call].spec, request)

    def rebuilding_seconds(self, call: Call, name: str, arguments: tuple[Any, ...]) -> int:
        """What to book for what draws nothing: more than a drawing and a decoding for each scale."""
        spec = self._pipelines[call].spec
        scales = len(spec.schedule(spec.aspect_ratios[0]))
        return gpu_seconds(spec, GenerationRequest(prompt="a picture", num_images=scales))

    def _events(
        self,
        call: Call,
        request: GenerationRequest,
        previews: PreviewPolicy,
        refine: bool,
        only: int | None = None,
    ) -> Iterator[Event | InfinityError]:
        """Runs in the forked process, as :meth:`_results` does."""
        options = {"previews": previews, "refine": refine, "only": only}
        yield from self._results(call, "stream", (request,), **options)

    def _results(
        self, call: Call, name: str, arguments: tuple[Any, ...], **options: Any
    ) -> Iterator[Any]:
        """What a method returns, or all that it yields."""
        try:
            found = getattr(self._pipeline(call), name)(*arguments, **options)
            yield from found if isinstance(found, Iterator) else (found,)
        except InfinityError as error:
            yield error

    def _pipeline(self, call: Call) -> Any:
        """In the forked process, which may be older than the model: it then loads it itself."""
        pipeline = self._pipelines.get(call) or self._reloaded.get(call)
        if pipeline is None:
            pipeline = self._load(call.source, call.device, call.dtype, **dict(call.options))
            self._reloaded[call] = pipeline
        return pipeline


class SharedGpuPipeline:
    """A pipeline that draws and rebuilds pictures elsewhere; everything else is the pipeline's own."""

    def __init__(
        self, pipeline: Any, call: Call, draw: Callable[..., Any], rebuild: Callable[..., Any]
    ) -> None:
        self._pipeline = pipeline
        self._call = call
        self._draw = draw
        self._rebuild = rebuild

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pipeline, name)

    def warm_up(self) -> bool:
        """Nothing: a process that draws has the card for one request alone."""
        return False

    def prepare_previews(self) -> None:
        """Nothing: there is no GPU to prepare them on until somebody draws."""

    def stream(
        self,
        request: GenerationRequest,
        *,
        cancel: threading.Event | None = None,
        previews: PreviewPolicy = "live",
        refine: bool = False,
        only: int | None = None,
    ) -> Iterator[Event]:
        """As ``InfinityPipeline.stream``; a stop is heeded after the scale that is being drawn."""
        self._pipeline.check(request)
        drawn = self._draw(self._call, request, previews, refine, only)
        return self._remembered(_until(cancel, drawn))

    def _remembered(self, events: Iterator[Event]) -> Iterator[Event]:
        """The process that drew is gone with what it remembers."""
        for event in events:
            if isinstance(event, Done):
                self._pipeline.recent.put(event)
            yield event

    def generate(self, request: GenerationRequest, only: int | None = None) -> Done:
        events = self.stream(request, previews="off", only=only)
        return next(event for event in events if isinstance(event, Done))

    def reconstruct(self, *arguments: Any) -> Reconstruction:
        """As ``InfinityPipeline.reconstruct``; so all below."""
        (rebuilt,) = self._rebuilt("reconstruct", arguments)
        return rebuilt

    def decode(self, *arguments: Any) -> Reconstruction:
        (rebuilt,) = self._rebuilt("decode", arguments)
        return rebuilt

    def measure(self, rebuilt: Reconstruction) -> Iterator[ReconstructedScale]:
        return self._rebuilt("measure", (rebuilt,))

    def run(self, work: Callable[..., Iterator[Any]], *arguments: Any) -> Generator[Any]:
        yield from self._rebuilt("run", (work, *arguments))

    def _rebuilt(self, name: str, arguments: tuple[Any, ...]) -> Iterator[Any]:
        return _until(None, self._rebuild(self._call, name, arguments))


def _until(cancel: threading.Event | None, drawn: Any) -> Iterator[Event]:
    with closing(drawn):
        for event in drawn:
            if isinstance(event, InfinityError):
                raise event
            if isinstance(event, Preview) and cancel is not None and cancel.is_set():
                yield Cancelled(completed_scales=event.index + 1)
                return
            yield event
