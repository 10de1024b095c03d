"""AdamW with weight decay on the matrices only."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

BETAS = (0.9, 0.97)
"""Upstream's training script."""


def parameter_groups(model: nn.Module, weight_decay: float = 0.0) -> list[dict[str, Any]]:
    """Split the trainable parameters into those that decay and those that do not.

    Weights of linear layers and convolutions decay; biases, norms, embeddings, gains, learned
    queries and the unconditional text do not. Parity: tests/parity, kind "training".

    Returns:
        two optimizer groups, each parameter in exactly one, in the model's order: ``params``, their
        ``names``, ``weight_decay``, and ``decays``: whether the weight decay schedule applies.
    """
    decaying = {
        id(module.weight)
        for module in model.modules()
        if isinstance(module, nn.Linear | nn.modules.conv._ConvNd)
    }
    groups: list[dict[str, Any]] = []
    for decays in (False, True):
        named = [
            (name, parameter)
            for name, parameter in model.named_parameters()
            if parameter.requires_grad and (id(parameter) in decaying) == decays
        ]
        groups.append(
            {
                "params": [parameter for _, parameter in named],
                "names": [name for name, _ in named],
                "decays": decays,
                "weight_decay": weight_decay if decays else 0.0,
            }
        )
    return groups


def build_optimizer(
    model: nn.Module,
    learning_rate: float,
    weight_decay: float,
    betas: tuple[float, float] = BETAS,
) -> torch.optim.AdamW:
    """Fused AdamW over :func:`parameter_groups`."""
    groups = [
        {key: value for key, value in group.items() if key != "names"}
        for group in parameter_groups(model, weight_decay)
    ]
    return torch.optim.AdamW(groups, lr=learning_rate, betas=betas, eps=1e-8, fused=True)


def set_schedule(
    optimizer: torch.optim.Optimizer, learning_rate: float, weight_decay: float
) -> None:
    """Put one iteration's learning rate and weight decay into an optimizer built here."""
    for group in optimizer.param_groups:
        group["lr"] = learning_rate
        group["weight_decay"] = weight_decay if group["decays"] else 0.0
