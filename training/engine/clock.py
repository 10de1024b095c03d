"""How fast a run is and how much memory it takes."""

import sys
import time

import torch


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
