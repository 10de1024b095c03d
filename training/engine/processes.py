"""The processes of a run: alone, or started together by torchrun; what they must agree on; how fast one
is and how much memory it takes."""

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from infinity.devices import DEVICE_VARIABLE, resolve_device
from infinity.errors import InfinityError, ResourceError

T = TypeVar("T")


@dataclass(frozen=True)
class Processes:
    """This process among its peers.

    Attributes:
        rank, world_size: its number and how many there are.
        device: where it computes.
        saving: a group of its own for checkpoints, which are written while training goes on; None
            for a single process, which needs no process group.
    """

    rank: int = 0
    world_size: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    saving: dist.ProcessGroup | None = None

    @property
    def is_first(self) -> bool:
        return self.rank == 0

    def total(self, values: Tensor) -> Tensor:
        """Sum over all processes, in place."""
        if self.world_size > 1:
            dist.all_reduce(values)
        return values

    def on_first(self, work: Callable[[], T]) -> T:
        """What ``work`` gives on the first process; its error, if any, is raised on all.

        Raises:
            InfinityError: as ``work`` does.
        """
        if self.world_size == 1:
            return work()
        outcome: list[T | InfinityError | None] = [None]
        if self.is_first:
            try:
                outcome = [work()]
            except InfinityError as error:
                outcome = [error]
        dist.broadcast_object_list(outcome, src=0, device=torch.device("cpu"))
        if isinstance(outcome[0], InfinityError):
            raise outcome[0]
        return outcome[0]  # type: ignore[return-value]


@contextmanager
def open_processes() -> Iterator[Processes]:
    """Join the processes torchrun started (its environment variables), or be the only one.

    Raises:
        ResourceError: there are fewer cards than processes on this machine.
    """
    world_size = int(os.environ.get("WORLD_SIZE", "1"))
    device = _own_device()
    cuda = device.type == "cuda"
    if cuda:
        torch.cuda.set_device(device)
    if world_size == 1:
        yield Processes(device=device)
        return
    dist.init_process_group("cpu:gloo,cuda:nccl" if cuda else "gloo")
    try:
        saving = dist.new_group(backend="gloo")
        assert isinstance(saving, dist.ProcessGroup)
        yield Processes(dist.get_rank(), world_size, device, saving)
    finally:
        dist.destroy_process_group()


def _own_device() -> torch.device:
    """Where this process computes: on the card of its number on this machine, if cards are taken."""
    device = resolve_device()
    if device.type != "cuda":
        return torch.device("cpu")
    index = int(os.environ.get("LOCAL_RANK", device.index or 0))
    if index >= (cards := torch.cuda.device_count()):
        raise ResourceError(
            f"Process {index + 1} of this machine finds only {cards} CUDA devices; start at most one "
            f"process a device (torchrun --nproc-per-node {cards}), or set {DEVICE_VARIABLE}=cpu."
        )
    return torch.device("cuda", index)


class Clock:
    """Samples a second since the last reading, and the most memory this process has used."""

    def __init__(self, batch_size: int, device: torch.device) -> None:
        self.batch_size = batch_size
        self.device = device
        self._step: int | None = None
        self._time_s = 0.0

    def read(self, done: int) -> dict[str, float]:
        now_s = time.perf_counter()
        peak = peak_memory_bytes(self.device)
        told = {} if peak is None else {"memory_gb": peak / 1e9}
        if self._step is not None:
            samples = (done - self._step) * self.batch_size
            told["samples_per_s"] = samples / (now_s - self._time_s)
        self._step, self._time_s = done, now_s
        return told


def peak_memory_bytes(device: torch.device) -> int | None:
    """Of the GPU where the run computes on one, else of the process; None where the system (Windows)
    does not tell."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    try:
        import resource
    except ImportError:
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
