"""Everything a run needs to go on, as one nested dict of tensors, for checkpoints."""

from collections.abc import Mapping
from typing import Any

from torch import nn

from infinity.errors import CheckpointError
from training.config.settings import TrainingConfig
from training.engine.optimization import Average, Optimizer
from training.engine.parallelize import Whole
from training.finetune.lora import base_checksum, frozen_dtype
from training.steps.step import Step


def parameter_names(whole: Whole) -> dict[nn.Parameter, str]:
    """Parameter -> its name in the whole, such as "transformer.head.weight"."""
    return {parameter: name for name, parameter in whole.named_parameters()}


def averaged_parameters(whole: Whole, trained: Mapping[str, nn.Module]) -> dict[str, nn.Parameter]:
    """What an average is kept of: the trained parameters that a model folder needs."""
    return {
        name: parameter
        for name, parameter in whole.named_parameters()
        if parameter.requires_grad and name.split(".", 1)[0] in trained
    }


def adapted_base(config: TrainingConfig, step: Step) -> dict[str, str] | None:
    """The model that a run's adapter belongs to: its name and checksum; None without an adapter.

    Its weights are not in the checkpoints. Call it before they are sharded.
    """
    if config.lora is None:
        return None
    assert config.start_from is not None
    state = step.trained["transformer"].state_dict()
    checksum = base_checksum(state, frozen_dtype(config.optimization.dtype))
    return {"model": config.start_from, "sha256": checksum}


def require_base(
    saved: Mapping[str, str] | None, now: Mapping[str, str] | None, config: TrainingConfig
) -> None:
    """Of a checkpoint with an adapter alone.

    Raises:
        CheckpointError: the model it belongs to has other weights now.
    """
    if saved is not None and now is not None and saved["sha256"] != now["sha256"]:
        raise CheckpointError(
            f"{config.start_from} has other weights than when {config.output} was trained, and the "
            "run's checkpoints hold the adapter alone; bring the former weights back, or begin a "
            "new run in another output folder."
        )


def run_state(
    whole: Whole,
    optimizers: Mapping[str, Optimizer],
    average: Average | None,
    *,
    trained_alone: bool,
) -> dict[str, Any]:
    """The run's own tensors, sharded as they are: read to save, written into to load.

    Args:
        trained_alone: leave out parameters that are not trained.

    Entries "model", "optimizer" (phase -> parameter -> moments) and, where kept, "average", which
    names a tied parameter by all its names, as "model" does.
    """
    model = whole.state_dict()
    if trained_alone:
        named = whole.named_parameters(remove_duplicate=False)
        model = {name: model[name] for name, parameter in named if parameter.requires_grad}
    state: dict[str, Any] = {
        "model": model,
        "optimizer": {phase: optimizer.state() for phase, optimizer in optimizers.items()},
    }
    if average is not None:
        first = parameter_names(whole)
        state["average"] = {
            name: average.tensors[first[parameter]]
            for name, parameter in whole.named_parameters(remove_duplicate=False)
            if first[parameter] in average.tensors
        }
    return state
