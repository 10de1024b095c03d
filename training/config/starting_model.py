"""What a run takes over from the model it starts from: shapes, text encoder, schedules, sampling."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from infinity.checkpoints.fit import infer_tokenizer
from infinity.checkpoints.load import own_folder
from infinity.checkpoints.upstream import read_part, read_upstream
from infinity.config import TokenizerConfig
from infinity.registry import get_spec, model_names
from infinity.spec import CONFIG_FILE, ModelSpec, read_spec, read_tokenizer_config

LARGE_PARAMETERS = 100_000_000
"""In the blocks of a transformer whose fine-tuning is made to fit a card unless told otherwise."""


def describe(name_or_path: str) -> tuple[ModelSpec, str | None]:
    """A model's spec, and its text encoder's folder where it has one; no weights are loaded.

    Args:
        name_or_path: a registered model, a folder of the own format, or upstream's checkpoint.

    Raises:
        RequestError, CheckpointError: no such model, or a damaged one.
    """
    folder = own_folder(name_or_path)
    if folder is None and (Path(name_or_path) / CONFIG_FILE).is_file():
        folder = Path(name_or_path)  # of another kind, of which reading it will tell
    if folder is not None:
        spec = read_spec(folder)
        local = "/" not in spec.text_encoder.source
        return spec, str(folder / spec.text_encoder.source) if local else None
    if name_or_path in model_names() or not Path(name_or_path).exists():
        return get_spec(name_or_path), None
    found = read_upstream(Path(name_or_path))
    return found.spec, None if found.text_encoder is None else str(found.text_encoder)


def settings_of(name_or_path: str) -> dict[str, Any]:
    """The settings a run takes over, to be overridden by whatever is given."""
    spec, encoder_folder = describe(name_or_path)
    encoder = spec.text_encoder
    shape = spec.transformer
    large = 16 * shape.depth * shape.width**2 >= LARGE_PARAMETERS
    return {
        "optimization": {"dtype": "bfloat16", "activation_checkpointing": True} if large else {},
        "model": spec.transformer.to_dict(),
        "tokenizer": {"model": spec.tokenizer.to_dict()},
        "text_encoder": {
            "source": encoder.source if encoder_folder is None else _short(encoder_folder),
            "revision": "" if encoder_folder else encoder.revision,
            "max_length": encoder.max_length,
        },
        "data": {"schedules": {name: s.to_dict() for name, s in spec.schedules.items()}},
        "sampling": asdict(spec.sampling),
    }


def _short(folder: str) -> str:
    """From the working directory where it lies below, so that settings can be passed on."""
    path = Path(folder).resolve()
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else folder


def tokenizer_of(name_or_path: str) -> TokenizerConfig:
    """The shape of a tokenizer: of a model, or in upstream's file.

    Raises:
        RequestError, CheckpointError: no such model, or a damaged one.
    """
    path, folder = Path(name_or_path), own_folder(name_or_path)
    if folder is not None:
        return read_tokenizer_config(folder)
    if path.is_file():
        return infer_tokenizer(read_part(path, "tokenizer").tensors)
    return describe(name_or_path)[0].tokenizer
