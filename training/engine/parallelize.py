"""How a step's modules are placed, sharded, checkpointed and compiled. No model file knows of it.

Sharding is PyTorch's own FSDP2: parameters become DTensors, split over the processes of a device
mesh, gathered unit by unit when a forward needs them. All trained modules together are one root,
whose own forward is "run this work": inside it everything may be called as if nothing were sharded.
"""

import warnings
from collections.abc import Callable
from functools import partial
from typing import TypeVar

import torch
from torch import nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor
from torch.utils.checkpoint import checkpoint
from transformers.models.t5.modeling_t5 import T5Block

from infinity.errors import RequestError
from infinity.model.layers import Block, BlockCondition, SharedText
from training.config.sections import ParallelSettings
from training.config.settings import OptimizationSettings
from training.engine.processes import Processes
from training.steps.step import Step

T = TypeVar("T")


class Whole(nn.ModuleDict):
    """All trained modules of a step as one root."""

    def __init__(self, step: Step) -> None:
        super().__init__(dict(step.modules.items()))

    def forward(self, work: Callable[[], T]) -> T:
        """``work()``, with the parameters it needs gathered."""
        return work()


def parallelize(
    step: Step,
    optimization: OptimizationSettings,
    parallel: ParallelSettings,
    processes: Processes,
) -> Whole:
    """Prepare a step for training, in place; call it before optimizers are built.

    Every process must hold the same weights (same seed, same files): nothing is sent around.

    Returns:
        the root over ``step.modules``; losses and samples are computed inside ``root(work)``.

    Raises:
        RequestError: the processes do not divide into groups of ``shard_size``.
    """
    step.frozen.to(processes.device)
    units = step.blocks()
    if optimization.activation_checkpointing:
        for unit in units:
            unit.forward = partial(checkpoint, unit.forward, use_reentrant=False)
    if optimization.compile:
        for unit in units:
            if not isinstance(unit, T5Block):  # whose captions have another length every time
                unit.compile()
    if processes.world_size == 1:
        return Whole(step).to(processes.device)
    mesh = device_mesh(parallel, processes)
    blocks = MixedPrecisionPolicy(
        param_dtype=None if optimization.dtype == "float32" else getattr(torch, optimization.dtype),
        reduce_dtype=torch.float32,
        cast_forward_inputs=False,
    )
    # Views are never changed in place here; FSDP warns of what would happen if they were.
    warnings.filterwarnings("ignore", message="FSDP2-wrapped module .* returned a view tensor")
    for unit in reversed(units):
        fully_shard(unit, mesh=mesh, mp_policy=blocks)
        if isinstance(unit, Block):
            unit.condition = partial(_condition_gathered, unit, unit.condition)
    whole = Whole(step)
    root = fully_shard(whole, mesh=mesh)
    # What one slice does not use (the text of "no prompt", say), another may.
    root.set_reduce_scatter_unused_params(True)
    return whole


def device_mesh(parallel: ParallelSettings, processes: Processes) -> DeviceMesh:
    """The mesh of "full" (one dimension), or of "hybrid" and "none" (copies x shards).

    Raises:
        RequestError: the processes do not divide into groups of ``shard_size``.
    """
    world_size, device = processes.world_size, processes.device.type
    if parallel.shard == "full":
        return init_device_mesh(device, (world_size,), mesh_dim_names=("shard",))
    size = 1 if parallel.shard == "none" else (parallel.shard_size or 1)
    if world_size % size:
        raise RequestError(
            f"{world_size} processes do not divide into groups of parallel.shard_size {size}."
        )
    return init_device_mesh(
        device, (world_size // size, size), mesh_dim_names=("replicate", "shard")
    )


def set_gradient_sync(whole: Whole, shard: str, last: bool) -> None:
    """Before a micro-batch's forward: whether it is the last before the optimizer's step.

    Copies add up their gradients once a step; shards after every micro-batch, since keeping whole
    gradients would cost the memory that sharding saves.
    """
    if not isinstance(whole, FSDPModule):
        return
    if shard == "none":
        whole.set_requires_gradient_sync(last)
    elif shard == "hybrid":
        whole.set_requires_all_reduce(last)


def gather_anew(whole: Whole) -> None:
    """After a forward without a backward, and before weights change: forget what was gathered."""
    if isinstance(whole, FSDPModule):
        whole.reshard()


def _condition_gathered(
    block: Block, condition: Callable[[SharedText], BlockCondition], text: SharedText
) -> BlockCondition:
    """``block.condition``, which is part of the block's forward, but for drawing: it is called alone."""
    if not isinstance(block.modulation, DTensor):
        return condition(text)
    assert isinstance(block, FSDPModule) and not torch.is_grad_enabled()
    block.unshard()
    try:
        return condition(text)
    finally:
        block.reshard()
