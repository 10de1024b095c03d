"""Models by name, loaded once and kept while memory allows.

One manager serves a whole page or process. Two requests for the same model load it once, in a thread
that ends when neither needs it any more. A model is evicted only once its successor's files are
there and fit; where the memory has room for both, only once the successor is loaded. Evicting a model
only drops the reference: running requests finish.
"""

import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from infinity.checkpoints.download import bytes_to_download
from infinity.checkpoints.fit import text_parameters
from infinity.checkpoints.load import fingerprint_of
from infinity.checkpoints.transfer import require_space
from infinity.devices import dtype_name, memory_of, resolve_device, resolve_dtype
from infinity.errors import InfinityError, ResourceError
from infinity.estimate import LoadPlan, MemoryNeed, memory_need
from infinity.kept_models import Evicted, KeptModels, free_cached_memory
from infinity.memory_modes import get_memory_mode
from infinity.pipeline import InfinityPipeline
from infinity.registry import MODEL_SPECS, get_spec, model_names
from infinity.shared_work import Progress, SharedWork, forget_frames, held
from infinity.spec import ModelSpec, read_spec
from infinity.tokenizer.strips import STRIP_ELEMENTS


@dataclass(frozen=True)
class Loaded:
    """A model in memory; ``text_place`` is where its text encoder is, "" while it is not loaded."""

    name: str
    nbytes: int
    device: str
    dtype: str
    text_place: str
    memory_mode: str


class ModelManager:
    """Loads models on demand and keeps the ones used last. Safe from several threads.

    Args:
        memory_budget: bytes that the weights of all kept models may take together; None is no
            limit. The model used last is always kept, whatever its size. While a model loads, the
            others stay besides, if the device has room.
        device, dtype: for every model, as ``InfinityPipeline.from_pretrained`` takes them.
        models: further models by name -> folder.
        adapted: models with an adapter, by name -> (model, the adapter's folder).
        memory_mode: the memory mode of models without one (see ``infinity.memory_modes``).
        loader: takes what ``InfinityPipeline.from_pretrained`` takes; for tests.
    """

    def __init__(
        self,
        memory_budget: int | None = None,
        device: str | torch.device | None = None,
        dtype: str | torch.dtype | None = None,
        *,
        models: dict[str, str | Path] | None = None,
        adapted: dict[str, tuple[str, str | Path]] | None = None,
        memory_mode: str = "none",
        loader: Callable[..., InfinityPipeline] = InfinityPipeline.from_pretrained,
    ) -> None:
        self.device = device
        self.dtype = dtype
        self._folders = {name: Path(folder) for name, folder in (models or {}).items()}
        self._adapted = dict(adapted or {})
        get_memory_mode(memory_mode)
        self._memory_mode = memory_mode
        self._memory_modes: dict[str, str] = {}
        self._loader = loader
        self._kept = KeptModels(memory_budget, device)
        self._lock = threading.Lock()  # guards the two dicts; held for moments only
        self._loading: dict[tuple[str, str], SharedWork[InfinityPipeline]] = {}
        self._two_loads = threading.BoundedSemaphore(2)  # one may download while another is read
        self._filling = threading.Lock()  # one at a time takes memory

    def names(self) -> tuple[str, ...]:
        """Every model that can be asked for, the shipped default first."""
        known = model_names()
        return (*known, *(name for name in (*self._folders, *self._adapted) if name not in known))

    def spec(self, name: str) -> ModelSpec:
        """What a model is, without loading it.

        Raises:
            RequestError: unknown name.
            CheckpointError: its folder is missing or damaged.
        """
        kept = self._kept.get(name)
        if kept is not None:
            return kept.spec
        if name in self._adapted:
            return replace(self.spec(self._adapted[name][0]), name=name)
        if name in self._folders:
            return read_spec(self._folders[name])
        return get_spec(name)

    def fingerprint(self, name: str) -> str:
        """Of a model's weights, without loading it; "" where only loading tells, where they are
        missing, and for unknown names."""
        if name not in self.names():
            return ""
        if (kept := self._kept.get(name)) is not None:
            return kept.fingerprint
        base, adapter = self._adapted.get(name, (name, None))
        return fingerprint_of(self._folders.get(base, base), adapter)

    def get(
        self,
        name: str,
        progress: Progress | None = None,
        cancel: threading.Event | None = None,
        *,
        memory_mode: str | None = None,
    ) -> InfinityPipeline:
        """A model, from memory or loaded now; several threads may ask at once.

        Args:
            progress: called while the model is loaded, in this thread.
            cancel: set it to end the load, unless another caller waits for the same; what was
                downloaded is kept, and a later load goes on from there.
            memory_mode: a memory mode, which the model keeps; it is loaded anew if it has another.

        Raises:
            RequestError: unknown name or memory mode.
            StoppedError: cancelled.
            CheckpointError, ResourceError: it cannot be loaded; what was in memory still is, and a
                later call tries again.
        """
        get_memory_mode(memory_mode or self._memory_mode)
        if name not in self.names():
            self.spec(name)  # raises, naming the nearest
        with self._lock:
            memory_mode = memory_mode or self.memory_mode_of(name)
            if (
                memory_mode == self.memory_mode_of(name)
                and (kept := self._kept.use(name)) is not None
            ):
                return kept
            work = self._loading.get((name, memory_mode))
            if work is None or not work.join():
                load = partial(self._load_and_keep, name, memory_mode)
                work = self._loading[name, memory_mode] = SharedWork(f"load-{name}", load)
                work.join()
        try:
            return work.result(progress, cancel)
        finally:
            with self._lock:
                if work.is_over and self._loading.get((name, memory_mode)) is work:
                    del self._loading[name, memory_mode]

    def memory_mode_of(self, name: str) -> str:
        """The name of a model's memory mode."""
        return self._memory_modes.get(name, self._memory_mode)

    def plan(self, name: str, memory_mode: str | None = None) -> LoadPlan:
        """What loading a model would take, without loading it; may ask the hub for file sizes.

        Raises:
            RequestError: unknown name or memory mode.
            CheckpointError: its folder is missing or damaged.
        """
        memory_mode = memory_mode or self.memory_mode_of(name)
        spec, (device, dtype, need) = self.spec(name), self._need(name, memory_mode)
        download, obstacle = 0, ""
        if spec.name in MODEL_SPECS and spec.hub is None:
            obstacle = f"{name} is a configuration whose weights were never released."
        else:
            try:
                download = bytes_to_download(spec, self._folder(name))
                require_space(download)
            except InfinityError as error:
                obstacle = str(error)
        free, total = self._memory(device)
        return LoadPlan(
            name=name,
            memory_mode=memory_mode,
            device=str(device),
            dtype=dtype_name(dtype),
            need=need,
            free=free,
            total=total,
            download=download,
            obstacle=obstacle,
        )

    def loaded(self) -> tuple[Loaded, ...]:
        """The models in memory, the one used longest ago first."""
        return tuple(
            Loaded(
                name=name,
                nbytes=model.nbytes,
                device=str(model.device),
                dtype=dtype_name(model.dtype),
                text_place=str(model.text_encoder.device) if model.text_encoder.is_loaded else "",
                memory_mode=self.memory_mode_of(name),
            )
            for name, model in self._kept.items()
        )

    @property
    def nbytes(self) -> int:
        """Bytes of all kept models' weights."""
        return self._kept.nbytes

    @property
    def memory_budget(self) -> int | None:
        return self._kept.budget

    def set_budget(self, nbytes: int | None) -> None:
        """Set the memory budget and evict the least recently used models beyond it."""
        self._kept.set_budget(nbytes)

    def unload(self, name: str) -> bool:
        """Unload a model; False if it was not loaded."""
        return self._kept.drop(name)

    def _load_and_keep(self, name: str, memory_mode: str, progress: Progress) -> InfinityPipeline:
        need = self._require_memory(name, memory_mode)
        evicted: list[Evicted] = []
        with ExitStack() as stack:
            stack.enter_context(held(self._two_loads, progress))

            def make_room() -> None:
                """The files are there and fit each other: from here on memory is taken."""
                stack.enter_context(held(self._filling, progress))
                self._kept.make_room(need, evicted, progress)

            try:
                pipeline = self._load(name, memory_mode, progress, make_room)
                progress("Loaded", 1.0)
            except BaseException as error:
                self._kept.restore(evicted)
                forget_frames(error)
                free_cached_memory()
                raise
            with self._lock:
                self._kept.keep(name, pipeline, need)
                self._memory_modes[name] = memory_mode
            return pipeline

    def _load(
        self, name: str, mode_name: str, progress: Progress, make_room: Callable[[], None]
    ) -> InfinityPipeline:
        memory_mode = get_memory_mode(mode_name)
        base, adapter = self._adapted.get(name, (name, None))
        source = str(self._folders.get(base, base))
        options = {
            "make_room": make_room,
            "adapter": adapter,
            "text_device": "cpu" if memory_mode.text_on_cpu else None,
            "release_text_encoder": memory_mode.release_text,
        }
        given: dict[str, Any] = {name: value for name, value in options.items() if value}
        pipeline = self._loader(
            source, self.device, memory_mode.dtype or self.dtype, progress, **given
        )
        if memory_mode.strips:
            pipeline.tokenizer.strip_elements = STRIP_ELEMENTS
        return pipeline

    def _require_memory(self, name: str, memory_mode: str) -> MemoryNeed:
        """What a model needs.

        Raises:
            CheckpointError: its folder is missing or damaged.
            ResourceError: it does not fit the device, even without the other models.
        """
        device, _, need = self._need(name, memory_mode)
        free, _ = self._memory(device)
        if free is not None and need.device > free:
            raise ResourceError(
                f"{name} takes {need.device / 1e9:.1f} GB of memory while it draws and {device} has "
                f"{free / 1e9:.1f} GB for it; choose a smaller memory mode or another model, or "
                "close other programs."
            )
        return need

    def _memory(self, device: torch.device) -> tuple[int | None, int | None]:
        """(free, all) bytes of a device, what keeping models takes counted as free; None: unknown."""
        memory = memory_of(device)
        return (
            (None, None) if memory is None else (min(memory[0] + self.nbytes, memory[1]), memory[1])
        )

    def _need(self, name: str, memory_mode: str) -> tuple[torch.device, torch.dtype, MemoryNeed]:
        spec, chosen = self.spec(name), get_memory_mode(memory_mode)
        device = resolve_device(self.device)
        dtype = resolve_dtype(chosen.dtype or self.dtype, device)
        parameters = text_parameters(spec, self._folder(name))
        return device, dtype, memory_need(spec, chosen, device, dtype, parameters)

    def _folder(self, name: str) -> Path | None:
        return self._folders.get(self._adapted.get(name, (name, ""))[0])
