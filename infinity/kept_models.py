"""The models in memory: the least recently used are evicted when others need the memory."""

import gc
import logging
import math
import threading
import time
import weakref
from collections import OrderedDict

import torch

from infinity.devices import CAPTURING, memory_of, resolve_device
from infinity.estimate import MemoryNeed
from infinity.pipeline import InfinityPipeline
from infinity.shared_work import POLL_SECONDS, Progress

logger = logging.getLogger(__name__)

IN_USE_SECONDS = 300.0
"""How long a load waits for the memory of an evicted model that is still in use."""

Evicted = weakref.WeakValueDictionary[str, InfinityPipeline]
"""Evicted models by name, while they are still in use."""


class KeptModels:
    """Models by name, the one used last at the end. Safe from several threads.

    Args:
        memory_budget: bytes that the weights of all of them may take together; None is no limit.
            The model used last is always kept, whatever its size.
        device: where they are.
    """

    def __init__(self, memory_budget: int | None, device: str | torch.device | None) -> None:
        self.memory_budget = memory_budget
        self.device = device
        self._models: OrderedDict[str, InfinityPipeline] = OrderedDict()
        self._lock = threading.RLock()  # guards all names and models; held for moments only

    @property
    def nbytes(self) -> int:
        """Bytes of all kept models' weights."""
        with self._lock:
            return sum(model.nbytes for model in self._models.values())

    def set_budget(self, nbytes: int | None) -> None:
        """Set the memory budget and evict the least recently used models beyond it."""
        with self._lock:
            self.memory_budget = nbytes
            self._evict(self._over_budget(), keep=1)
        free_cached_memory()

    def unload(self, name: str) -> bool:
        """Unload a model; False if it was not loaded."""
        with self._lock:
            found = self._models.pop(name, None) is not None
        free_cached_memory()
        return found

    def _keep(self, name: str, model: InfinityPipeline, need: MemoryNeed) -> None:
        """Add a model that was just loaded; evict others to keep the budget and to leave it working memory."""
        with self._lock:
            self._models[name] = model
            self._models.move_to_end(name)
            working = need.device - need.weights
            self._evict(max(self._over_budget(), working - self._free()), keep=1)
        free_cached_memory()

    def _make_room(self, need: MemoryNeed, evicted: Evicted, progress: Progress) -> None:
        """Before loading, where the memory is too small for both: evict, and wait for running requests.

        Args:
            evicted: receives the evicted models, in case :meth:`_restore` is needed.
        """
        with self._lock:
            evicted.update(self._evict(need.weights - self._free(), keep=0))
        free_cached_memory()
        patience = time.monotonic() + IN_USE_SECONDS
        while evicted and self._free() < need.weights and time.monotonic() <= patience:
            progress("Waiting for the memory of a model that still draws", 0.0)
            time.sleep(POLL_SECONDS)
            gc.collect()
            free_cached_memory()

    def _restore(self, evicted: Evicted) -> None:
        """Keep evicted models that are still in use again, as the least recently used."""
        with self._lock:
            self._models = OrderedDict([*evicted.items(), *self._models.items()])

    def _free(self) -> float:
        """Bytes of the device that nothing takes; infinite where the system does not tell."""
        memory = memory_of(resolve_device(self.device))
        return math.inf if memory is None else memory[0]

    def _over_budget(self) -> float:
        return -math.inf if self.memory_budget is None else self.nbytes - self.memory_budget

    def _evict(self, surplus: float, keep: int) -> dict[str, InfinityPipeline]:
        """Drop the least recently used models until ``surplus`` bytes are freed. The lock is held."""
        evicted = {}
        while surplus > 0 and len(self._models) > keep:
            name, model = self._models.popitem(last=False)
            surplus -= model.nbytes
            evicted[name] = model
            logger.info("unloaded %s to make room", name)
        return evicted


def free_cached_memory() -> None:
    """What torch keeps for later allocations goes back to the device."""
    if torch.cuda.is_initialized():
        with CAPTURING:
            torch.cuda.empty_cache()
