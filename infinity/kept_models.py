"""The models in memory: the least recently used are evicted when others need the memory."""

import gc
import logging
import math
import threading
import time
import weakref
from collections import OrderedDict
from dataclasses import dataclass

import torch

from infinity.devices import memory_of, resolve_device
from infinity.estimate import MemoryNeed
from infinity.pipeline import InfinityPipeline
from infinity.shared_work import POLL_SECONDS, Progress

logger = logging.getLogger(__name__)

IN_USE_SECONDS = 300.0
"""How long a load waits for the memory of an evicted model that is still in use."""


@dataclass(frozen=True)
class Evicted:
    """An evicted model; ``model`` returns it while it is still in use."""

    name: str
    model: weakref.ref[InfinityPipeline]


class KeptModels:
    """Models by name, the one used last at the end. Safe from several threads.

    Args:
        budget: bytes that all of them may take together; None is no limit. The one kept last stays,
            whatever its size.
        device: where they are.
    """

    def __init__(self, budget: int | None, device: str | torch.device | None) -> None:
        self.budget = budget
        self._device = device
        self._models: OrderedDict[str, InfinityPipeline] = OrderedDict()
        self._lock = threading.Lock()  # held for moments only

    def get(self, name: str) -> InfinityPipeline | None:
        with self._lock:
            return self._models.get(name)

    def use(self, name: str) -> InfinityPipeline | None:
        """As :meth:`get`, for drawing: it counts as the one used last."""
        with self._lock:
            if name in self._models:
                self._models.move_to_end(name)
            return self._models.get(name)

    def items(self) -> tuple[tuple[str, InfinityPipeline], ...]:
        with self._lock:
            return tuple(self._models.items())

    @property
    def nbytes(self) -> int:
        return sum(model.nbytes for _, model in self.items())

    def keep(self, name: str, model: InfinityPipeline, need: MemoryNeed) -> None:
        """Add a model that was just loaded; evict others to keep the budget and to leave it working memory."""
        with self._lock:
            self._models.pop(name, None)
            self._models[name] = model
            self._evict(self._over_budget(), keep=1)
            self._evict(need.device - _weights(need) - self._free(), keep=1)
        free_cached_memory()

    def set_budget(self, nbytes: int | None) -> None:
        """Another budget, kept to at once."""
        with self._lock:
            self.budget = nbytes
            self._evict(self._over_budget(), keep=1)
        free_cached_memory()

    def drop(self, name: str) -> bool:
        """Drop a model; False if there was none."""
        with self._lock:
            found = self._models.pop(name, None) is not None
        free_cached_memory()
        return found

    def make_room(self, need: MemoryNeed, evicted: list[Evicted], progress: Progress) -> None:
        """Before loading, where the memory is too small for both: evict, and wait for running requests.

        Args:
            evicted: receives the evicted models, in case :meth:`restore` is needed.
        """
        with self._lock:
            evicted += self._evict(_weights(need) - self._free(), keep=0)
        free_cached_memory()
        patience = time.monotonic() + IN_USE_SECONDS
        while any(entry.model() is not None for entry in evicted) and self._free() < _weights(need):
            if time.monotonic() > patience:
                return
            progress("Waiting for the memory of a model that still draws", 0.0)
            time.sleep(POLL_SECONDS)
            gc.collect()
            free_cached_memory()

    def restore(self, evicted: list[Evicted]) -> None:
        """Keep evicted models that are still in use again, as the least recently used."""
        with self._lock:
            for entry in reversed(evicted):
                model = entry.model()
                if model is not None and entry.name not in self._models:
                    self._models[entry.name] = model
                    self._models.move_to_end(entry.name, last=False)

    def _free(self) -> float:
        """Bytes of the device that nothing takes; infinite where the system does not tell."""
        memory = memory_of(resolve_device(self._device))
        return math.inf if memory is None else memory[0]

    def _over_budget(self) -> int:
        if self.budget is None:
            return 0
        return sum(model.nbytes for model in self._models.values()) - self.budget

    def _evict(self, surplus: float, keep: int) -> list[Evicted]:
        """Drop the least recently used models until ``surplus`` bytes are freed. The lock is held."""
        evicted = []
        while surplus > 0 and len(self._models) > keep:
            name, model = self._models.popitem(last=False)
            surplus -= model.nbytes
            evicted.append(Evicted(name, weakref.ref(model)))
            logger.info("unloaded %s to make room", name)
        return evicted


def free_cached_memory() -> None:
    """What torch keeps for later allocations goes back to the device."""
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()


def _weights(need: MemoryNeed) -> int:
    return need.transformer + need.tokenizer
