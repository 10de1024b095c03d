"""Models by name, loaded once and kept while memory allows.

One manager serves a whole page or process. Loading is exclusive a model: two requests for the same
model load it once. Evicting a model only lets go of it: whoever still draws with it finishes.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import torch

from infinity.checkpoints.plan import plan_download, text_parameters
from infinity.devices import dtype_name, memory_of, resolve_device, resolve_dtype
from infinity.errors import InfinityError
from infinity.estimate import MemoryNeed, memory_need, weight_bytes
from infinity.pipeline import InfinityPipeline
from infinity.registry import MODEL_SPECS, get_spec, model_names
from infinity.saving import get_saving
from infinity.spec import ModelSpec, read_spec
from infinity.tokenizer.strips import STRIP_ELEMENTS

logger = logging.getLogger(__name__)

Progress = Callable[[str, float], None]
"""Called with what is being done, and the part done from 0 to 1."""


class Loader(Protocol):
    """What loads a model: ``InfinityPipeline.from_pretrained``, or a stand-in."""

    def __call__(
        self,
        name_or_path: str,
        device: str | torch.device | None,
        dtype: str | torch.dtype | None,
        progress: Progress | None,
        *,
        adapter: str | Path | None = None,
        text_device: str | torch.device | None = None,
        release_text_encoder: bool = False,
    ) -> InfinityPipeline: ...


@dataclass(frozen=True)
class Loaded:
    """A model in memory; ``text_place`` is where its text encoder is, "" while it is not loaded."""

    name: str
    nbytes: int
    device: str
    dtype: str
    text_place: str
    saving: str


@dataclass(frozen=True, kw_only=True)
class LoadPlan:
    """What loading a model would take, and what stands against it.

    Attributes:
        saving: name of the memory setting it is for.
        free, total: bytes of the device's memory, what keeping other models takes counted as free;
            None where the system does not tell.
        download: bytes to fetch first.
        obstacle: why it cannot be loaded now, in one sentence; empty if it can.
    """

    name: str
    saving: str
    device: str
    dtype: str
    need: MemoryNeed
    free: int | None
    total: int | None
    download: int
    obstacle: str

    @property
    def fits(self) -> bool:
        """Whether the memory is enough, as far as one can tell."""
        return self.free is None or self.need.device <= self.free


class ModelManager:
    """Loads models on demand and keeps the ones used last. Safe from several threads.

    Args:
        memory_budget: bytes that the weights of all kept models may take together; None is no
            limit. The model used last is always kept, whatever its size.
        device, dtype: for every model, as ``InfinityPipeline.from_pretrained`` takes them.
        models: further models by name -> folder.
        adapted: models with an adapter, by name -> (model, the adapter's folder).
        saving: the memory setting of models nobody chose one for (see ``infinity.saving``).
        loader: how a model is loaded; for tests.
    """

    def __init__(
        self,
        memory_budget: int | None = None,
        device: str | torch.device | None = None,
        dtype: str | torch.dtype | None = None,
        *,
        models: dict[str, str | Path] | None = None,
        adapted: dict[str, tuple[str, str | Path]] | None = None,
        saving: str = "none",
        loader: Loader = InfinityPipeline.from_pretrained,
    ) -> None:
        self.memory_budget = memory_budget
        self.device = device
        self.dtype = dtype
        self._folders = {name: Path(folder) for name, folder in (models or {}).items()}
        self._adapted = dict(adapted or {})
        get_saving(saving)
        self._saving = saving
        self._savings: dict[str, str] = {}
        self._loader = loader
        self._kept: OrderedDict[str, InfinityPipeline] = OrderedDict()  # used last, last
        self._lock = threading.Lock()  # guards the two dicts; held for moments only
        self._loading: dict[str, threading.Lock] = {}

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
        with self._lock:
            kept = self._kept.get(name)
        if kept is not None:
            return kept.spec
        if name in self._adapted:
            return replace(self.spec(self._adapted[name][0]), name=name)
        if name in self._folders:
            return read_spec(self._folders[name])
        return get_spec(name)

    def get(self, name: str, progress: Progress | None = None) -> InfinityPipeline:
        """A model, from memory or loaded now; several threads may ask at once.

        Args:
            progress: called while the model is loaded by this very call.

        Raises:
            RequestError: unknown name.
            CheckpointError, ResourceError: it cannot be loaded; a later call tries again.
        """
        if name not in self.names():
            self.spec(name)  # raises, naming the nearest
        with self._lock:
            loading = self._loading.setdefault(name, threading.Lock())
        with loading:
            with self._lock:
                if name in self._kept:
                    self._kept.move_to_end(name)
                    return self._kept[name]
            self._make_room(name)
            pipeline = self._load(name, progress)
            with self._lock:
                self._kept[name] = pipeline
                self._evict(self.memory_budget)
            return pipeline

    def load(
        self, name: str, saving: str | None = None, progress: Progress | None = None
    ) -> InfinityPipeline:
        """As :meth:`get`, with a memory setting, which the model keeps; loads anew if it has another.

        Raises:
            RequestError: unknown name or memory setting. Otherwise as :meth:`get`.
        """
        if saving is not None:
            self.choose_saving(name, saving)
        return self.get(name, progress)

    def choose_saving(self, name: str, saving: str) -> None:
        """The memory setting a model loads with from now on; one loaded with another is let go.

        Raises:
            RequestError: unknown memory setting.
        """
        if get_saving(saving) is not get_saving(self.saving_of(name)):
            self.unload(name)
            self._savings[name] = saving

    def saving_of(self, name: str) -> str:
        """The name of a model's memory setting."""
        return self._savings.get(name, self._saving)

    def plan(self, name: str, saving: str | None = None) -> LoadPlan:
        """What loading a model would take, without loading it; may ask the hub for file sizes.

        Raises:
            RequestError: unknown name or memory setting.
            CheckpointError: its folder is missing or damaged.
        """
        saving = saving or self.saving_of(name)
        spec, chosen = self.spec(name), get_saving(saving)
        base = self._adapted[name][0] if name in self._adapted else name
        folder = self._folders.get(base)
        device = resolve_device(self.device)
        dtype = resolve_dtype(chosen.dtype or self.dtype, device)
        download, obstacle = 0, ""
        if spec.name in MODEL_SPECS and spec.hub is None:
            obstacle = f"{name} is a configuration whose weights were never released."
        else:
            try:
                planned = plan_download(spec, folder)
                download = planned.nbytes
                planned.require()
            except InfinityError as error:
                obstacle = str(error)
        memory = memory_of(device)
        return LoadPlan(
            name=name,
            saving=saving,
            device=str(device),
            dtype=dtype_name(dtype),
            need=memory_need(spec, chosen, device, dtype, text_parameters(spec, folder)),
            free=None if memory is None else min(memory[0] + self.nbytes, memory[1]),
            total=None if memory is None else memory[1],
            download=download,
            obstacle=obstacle,
        )

    def loaded(self) -> tuple[Loaded, ...]:
        """The models in memory, the one used longest ago first."""
        with self._lock:
            kept = dict(self._kept)
        return tuple(
            Loaded(
                name=name,
                nbytes=model.nbytes,
                device=str(model.device),
                dtype=dtype_name(model.dtype),
                text_place=str(model.text_encoder.device) if model.text_encoder.is_loaded else "",
                saving=self.saving_of(name),
            )
            for name, model in kept.items()
        )

    @property
    def nbytes(self) -> int:
        """Bytes of all kept models' weights."""
        with self._lock:
            return sum(model.nbytes for model in self._kept.values())

    def set_budget(self, nbytes: int | None) -> None:
        """Another memory budget, kept to at once: models used longest ago are let go."""
        with self._lock:
            self.memory_budget = nbytes
            self._evict(nbytes)
        _free_cached_memory()

    def unload(self, name: str) -> bool:
        """Let go of a model; False if it was not loaded."""
        with self._lock:
            found = self._kept.pop(name, None) is not None
        _free_cached_memory()
        return found

    def unload_all(self) -> None:
        with self._lock:
            self._kept.clear()
        _free_cached_memory()

    def _load(self, name: str, progress: Progress | None) -> InfinityPipeline:
        saving = get_saving(self.saving_of(name))
        base, adapter = self._adapted.get(name, (name, None))
        source = str(self._folders.get(base, base))
        change: dict[str, Any] = {} if adapter is None else {"adapter": adapter}
        if saving.text_on_cpu:
            change["text_device"] = "cpu"
        if saving.release_text:
            change["release_text_encoder"] = True
        pipeline = self._loader(source, self.device, saving.dtype or self.dtype, progress, **change)
        if saving.strips:
            pipeline.tokenizer.strip_elements = STRIP_ELEMENTS
        return pipeline

    def _make_room(self, name: str) -> None:
        """Evict before loading, going by the size the weights will have."""
        if self.memory_budget is None:
            return
        spec = self.spec(name)
        dtype = get_saving(self.saving_of(name)).dtype or self.dtype
        precision = resolve_dtype(dtype, resolve_device(self.device))
        expected = sum(weight_bytes(spec.transformer, spec.tokenizer, precision))
        with self._lock:
            evicted = bool(self._kept)
            self._evict(self.memory_budget - expected, keep=0)
        if evicted:
            _free_cached_memory()

    def _evict(self, budget: int | None, keep: int = 1) -> None:
        """Drop the models used longest ago until the rest fit. The lock is held."""
        while (
            budget is not None
            and len(self._kept) > keep
            and sum(model.nbytes for model in self._kept.values()) > budget
        ):
            name, _ = self._kept.popitem(last=False)
            logger.info("unloaded %s to make room", name)


def _free_cached_memory() -> None:
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
