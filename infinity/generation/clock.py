"""How long a device worked, told without waiting for it before somebody asks."""

import time
from typing import Self, cast

import torch


class Span:
    """The time from here to :meth:`end`, as the device's work takes it: on a CUDA card the host goes on."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._begun = self._ended = self._now()

    def end(self) -> Self:
        self._ended = self._now()
        return self

    @property
    def seconds(self) -> float:
        """Waits until the device is there."""
        begun, ended = self._begun, self._ended
        if isinstance(begun, torch.cuda.Event) and isinstance(ended, torch.cuda.Event):
            ended.synchronize()
            return begun.elapsed_time(ended) / 1000
        return cast("float", ended) - cast("float", begun)

    def _now(self) -> float | torch.cuda.Event:
        if self._device.type == "cuda":
            event = torch.cuda.Event(enable_timing=True)
            event.record(torch.cuda.current_stream(self._device))
            return event
        if self._device.type != "cpu":
            torch.accelerator.synchronize(self._device)
        return time.perf_counter()
