"""Low-rank adapters, merged into a transformer's weights when it loads.

Neither peft nor a slower forward pass is needed: W becomes W + B A x scaling (LoRA, Hu et al., 2021),
and with a magnitude m of its rows m (W + B A x scaling) / |W + B A x scaling| (DoRA, Liu et al., 2024).
Read are peft's folders and files of kohya's layout, whose layers are named with underscores.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from infinity.checkpoints.peft import LoraRule, lora_rule
from infinity.errors import CheckpointError, listed
from infinity.files import is_there, parse_json, read_object
from infinity.quantized import QuantizedLinear
from infinity.weights import PICKLE_SUFFIXES, WEIGHT_SUFFIXES, flat_tensors, read_file, read_notes

ADAPTER_CONFIG = "adapter_config.json"
ADAPTER_WEIGHTS = "adapter_model.safetensors"
PREFIX = "base_model.model."
"""peft's, before every name of the adapted model."""

NOTED = "lora_adapter_metadata"
"""Where diffusers keeps the configuration, inside the file of weights."""

_ADVICE = "give the folder of an adapter, as export writes it"
_PREFIXES = r"(?:(?:base_model|transformer|diffusion_model|module|model|_orig_mod)\.)*"
_DOTTED = re.compile(
    _PREFIXES + r"(?P<layer>.+?)\.(?P<part>lora_A|lora_B|lora_B\.bias|lora_magnitude_vector|alpha)"
)
_FLAT = re.compile(r"lora_(?:unet|transformer)_(?P<layer>.+?)\.(?P<part>lora_down|lora_up|alpha)")
"""A tensor's name as peft and diffusers have it, and as kohya has it."""
_PARTS = {
    **dict.fromkeys(("lora_A", "lora_down"), ("down", 2)),
    **dict.fromkeys(("lora_B", "lora_up"), ("up", 2)),
    "lora_B.bias": ("bias", 1),
    "lora_magnitude_vector": ("magnitude", 1),
    "alpha": ("alpha", 0),
}
"""The last part of a name -> what it is, and its dimensions."""


@dataclass(frozen=True)
class LowRank:
    """The change of one linear layer (in -> out), of rank r.

    Attributes:
        down: A, (r, in).
        up: B, (out, r).
        scaling: of the change.
        magnitude: (out,), of the changed weight's rows; None leaves them as they come.
        bias: (out,), added to the layer's, times the scaling.
    """

    down: Tensor
    up: Tensor
    scaling: float
    magnitude: Tensor | None = None
    bias: Tensor | None = None

    def merge(self, layer: nn.Linear) -> None:
        """Change a layer's weights in place; summed in float32."""
        place = layer.weight.device
        up, down = self.up.to(place, torch.float32), self.down.to(place, torch.float32)
        is_quantized = isinstance(layer, QuantizedLinear)
        weight = layer.dense() if is_quantized else layer.weight.float()
        weight = weight + up @ down * self.scaling
        if self.magnitude is not None:
            weight *= (self.magnitude.to(place).float() / weight.norm(dim=1))[:, None]
        if is_quantized:
            layer.quantize(weight)
        else:
            layer.weight.copy_(weight)
        if self.bias is not None:
            layer.bias.add_(self.bias.to(place, torch.float32) * self.scaling)


@dataclass(frozen=True)
class Adapter:
    """A low-rank change of some linear layers.

    Attributes:
        folder: its folder or file; for names and messages.
        base: what it was trained on, as the training named it; "" where unknown.
        layers: name -> change. Names have underscores for dots where ``is_flat``.
    """

    folder: Path
    base: str
    layers: Mapping[str, LowRank]
    is_flat: bool = False

    def tensors(self) -> dict[str, Tensor]:
        """All that it changes a model by, by name."""
        return {
            f"{layer}.{part}": value if isinstance(value, Tensor) else torch.tensor(value)
            for layer, change in self.layers.items()
            for part, value in vars(change).items()
            if value is not None
        }


def read_adapter(path: str | Path) -> Adapter:
    """An adapter's folder, or its file of weights. Raises CheckpointError where it is missing, damaged,
    or of a kind that cannot be merged."""
    path = Path(path)
    if path.name == ADAPTER_CONFIG:
        path = path.parent
    if not is_there(path):
        raise CheckpointError(f"{path} does not exist; {_ADVICE}.")
    weights = _weights_file(path) if path.is_dir() else path
    tensors = flat_tensors(read_file(weights)[0], weights)
    by_layer, is_flat = _by_layer(weights, tensors)
    base, rule = ("", None) if is_flat else _settings(weights, tensors)
    layers = {layer: _low_rank(layer, parts, rule) for layer, parts in by_layer.items()}
    return Adapter(path, base, layers, is_flat)


def merge_adapter(transformer: nn.Module, adapter: Adapter) -> None:
    """Add an adapter to a transformer's weights, in place. Raises CheckpointError where it names layers
    that the transformer lacks, or of other shapes."""
    layers = {
        name.replace(".", "_") if adapter.is_flat else name: module
        for name, module in transformer.named_modules()
        if isinstance(module, nn.Linear)
    }
    differing: list[str] = []
    for name, change in adapter.layers.items():
        if (layer := layers.get(name)) is None:
            differing.append(name)
            continue
        found, expected = (len(change.up), change.down.shape[1]), tuple(layer.weight.shape)
        if found != expected:
            differing.append(f"{name}: found {found}, expected {expected}")
        elif change.bias is not None and layer.bias is None:
            differing.append(f"{name}: found a bias, expected none")
    if differing:
        trained = f", which was trained on {adapter.base}" if adapter.base else ""
        raise CheckpointError(
            f"The adapter in {adapter.folder}{trained}, does not fit this model: "
            f"{len(differing)} layers differ ({listed(differing)}); use it with the model it "
            "was trained on.",
        )
    with torch.no_grad():
        for name, change in adapter.layers.items():
            change.merge(layers[name])


def _weights_file(folder: Path) -> Path:
    """The file of weights in an adapter's folder."""
    named = [folder / ADAPTER_WEIGHTS, *(folder / f"adapter_model{s}" for s in PICKLE_SUFFIXES)]
    found = [path for path in named if path.exists()]
    if not found:
        found = sorted(p for p in folder.iterdir() if p.suffix.lower() in WEIGHT_SUFFIXES)
        if len(found) != 1 or (folder / ADAPTER_CONFIG).exists():
            raise CheckpointError(
                f"{folder / ADAPTER_WEIGHTS} does not exist; {_ADVICE}, or its file of weights."
            )
    return found[0]


def _settings(weights: Path, tensors: Mapping[str, Tensor]) -> tuple[str, LoraRule | None]:
    """(what it was trained on, the rule) of the configuration beside the weights, or in them.

    The file of one that diffusers saved may have none at all: every change counts once then.
    """
    path = weights.with_name(ADAPTER_CONFIG)
    noted = read_notes(weights).get(NOTED)
    if noted is not None:
        try:
            config = {re.sub(_PREFIXES, "", k, count=1): v for k, v in parse_json(noted).items()}
        except (ValueError, AttributeError) as error:
            raise CheckpointError(f"The settings in {weights} are damaged: {error}.") from error
        config = {"peft_type": "LORA", **config}
    elif path.exists() or any(name.startswith(PREFIX) for name in tensors):
        config = read_object(path, _ADVICE)
    else:
        return "", None
    return str(config.get("base_model_name_or_path") or ""), lora_rule(config, str(path))


def _by_layer(
    path: Path, tensors: Mapping[str, Tensor]
) -> tuple[dict[str, dict[str, Tensor]], bool]:
    """Layer -> its tensors by what they are; and whether layers are named with underscores."""
    layers: dict[str, dict[str, Tensor]] = {}
    unexpected = []
    is_flat = any(_FLAT.match(name) for name in tensors)
    for name, tensor in tensors.items():
        plain = name.replace(".default", "").removesuffix(".weight")
        match = (_FLAT if is_flat else _DOTTED).fullmatch(plain)
        part, dimensions = _PARTS[match["part"]] if match else ("", None)
        if match is None or tensor.dim() != dimensions or not tensor.is_floating_point():
            unexpected.append(name)
        else:
            layers.setdefault(match["layer"], {})[part] = tensor
    alone = [name for name, parts in layers.items() if not {"down", "up"} <= parts.keys()]
    unequal = [n for n, parts in layers.items() if n not in alone and not _agree(**parts)]
    if unexpected or alone or unequal or not layers:
        first = listed([*unexpected, *alone, *unequal])
        raise CheckpointError(
            f"{path} is not a low-rank adapter of a transformer ({first or 'it is empty'}); only "
            "changes of its linear layers can be merged.",
        )
    for name, parts in layers.items():
        if not all(tensor.float().isfinite().all() for tensor in parts.values()):
            raise CheckpointError(
                f"{path} holds infinite values or none (first: {name}); its training failed or the "
                "file is damaged: take an earlier checkpoint, or fetch it again."
            )
    return layers, is_flat


def _agree(down: Tensor, up: Tensor, **others: Tensor) -> bool:
    """Whether a layer's tensors are of one rank and width."""
    rows = [part for name, part in others.items() if name != "alpha"]
    return len(down) == up.shape[1] and all(len(part) == len(up) for part in rows)


def _low_rank(layer: str, parts: Mapping[str, Tensor], rule: LoraRule | None) -> LowRank:
    """Raises CheckpointError where the tensors are not those that the settings tell of."""
    told = {"magnitude": rule and rule.use_dora, "bias": rule and rule.lora_bias}
    for part, is_told in told.items():
        if (part in parts) != bool(is_told):
            raise CheckpointError(
                f"The adapter's settings and its weights differ: {layer} has "
                f"{'a' if part in parts else 'no'} {part}; export it again."
            )
    rank = len(parts["down"])
    scaling = rule.scaling(layer, rank) if rule else 1.0
    if "alpha" in parts:
        scaling = float(parts["alpha"]) / rank
    return LowRank(parts["down"], parts["up"], scaling, parts.get("magnitude"), parts.get("bias"))
