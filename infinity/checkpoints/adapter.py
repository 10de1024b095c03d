"""Low-rank adapters: folders in peft's format, merged into a transformer's weights when it loads.

Neither peft nor a slower forward pass is needed: W becomes W + B A x alpha / rank.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from infinity.checkpoints.files import read_safetensors
from infinity.checkpoints.fit import LISTED
from infinity.errors import CheckpointError

ADAPTER_CONFIG = "adapter_config.json"
ADAPTER_WEIGHTS = "adapter_model.safetensors"
PREFIX = "base_model.model."
"""peft's, before every name of the adapted model."""

_NAME = re.compile(re.escape(PREFIX) + r"(.+)\.lora_([AB])\.weight")
_UNSUPPORTED = ("use_dora", "rank_pattern", "alpha_pattern", "modules_to_save", "fan_in_fan_out")


@dataclass(frozen=True)
class Adapter:
    """A low-rank change of some linear layers.

    Attributes:
        folder: where it is from, for messages.
        base: what it was trained on, as the training named it; "" where unknown.
        scaling: alpha / rank.
        pairs: layer name -> A (rank, in), B (out, rank).
    """

    folder: Path
    base: str
    scaling: float
    pairs: Mapping[str, tuple[Tensor, Tensor]]


def read_adapter(folder: str | Path) -> Adapter:
    """An adapter's folder.

    Raises:
        CheckpointError: missing, damaged, or of a kind that cannot be merged.
    """
    folder = Path(folder)
    path = folder / ADAPTER_CONFIG
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        rank, alpha = int(config["r"]), float(config["lora_alpha"])
    except FileNotFoundError as error:
        raise CheckpointError(
            f"{path} does not exist; give the folder of an adapter, as export writes it."
        ) from error
    except (OSError, ValueError, RecursionError, KeyError, TypeError) as error:
        raise CheckpointError(f"{path} is not an adapter's configuration ({error!r}).") from error
    kind = str(config.get("peft_type"))
    unsupported = [name for name in _UNSUPPORTED if config.get(name)]
    if kind != "LORA" or unsupported or rank < 1:
        what = ", ".join(unsupported) or f"type {kind}, rank {rank}"
        raise CheckpointError(f"{folder} is no plain low-rank adapter ({what}); train one without.")
    scaling = alpha / (rank**0.5 if config.get("use_rslora") else rank)
    tensors = read_safetensors([folder / ADAPTER_WEIGHTS], folder).tensors
    return Adapter(
        folder, str(config.get("base_model_name_or_path") or ""), scaling, _pairs(folder, tensors)
    )


def merge_adapter(transformer: nn.Module, adapter: Adapter) -> None:
    """Add an adapter to a transformer's weights, in place; summed in float32.

    Raises:
        CheckpointError: it names layers that the transformer lacks, or of other shapes.
    """
    layers = dict(transformer.named_modules())
    unexpected = tuple(
        name for name in adapter.pairs if not isinstance(layers.get(name), nn.Linear)
    )
    mis_shaped = []
    for name, (down, up) in adapter.pairs.items():
        layer = layers.get(name)
        if isinstance(layer, nn.Linear) and (len(up), down.shape[1]) != tuple(layer.weight.shape):
            found, expected = (len(up), down.shape[1]), tuple(layer.weight.shape)
            mis_shaped.append(f"{name}: found {found}, expected {expected}")
    if unexpected or mis_shaped:
        listed = [*unexpected, *mis_shaped]
        trained = f", which was trained on {adapter.base}" if adapter.base else ""
        raise CheckpointError(
            f"The adapter in {adapter.folder}{trained}, does not fit this model: "
            f"{len(listed)} layers differ ({'; '.join(listed[:LISTED])}); use it with the model it "
            "was trained on.",
            unexpected=unexpected,
            mis_shaped=tuple(mis_shaped),
        )
    with torch.no_grad():
        for name, (down, up) in adapter.pairs.items():
            weight = transformer.get_parameter(f"{name}.weight")
            change = up.to(weight.device, torch.float32) @ down.to(weight.device, torch.float32)
            weight.copy_(weight.float() + change * adapter.scaling)


def _pairs(folder: Path, tensors: Mapping[str, Tensor]) -> dict[str, tuple[Tensor, Tensor]]:
    halves: dict[str, dict[str, Tensor]] = {}
    unexpected = []
    for name, tensor in tensors.items():
        match = _NAME.fullmatch(name)
        if match is None or tensor.dim() != 2 or not tensor.is_floating_point():
            unexpected.append(name)
        else:
            halves.setdefault(match[1], {})[match[2]] = tensor
    alone = [name for name, half in halves.items() if len(half) != 2]
    unequal = [n for n, h in halves.items() if len(h) == 2 and len(h["A"]) != h["B"].shape[1]]
    if unexpected or alone or unequal or not halves:
        first = ", ".join([*unexpected, *alone, *unequal][:LISTED]) or "it is empty"
        raise CheckpointError(
            f"{folder / ADAPTER_WEIGHTS} is not a low-rank adapter's ({first}); export it again.",
            missing=tuple(alone),
            unexpected=tuple(unexpected),
            mis_shaped=tuple(unequal),
        )
    return {name: (half["A"], half["B"]) for name, half in halves.items()}
