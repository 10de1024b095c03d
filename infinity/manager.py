"""Models by name, loaded once and kept while memory allows.

One manager serves a whole page or process. Two requests for the same model load it once, in a thread
that ends when neither needs it any more. A model is evicted only once its successor's files are
there and fit; where the memory has room for both, only once the successor is loaded. Evicting a model
only drops the reference: running requests finish.
"""

import threading
import weakref
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch

from infinity.checkpoints.download import bytes_to_download
from infinity.checkpoints.fit import text_parameters
from infinity.checkpoints.load import fingerprint_of
from infinity.checkpoints.transfer import require_space
from infinity.devices import dtype_name, memory_of, resolve_device, resolve_dtype
from infinity.errors import InfinityError, ResourceError
from infinity.estimate import LoadPlan, chosen_memory_mode, memory_need
from infinity.generation.graphs import chosen_mode
from infinity.kept_models import Evicted, KeptModels, free_cached_memory
from infinity.memory_modes import MemoryMode, get_memory_mode
from infinity.pipeline import InfinityPipeline
from infinity.registry import MODEL_SPECS, get_spec, model_names
from infinity.shared_work import Progress, SharedWork, forget_frames, held
from infinity.spec import ModelSpec, read_spec


@dataclass(frozen=True)
class Loaded:
    """A model in memory; ``text_place`` is where its text encoder is, "" while it is not loaded."""

    name: str
    nbytes: int
    device: str
    dtype: str
    text_place: str
    memory_mode: str


class ModelManager(KeptModels):
    """Loads models on demand and keeps the ones used last. Safe from several threads.

    Args:
        memory_budget: see ``KeptModels``. While a model loads, the others stay besides, if the
            device has room.
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
        super().__init__(memory_budget, device)
        self.dtype = dtype
        self._folders = {name: Path(folder) for name, folder in (models or {}).items()}
        self._adapted = dict(adapted or {})
        get_memory_mode(memory_mode)
        self._memory_mode = memory_mode
        self._memory_modes: dict[str, str] = {}
        self._loader = loader
        self._loading: weakref.WeakValueDictionary[
            tuple[str, str], SharedWork[InfinityPipeline]
        ] = weakref.WeakValueDictionary()
        self._filling = threading.Lock()  # one at a time takes memory, others may download

    def names(self) -> tuple[str, ...]:
        """Every model that can be asked for, the shipped default first."""
        return tuple(dict.fromkeys((*model_names(), *self._folders, *self._adapted)))

    def spec(self, name: str) -> ModelSpec:
        """What a model is, without loading it.

        Raises:
            RequestError: unknown name.
            CheckpointError: its folder is missing or damaged.
        """
        if (kept := self._models.get(name)) is not None:
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
        kept = self._models.get(name)
        return fingerprint_of(*self._source(name)) if kept is None else kept.fingerprint

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
            if name in self._models and memory_mode == self.memory_mode_of(name):
                self._models.move_to_end(name)
                return self._models[name]
            work = self._loading.get((name, memory_mode))
            if work is None or not work.join():
                load = partial(self._load_and_keep, name, memory_mode)
                work = self._loading[name, memory_mode] = SharedWork(f"load-{name}", load)
                work.join()
        return work.result(progress, cancel)

    def memory_mode_of(self, name: str) -> str:
        """The name of a model's memory mode."""
        return self._memory_modes.get(name, self._memory_mode)

    def plan(self, name: str, memory_mode: str | None = None) -> LoadPlan:
        """What loading a model would take, without loading it; may ask the hub for file sizes.

        Raises:
            RequestError: unknown name or memory mode.
            CheckpointError: its folder is missing or damaged.
        """
        plan = self._plan(name, memory_mode or self.memory_mode_of(name))
        spec = self.spec(name)
        if spec.name in MODEL_SPECS and spec.hub is None:
            obstacle = f"{name} is a configuration whose weights were never released."
            return replace(plan, obstacle=obstacle)
        try:
            missing = bytes_to_download(spec, self._folder(name))
            plan = replace(plan, download=missing)
            require_space(missing)
        except InfinityError as error:
            return replace(plan, obstacle=str(error))
        return plan

    def loaded(self) -> tuple[Loaded, ...]:
        """The models in memory, the one used longest ago first."""
        with self._lock:
            models = tuple(self._models.items())
        return tuple(
            Loaded(
                name=name,
                nbytes=model.nbytes,
                device=str(model.device),
                dtype=dtype_name(model.dtype),
                text_place=str(model.text_encoder.device) if model.text_encoder.is_loaded else "",
                memory_mode=self.memory_mode_of(name),
            )
            for name, model in models
        )

    def _load_and_keep(self, name: str, memory_mode: str, progress: Progress) -> InfinityPipeline:
        plan = self._require_memory(name, memory_mode)
        need = plan.need
        evicted: Evicted = weakref.WeakValueDictionary()
        with ExitStack() as stack:

            def make_room() -> None:
                """The files are there and fit each other: from here on memory is taken."""
                stack.enter_context(held(self._filling, progress))
                self._make_room(need, evicted, progress)

            try:
                pipeline = self._load(name, plan.mode, progress, make_room)
                progress("Loaded", 1.0)
            except BaseException as error:
                self._restore(evicted)
                forget_frames(error)
                free_cached_memory()
                raise
            with self._lock:
                self._keep(name, pipeline, need)
                self._memory_modes[name] = memory_mode
            return pipeline

    def _load(
        self, name: str, mode: MemoryMode, progress: Progress, make_room: Callable[[], None]
    ) -> InfinityPipeline:
        source, adapter = self._source(name)
        return self._loader(
            str(source),
            self.device,
            self.dtype,
            progress,
            memory=mode,
            adapter=adapter,
            make_room=make_room,
        )

    def _require_memory(self, name: str, memory_mode: str) -> LoadPlan:
        """What loading a model takes.

        Raises:
            CheckpointError: its folder is missing or damaged.
            ResourceError: it does not fit the device, even without the other models.
        """
        plan = self._plan(name, memory_mode)
        if plan.free is not None and not plan.fits:
            raise ResourceError(
                f"{name} takes {plan.need.device / 1e9:.1f} GB of memory while it draws and "
                f"{plan.device} has {plan.free / 1e9:.1f} GB for it; choose a smaller memory mode "
                "or another model, or close other programs."
            )
        return plan

    def _plan(self, name: str, memory_mode: str) -> LoadPlan:
        """As :meth:`plan`, of memory alone."""
        spec, device = self.spec(name), resolve_device(self.device)
        parameters = text_parameters(spec, self._folder(name))
        dtype = resolve_dtype(self.dtype, device)
        mode = chosen_memory_mode(memory_mode, spec, device, dtype, parameters)
        dtype = resolve_dtype(mode.dtype or dtype, device)
        memory = memory_of(device)
        return LoadPlan(
            name=name,
            memory_mode=memory_mode,
            mode=mode,
            device=str(device),
            dtype=dtype_name(dtype),
            need=memory_need(spec, mode, device, dtype, parameters, graphs=chosen_mode() != "off"),
            free=memory and min(memory[0] + self.nbytes, memory[1]),
            total=memory and memory[1],
        )

    def _source(self, name: str) -> tuple[str | Path, str | Path | None]:
        """(name or folder of a model to load, its adapter's folder if it has one)."""
        base, adapter = self._adapted.get(name, (name, None))
        return self._folders.get(base, base), adapter

    def _folder(self, name: str) -> Path | None:
        return self._folders.get(self._adapted.get(name, (name, ""))[0])
