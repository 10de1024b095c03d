"""Low-rank adapters (Hu et al., 2021) through peft: in a transformer that is trained, and on disk."""

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from peft import LoraConfig, inject_adapter_in_model
from safetensors.torch import save_file
from torch import Tensor, nn

from infinity.checkpoints.adapter import ADAPTER_CONFIG, ADAPTER_WEIGHTS, PREFIX
from infinity.checkpoints.fit import stays_float32
from infinity.errors import CheckpointError
from infinity.files import disk_errors
from training.config.sections import LoraSettings
from training.config.settings import TrainingConfig


def add_lora(
    transformer: nn.Module, settings: LoraSettings, seed: int, dtype: torch.dtype = torch.float32
) -> None:
    """Wrap the target layers in place; only the adapters (float32) are left to train.

    The change is zero at first: the model computes what it did before.

    Args:
        dtype: that the frozen weights are kept in; embeddings, modulation, norms and head are
            float32 always, as when a model draws.
    """
    for name, parameter in transformer.named_parameters():
        if not stays_float32(name):
            parameter.data = parameter.data.to(dtype)
    with torch.random.fork_rng(devices=[]):  # peft draws from the global source
        torch.manual_seed(seed)
        inject_adapter_in_model(peft_config(settings), transformer)
    for name, parameter in transformer.named_parameters():
        parameter.requires_grad_(is_adapter(name))
        if is_adapter(name):
            parameter.data = parameter.data.float()


def peft_config(settings: LoraSettings, base: str | None = None) -> LoraConfig:
    return LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,  # type: ignore[arg-type]
        lora_dropout=settings.dropout,
        target_modules=list(settings.targets),
        base_model_name_or_path=base,
    )


def is_adapter(name: str) -> bool:
    """Whether a parameter of a wrapped model belongs to an adapter."""
    return ".lora_A." in name or ".lora_B." in name


def save_adapter(
    folder: str | Path, settings: LoraSettings, state: Mapping[str, Tensor], base: str
) -> None:
    """Write an adapter as a folder that peft and this package read.

    Args:
        state: a wrapped transformer's state dict.
        base: the model it was trained on.

    Raises:
        ResourceError: the folder cannot be written.
    """
    folder = Path(folder)
    tensors = {
        PREFIX + name.replace(".default.", "."): tensor.detach().cpu().contiguous()
        for name, tensor in state.items()
        if is_adapter(name)
    }
    content = peft_config(settings, base).to_dict()
    config = {name: value for name, value in content.items() if value is not None}
    config["target_modules"] = sorted(settings.targets)
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        save_file(tensors, folder / ADAPTER_WEIGHTS, metadata={"format": "pt"})
        (folder / ADAPTER_WEIGHTS).chmod(0o644)
        (folder / ADAPTER_CONFIG).write_text(
            json.dumps(config, indent=2, default=str) + "\n", encoding="utf-8"
        )


def require_base(saved: str | None, now: str | None, config: TrainingConfig) -> None:
    """Of a checkpoint with an adapter alone, by fingerprints of the model it belongs to.

    Raises:
        CheckpointError: the model it belongs to has other weights now.
    """
    if saved != now:
        raise CheckpointError(
            f"{config.start_from} has other weights than when {config.output} was trained, and the "
            "run's checkpoints hold the adapter alone; bring the former weights back, or begin a "
            "new run in another output folder."
        )
