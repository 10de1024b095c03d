"""AdamW with weight decay on the matrices only, and Muon for the hidden matrices of small models."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

MUON: dict[str, Any] = {"momentum": 0.95, "adjust_lr_fn": "match_rms_adamw"}
"""Updates scaled to AdamW's size (Liu et al., 2025), so that one learning rate serves both."""


def parameter_groups(
    model: nn.Module, weight_decay: float = 0.0, rate: float = 1.0
) -> list[dict[str, Any]]:
    """Split the trainable parameters into those that decay and those that do not.

    Weights of linear layers and convolutions decay; biases, norms, embeddings, gains, learned
    queries and the unconditional text do not. Parity: tests/parity, kind "training".

    Args:
        rate: share of the run's learning rate.

    Returns:
        two optimizer groups, each parameter in exactly one, in the model's order: ``params``, their
        ``names``, ``weight_decay``, ``rate``, and ``decays``: whether the weight decay schedule
        applies.
    """
    decaying = {
        id(module.weight)
        for module in model.modules()
        if isinstance(module, nn.Linear | nn.modules.conv._ConvNd)
    }
    still = _group(model, lambda p: id(p) not in decaying, weight_decay=0.0, rate=rate)
    moving = _group(model, lambda p: id(p) in decaying, weight_decay=weight_decay, rate=rate)
    return [still, {**moving, "decays": True}]


def text_encoder_groups(model: nn.Module, rate: float, weight_decay: float) -> list[dict[str, Any]]:
    """Groups as :func:`parameter_groups` of a T5 encoder that learns at a share of the run's rate.

    T5 does not divide the attention's scores by sqrt(d_kv): its queries are that much smaller
    instead, and learn that much slower.

    Args:
        model: transformers' T5EncoderModel.
        rate: share of the run's learning rate.
        weight_decay: of the linear layers; constant.

    Returns:
        the queries, the other linear layers, and the rest, which does not decay; none follows the
        run's weight decay (``decays`` is False).
    """
    is_query = {
        id(module.weight): name.endswith("Attention.q")
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear)
    }
    slower = rate * model.config.d_kv**-0.5  # pyrefly: ignore[missing-attribute]
    kinds = ((True, weight_decay, slower), (False, weight_decay, rate), (None, 0.0, rate))
    return [
        _group(
            model, lambda p, kind=kind: is_query.get(id(p)) is kind, weight_decay=decay, rate=share
        )
        for kind, decay, share in kinds
    ]


def _group(
    model: nn.Module, belongs: Callable[[nn.Parameter], bool], **settings: Any
) -> dict[str, Any]:
    named = {n: p for n, p in model.named_parameters() if p.requires_grad and belongs(p)}
    return {"params": [*named.values()], "names": [*named], "decays": False, **settings}


def as_matrix(values: Tensor, weight: Tensor) -> Tensor:
    """Values of a weight's shape -> a matrix in the order of the weight's memory.

    A matrix stays as it is; (out, in, h, w) becomes (out, in * h * w).
    """
    if values.ndim == 2:
        return values
    last = weight.is_contiguous(memory_format=torch.channels_last)
    return (values.permute(0, 2, 3, 1) if last else values).flatten(1)
