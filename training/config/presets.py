"""Settings by name: the paper's sizes at its three resolutions, and the shipped default model.

``2b-256``, ``2b-512`` and ``2b-1024`` are the paper's progressive recipe: train the first from
scratch, then start each next one from what the one before gave.
"""

from pathlib import Path
from typing import Any

from infinity.errors import nearest
from infinity.registry import MODEL_SPECS
from training.config.errors import SettingsError
from training.config.files import read_settings

SIZES = {
    "125m": "infinity-125m",
    "361m": "infinity-361m",
    "940m": "infinity-940m",
    "2b": "infinity-2b",
    "4.7b": "infinity-4.7b",
    "8b": "infinity-8b",
}
"""Size -> the registered model of that shape. 2B and 8B are the released models' shapes."""

TOKENIZERS = {16: "infinity-125m", 32: "infinity-2b", 56: "infinity-8b"}
"""Bits a token -> a released model whose tokenizer gives them."""

STAGES: dict[str, dict[str, Any]] = {
    "256": {"steps": 150_000, "batch_size": 4096, "learning_rate": 6e-5},
    "512": {"steps": 110_000, "batch_size": 4096, "learning_rate": 6e-5},
    "1024": {"steps": 60_000, "batch_size": 2048, "learning_rate": 2e-5},
}
"""Resolution -> the paper's recipe, section 4.1."""

_RECIPE = Path(__file__).parents[1] / "default_model"
DEFAULT = {
    "default": _RECIPE / "transformer.yaml",
    "default-tokenizer": _RECIPE / "tokenizer.yaml",
    "default-decoder": _RECIPE / "decoder.yaml",
}
"""The parts of the shipped model."""

LARGE = ("940m", "2b", "4.7b", "8b")
"""Sizes that are sharded and recompute their activations."""


def preset_names() -> tuple[str, ...]:
    """Every name ``preset`` knows."""
    paper = (f"{size}-{resolution}" for size in SIZES for resolution in STAGES)
    return (*paper, *DEFAULT)


def preset(name: str) -> dict[str, Any]:
    """The settings of a preset, to be completed with ``output`` and ``data.sources``.

    Raises:
        SettingsError: an unknown name.
    """
    if name in DEFAULT:
        return dict(read_settings(DEFAULT[name]))
    size, _, resolution = str(name).partition("-")
    if size in SIZES and resolution in STAGES:
        return _paper(size, resolution)
    near = nearest(str(name), preset_names())
    hint = f"did you mean {near}?" if near else f"known: {', '.join(preset_names())}."
    raise SettingsError(f"preset {name!r} is not known; {hint}")


def _paper(size: str, resolution: str) -> dict[str, Any]:
    spec = MODEL_SPECS[SIZES[size]]
    return {
        "task": "transformer",
        "model": spec.transformer.to_dict(),
        "tokenizer": {
            "model": spec.tokenizer.to_dict(),
            "weights": TOKENIZERS[spec.tokenizer.bits_per_token],
        },
        "text_encoder": {
            "source": spec.text_encoder.source,
            "revision": spec.text_encoder.revision,
            "max_length": spec.text_encoder.max_length,
        },
        "data": {"resolution": resolution, "short_caption_probability": 0.5},
        "optimization": {
            **STAGES[resolution],
            "betas": (0.9, 0.97),
            "weight_decay": 0.005,
            "schedule": "constant",
            "clip": 5.0,
            "dtype": "bfloat16",
            "text_dropout": 0.1,
            "reweight": True,
            "drop_path": 0.1,
            "activation_checkpointing": size in LARGE,
        },
        "self_correction": {"strength": 0.3, "scales": 13, "requantize": True},
        "parallel": {"shard": "full" if size in LARGE else "none"},
        "sampling": {"guidance": 4.0, "temperature": 1.0},
    }
