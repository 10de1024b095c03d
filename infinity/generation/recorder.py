"""Where graphs are made: the card itself, and the compiler that makes fewer kernels of a block."""

from collections.abc import Callable
from functools import cache, partial
from typing import Any, Protocol

import torch
from torch import Tensor

from infinity.devices import CAPTURING
from infinity.model.layers import Block, BlockCondition, SelfAttend

MOST_SHAPES = 1024
"""Compiled versions of a block's parts: each scale of each plan is a shape of its own."""

Replay = Callable[[], None]


class Recorder(Protocol):
    """Where graphs are made."""

    def record(self, compute: Callable[[], Tensor]) -> tuple[Replay, Tensor]:
        """What computes again, on what the buffers then hold, and where the result then is."""
        ...

    def settle(self) -> None:
        """Wait for all replays: what they use is about to go."""
        ...


class CudaRecorder:
    """Captures CUDA graphs, all of a model in one pool of memory."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._pool: Any = None

    def record(self, compute: Callable[[], Tensor]) -> tuple[Replay, Tensor]:
        with CAPTURING, torch.cuda.device(self._device):
            if self._pool is None:  # a process that only loads a model leaves the card alone
                self._pool = torch.cuda.graph_pool_handle()
                self._stream = torch.cuda.Stream(self._device)
            # Once outside of the capture: what is made at a first use (workspaces, tables that are kept)
            # would otherwise lie in the pool and outlive it.
            self._stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(self._stream):
                compute()
            torch.cuda.current_stream().wait_stream(self._stream)
            graph = torch.cuda.CUDAGraph()
            # Other threads, which may draw with another model, go on meanwhile.
            options = {"stream": self._stream, "capture_error_mode": "thread_local"}
            with torch.cuda.graph(graph, pool=self._pool, **options):
                output = compute()
        return graph.replay, output

    def settle(self) -> None:
        torch.cuda.synchronize(self._device)


def fused_block(
    block: Block, x: Tensor, condition: BlockCondition, rope_Lp: Tensor, self_attend: SelfAttend
) -> Tensor:
    """A block whose parts before and behind its self-attention are compiled, once for each shape."""
    begin, finish = _compiled()
    attended_BHLd = self_attend(*begin(block, x, condition, torch.view_as_real(rope_Lp)))
    return finish(block, x, condition, attended_BHLd)


@cache
def _compiled() -> tuple[Callable[..., Any], Callable[..., Any]]:
    torch._dynamo.config.recompile_limit = MOST_SHAPES
    whole = partial(torch.compile, fullgraph=True, dynamic=False)
    return whole(Block.begin), whole(Block.finish)
