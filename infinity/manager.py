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
from typing import Protocol

import torch

from infinity.devices import resolve_device, resolve_dtype
from infinity.model.transformer import InfinityTransformer
from infinity.pipeline import InfinityPipeline
from infinity.registry import get_spec, model_names
from infinity.spec import ModelSpec, read_spec
from infinity.tokenizer.tokenizer import Tokenizer

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
    ) -> InfinityPipeline: ...


@dataclass(frozen=True)
class LoadedSize:
    """A model in memory."""

    name: str
    nbytes: int


class ModelManager:
    """Loads models on demand and keeps the ones used last. Safe from several threads.

    Args:
        memory_budget: bytes that the weights of all kept models may take together; None is no
            limit. The model used last is always kept, whatever its size.
        device, dtype: for every model, as ``InfinityPipeline.from_pretrained`` takes them.
        models: further models by name -> folder.
        adapted: models with an adapter, by name -> (model, the adapter's folder).
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
        loader: Loader = InfinityPipeline.from_pretrained,
    ) -> None:
        self.memory_budget = memory_budget
        self.device = device
        self.dtype = dtype
        self._folders = {name: Path(folder) for name, folder in (models or {}).items()}
        self._adapted = dict(adapted or {})
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
            base, adapter = self._adapted.get(name, (name, None))
            source = str(self._folders.get(base, base))
            change = {} if adapter is None else {"adapter": adapter}
            pipeline = self._loader(source, self.device, self.dtype, progress, **change)
            with self._lock:
                self._kept[name] = pipeline
                self._evict(self.memory_budget)
            return pipeline

    def loaded(self) -> tuple[LoadedSize, ...]:
        """The models in memory, the one used longest ago first."""
        with self._lock:
            return tuple(LoadedSize(name, model.nbytes) for name, model in self._kept.items())

    @property
    def nbytes(self) -> int:
        """Bytes of all kept models' weights."""
        return sum(size.nbytes for size in self.loaded())

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

    def _make_room(self, name: str) -> None:
        """Evict before loading, going by the size the weights will have."""
        if self.memory_budget is None:
            return
        expected = parameter_count(self.spec(name)) * _item_bytes(self.device, self.dtype)
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


def parameter_count(spec: ModelSpec) -> int:
    """Parameters of a model's transformer and tokenizer, counted without making them."""
    with torch.device("meta"):
        parts = InfinityTransformer(spec.transformer), Tokenizer(spec.tokenizer)
    return sum(parameter.numel() for part in parts for parameter in part.parameters())


def _item_bytes(device: str | torch.device | None, dtype: str | torch.dtype | None) -> int:
    return resolve_dtype(dtype, resolve_device(device)).itemsize


def _free_cached_memory() -> None:
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
