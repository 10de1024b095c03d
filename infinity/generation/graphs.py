"""Captured graphs: on a CUDA card a scale is one launch instead of a thousand.

Launching the kernels of a scale takes the host longer than computing them takes a fast card. What a scale
computes depends on few things (:class:`Plan`); for each of them it is recorded once, over buffers that stay
where they are, and from then on replayed: the same kernels on the same numbers, so every bit is that of
eager mode. The first pictures of a plan are drawn in eager mode over the same buffers; the next record a
scale each time they come to one. Where recording is impossible one line is logged, and all goes on in eager
mode.

The buffers serve one run at a time. A run that finds them taken computes in eager mode over its own.

Legend: B pictures, l tokens of a scale, D bits a token.
"""

import logging
import math
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from functools import partial
from itertools import count
from typing import Literal, cast, get_args

import torch
from torch import Tensor

from infinity.errors import RequestError, quoted
from infinity.generation.recorder import CudaRecorder, Recorder, Replay, fused_block
from infinity.generation.scale import Hooks, Plan, RunBlock, scale_logits
from infinity.model.layers import Block, BlockCondition
from infinity.model.transformer import InfinityTransformer, TextCondition
from infinity.shared_work import Progress

logger = logging.getLogger(__name__)

GraphMode = Literal["off", "exact", "fused"]
GRAPH_MODES: tuple[GraphMode, ...] = get_args(GraphMode)
"""Graphs: none; of eager mode's own kernels; of kernels that a compiler has made fewer of, which round
differently."""

MODE_VARIABLE = "INFINITY_GRAPHS"
"""Environment variable that names the mode where none is given."""
MOST_PLANS = 4
EAGER_RUNS = 1
"""So many runs of a plan are drawn before it is recorded: who draws one picture never waits for it."""


@contextmanager
def computing(
    transformer: InfinityTransformer,
    plan: Plan,
    conditions: Mapping[int, TextCondition],
    graphs: "ScaleGraphs | None",
) -> Iterator[Callable[[int, Tensor | None, Hooks], Tensor]]:
    """What gives a run's logits (see :func:`scale_logits`), one scale after another, of its inputs (B, l, D).

    Args:
        conditions: scale -> what is read from there on; the first at 0.
        graphs: None computes in eager mode.
    """
    with nullcontext() if graphs is None else graphs.buffers(plan) as buffers:
        cache = (
            transformer.cache(plan.schedule, plan.rows, plan.pruning)
            if buffers is None
            else buffers.cache
        )
        condition = conditions[0]

        def logits(index: int, input_BlD: Tensor | None, hooks: Hooks) -> Tensor:
            nonlocal condition
            if index in conditions:
                condition = conditions[index]
                if buffers is not None:
                    buffers.fill(condition)
            if graphs is None or buffers is None or hooks:
                return scale_logits(transformer, plan, cache, index, condition, input_BlD, hooks)
            return graphs.logits(buffers, index, input_BlD)

        yield logits


class ScaleGraphs:
    """The graphs of one transformer. Safe from several threads.

    Args:
        recorder: makes graphs.
        mode: "exact" or "fused", which compiles for a minute and so records in :meth:`warm_up` alone.
        eager_runs: of a plan, before it is recorded.
    """

    def __init__(
        self,
        transformer: InfinityTransformer,
        recorder: Recorder,
        mode: GraphMode = "exact",
        eager_runs: float = EAGER_RUNS,
    ) -> None:
        self.transformer = transformer
        self.is_broken = False
        self.is_fused = mode == "fused"
        self._recorder = recorder
        self._run_block: RunBlock = fused_block if mode == "fused" else Block.__call__
        self._eager_runs = math.inf if self.is_fused else eager_runs
        self._taken = threading.Lock()
        self._plans: OrderedDict[Plan, _Buffers] = OrderedDict()
        self._shared: dict[int, Tensor] = {}
        self._weights: tuple[int, ...] = ()

    @contextmanager
    def buffers(self, plan: Plan) -> Iterator["_Buffers | None"]:
        """A plan's buffers for the block; None where another run has them, or nothing can be recorded."""
        if self.is_broken or not self._taken.acquire(blocking=False):
            yield None
            return
        try:
            yield self._of(plan)
        finally:
            self._taken.release()

    @torch.inference_mode()
    def warm_up(self, plan: Plan, progress: Progress = lambda what, part: None) -> bool:
        """Record all of a plan now; whether it is. Meanwhile runs compute in eager mode."""
        with self.buffers(plan) as buffers:
            if buffers is not None:
                for index in range(len(plan.schedule)):
                    progress("Recording the scales", index / len(plan.schedule))
                    self._record(buffers, index)
        return self.is_recorded(plan)

    def is_recorded(self, plan: Plan) -> bool:
        """Whether all scales of a plan are replayed from now on."""
        found = self._plans.get(plan)
        return found is not None and len(found.replays) == len(plan.schedule)

    def logits(self, buffers: "_Buffers", index: int, input_BlD: Tensor | None) -> Tensor:
        """As :func:`scale_logits`, of what the buffers hold."""
        if input_BlD is not None:
            buffers.inputs[index].copy_(input_BlD)
        if index not in buffers.replays and buffers.runs > self._eager_runs:
            self._record(buffers, index)
        if index not in buffers.replays:
            return self._compute(buffers, index, Block.__call__)
        replay, output = buffers.replays[index]
        replay()
        return output.clone()

    def clear(self) -> None:
        """Let all graphs and buffers go; between runs."""
        self._recorder.settle()
        self._plans.clear()
        self._shared.clear()

    def _record(self, buffers: "_Buffers", index: int) -> None:
        if self.is_broken:
            return
        compute = partial(self._compute, buffers, index, self._run_block)
        try:
            buffers.replays[index] = self._recorder.record(compute)
        except Exception as error:  # noqa: BLE001 - whatever a card, its driver or a compiler cannot do
            self.is_broken = True
            self._plans.clear()
            self._shared.clear()
            buffers.replays.clear()
            why = str(error).partition("\n")[0]
            logger.warning("no graphs on this machine, scales are launched by kernels: %s", why)

    def _compute(self, buffers: "_Buffers", index: int, run_block: RunBlock) -> Tensor:
        given = buffers.cache, index, buffers.condition, buffers.inputs.get(index)
        return scale_logits(self.transformer, buffers.plan, *given, run_block=run_block)

    def _of(self, plan: Plan) -> "_Buffers":
        tensors = (*self.transformer.parameters(), *self.transformer.buffers())
        weights = tuple(tensor.data_ptr() for tensor in tensors)
        if weights != self._weights:
            self.clear()  # a graph reads the weights where they were
            self._weights = weights
        if plan not in self._plans and len(self._plans) == MOST_PLANS:
            self._recorder.settle()
            self._plans.popitem(last=False)
        if plan not in self._plans:
            self._plans[plan] = _Buffers(self.transformer, plan, self._allocator())
        self._plans.move_to_end(plan)
        self._plans[plan].runs += 1
        return self._plans[plan]

    def _allocator(self) -> Callable[..., Tensor]:
        """Of the tensors of a cache. All plans share their memory, as one is used at a time."""
        numbers = count()

        def allocate(*shape: int, dtype: torch.dtype, device: torch.device) -> Tensor:
            number, nbytes = next(numbers), math.prod(shape) * dtype.itemsize
            if number in self._shared and len(self._shared[number]) < nbytes:
                self._recorder.settle()
                self._plans.clear()
                del self._shared[number]
            if number not in self._shared:
                self._shared[number] = torch.empty(nbytes, dtype=torch.uint8, device=device)
            return self._shared[number][:nbytes].view(dtype).view(shape)

        return allocate


def chosen_mode(mode: str | None = None) -> GraphMode:
    """``mode``, or that of the environment, or "exact". Raises RequestError for another."""
    mode = mode or os.environ.get(MODE_VARIABLE) or "exact"
    if mode not in GRAPH_MODES:
        raise RequestError(f"graphs must be one of {', '.join(GRAPH_MODES)}, not {quoted(mode)}.")
    return mode


def graphs_of(transformer: InfinityTransformer, mode: GraphMode) -> ScaleGraphs | None:
    """The graphs of a transformer where it is: only a CUDA card has them."""
    if mode == "off" or transformer.device.type != "cuda":
        return None
    return ScaleGraphs(transformer, CudaRecorder(transformer.device), mode)


class _Buffers:
    """What the graphs of a plan read and write, and those recorded so far.

    Attributes:
        runs: how often they were taken.
    """

    def __init__(
        self, transformer: InfinityTransformer, plan: Plan, allocate: Callable[..., Tensor]
    ) -> None:
        device, dtype, config = transformer.device, transformer.compute_dtype, transformer.config
        self.plan = plan
        self.runs = 0
        self.replays: dict[int, tuple[Replay, Tensor]] = {}
        self.cache = transformer.cache(plan.schedule, plan.rows, plan.pruning, allocate)
        rows, width, tokens = plan.rows, config.width, plan.text_tokens
        mask = torch.zeros(rows, 1, 1, tokens, dtype=dtype, device=device)
        keys = torch.zeros(
            config.depth,
            2,
            rows,
            config.num_heads,
            tokens,
            config.head_width,
            dtype=dtype,
            device=device,
        )
        modulations = torch.zeros(config.depth, 6, rows, 1, width, device=device)
        self.condition = TextCondition(
            torch.zeros(rows, width, device=device),
            torch.zeros(2, rows, 1, width, device=device),
            tuple(
                BlockCondition(m, k, v, mask) for m, (k, v) in zip(modulations, keys, strict=True)
            ),
        )
        self.inputs = {
            index: torch.zeros(plan.batch, scale.tokens, config.bits_per_token, device=device)
            for index, scale in enumerate(plan.schedule)
            if index
        }

    def fill(self, condition: TextCondition) -> None:
        """Take in a condition of all rows and as many text tokens."""
        torch._foreach_copy_(  # pyright: ignore[reportPrivateImportUsage] - one launch
            _tensors(self.condition), _tensors(condition)
        )


def _tensors(condition: TextCondition) -> list[Tensor]:
    blocks = cast("tuple[BlockCondition, ...]", condition.blocks)
    parts = [part for block in blocks for part in (block.modulation, block.keys, block.values)]
    return [condition.pooled_BC, condition.head_modulation, cast("Tensor", blocks[0].mask), *parts]
