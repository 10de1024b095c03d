"""Everything a run needs to go on, as one nested dict of tensors, for checkpoints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from training.engine.optimisation import Average, Optimiser
from training.engine.parallelize import Whole


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


def run_state(
    whole: Whole, optimisers: Mapping[str, Optimiser], average: Average | None
) -> dict[str, Any]:
    """The run's own tensors, sharded as they are: read to save, written into to load.

    Entries "model", "optimizer" (phase -> parameter -> moments) and, where kept, "average", which
    names a tied parameter by all its names, as "model" does.
    """
    state: dict[str, Any] = {
        "model": whole.state_dict(),
        "optimizer": {phase: optimiser.state() for phase, optimiser in optimisers.items()},
    }
    if average is not None:
        first = parameter_names(whole)
        state["average"] = {
            name: average.tensors[first[parameter]]
            for name, parameter in whole.named_parameters(remove_duplicate=False)
            if first[parameter] in average.tensors
        }
    return state
