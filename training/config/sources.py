"""What lies below the settings that are given: files, presets, the model a run starts from.

Of the presets ``2b-256``, ``2b-512`` and ``2b-1024`` are the paper's progressive recipe: train the
first from scratch, then start each next one from what the one before gave.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict
from functools import reduce
from pathlib import Path
from typing import Any

import yaml

from infinity.checkpoints.fit import infer_tokenizer
from infinity.checkpoints.load import own_folder
from infinity.checkpoints.upstream import read_part, read_upstream
from infinity.config import TokenizerConfig
from infinity.errors import suggestion
from infinity.files import read_text
from infinity.registry import MODEL_SPECS, get_spec, model_names
from infinity.spec import CONFIG_FILE, ModelSpec, read_spec, read_tokenizer_config
from training.config.errors import SettingsError

SIZES = ("125m", "361m", "940m", "2b", "4.7b", "8b")
"""Of the registered models; 2B and 8B are the released ones' shapes."""

TOKENIZERS = {16: "infinity-125m", 32: "infinity-2b", 56: "infinity-8b"}
"""Bits a token -> a released model whose tokenizer gives them."""

STAGES: dict[str, dict[str, Any]] = {
    "256": {"steps": 150_000, "batch_size": 4096, "learning_rate": 6e-5},
    "512": {"steps": 110_000, "batch_size": 4096, "learning_rate": 6e-5},
    "1024": {"steps": 60_000, "batch_size": 2048, "learning_rate": 2e-5},
}
"""Resolution -> the paper's recipe, section 4.1; the rest of it is what settings are by themselves."""

_RECIPES = Path(__file__).parents[1] / "default_model"
DEFAULT = {
    "default": ("transformer.yaml",),
    "default-tokenizer": ("tokenizer.yaml",),
    "default-decoder": ("decoder.yaml",),
    "next": ("transformer.yaml", "next/shapes.yaml", "next/transformer.yaml"),
    "next-tokenizer": ("tokenizer.yaml", "next/shapes.yaml", "next/tokenizer.yaml"),
    "next-decoder": ("decoder.yaml", "next/shapes.yaml", "next/decoder.yaml"),
}
"""The parts of the shipped model and of the one to come: files, each over those before it."""

REPLACES = {
    "resolution": ("schedules",),
    "schedules": ("resolution", "aspect_ratios"),
    "held_out": ("held_out_sources",),
    "held_out_sources": ("held_out",),
}
"""A setting of data -> those it takes the place of."""

PRESETS = (*(f"{size}-{resolution}" for size in SIZES for resolution in STAGES), *DEFAULT)

LARGE = ("940m", "2b", "4.7b", "8b")
"""Sizes that are sharded and recompute their activations."""
LARGE_PARAMETERS = 100_000_000
"""In the blocks of a transformer whose fine-tuning is made to fit a card unless told otherwise."""


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """``over`` on top of ``base``; of settings that exclude each other the upper one stays."""
    gone = {name for one, others in REPLACES.items() if over.get(one) for name in others}
    found = {name: value for name, value in base.items() if name not in gone}
    for key, value in over.items():
        below = found.get(key)
        if isinstance(below, Mapping) and isinstance(value, Mapping) and key != "schedules":
            value = merged(below, value)
        found[key] = value
    return found


def read_settings(path: Path) -> dict[str, Any]:
    """A file's settings, JSON or YAML; in YAML, every value is text until it is checked against its
    type.

    Raises:
        SettingsError: no such file, or no settings in it.
    """
    suffix = path.suffix.lower()
    if suffix not in (".json", ".yaml", ".yml"):
        raise SettingsError(f"{path} is not a configuration; its name must end in .json or .yaml.")
    try:
        text = read_text(path).removeprefix("\ufeff")
        if suffix == ".json":
            content = json.loads(text, object_pairs_hook=_once)
        else:
            content = yaml.load(text, _Yaml)
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        what = getattr(error, "strerror", None) or str(error).replace("\n", " ")
        raise SettingsError(f"{path} cannot be read: {what}.") from error
    if not isinstance(content, dict):
        raise SettingsError(f"{path} holds no settings; write names and values.")
    return content


class _Yaml(yaml.BaseLoader):
    """Reads "1:1" and "no" as they are written, not as the number 61 and false."""

    def construct_scalar(self, node: yaml.ScalarNode) -> Any:
        value = super().construct_scalar(node)
        return None if value in ("", "~", "null") else value

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        return _once([
            (str(self.construct_object(key, deep)), self.construct_object(value, deep))
            for key, value in node.value
        ])  # fmt: skip


def _once(pairs: list[tuple[Any, Any]]) -> dict[Any, Any]:
    """A mapping; a name that is written twice is an error, which JSON and YAML readers let pass."""
    found: dict[Any, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"{name} is written twice")
        found[name] = value
    return found


def preset(name: str) -> dict[str, Any]:
    """The settings of a preset, to be completed with ``output`` and ``data.sources``.

    Raises:
        SettingsError: an unknown name.
    """
    if name in DEFAULT:
        return reduce(merged, (read_settings(_RECIPES / file) for file in DEFAULT[name]))
    if name not in PRESETS:
        raise SettingsError(f"preset {name!r} is not known{suggestion(str(name), PRESETS)}")
    size, _, resolution = name.partition("-")
    spec = MODEL_SPECS[f"infinity-{size}"]
    settings = _settings_of_parts(spec)
    settings["tokenizer"]["weights"] = TOKENIZERS[spec.tokenizer.bits_per_token]
    return settings | {
        "data": {"resolution": resolution, "short_caption_probability": 0.5},
        "optimization": {
            **STAGES[resolution],
            "schedule": "constant",
            "dtype": "bfloat16",
            "drop_path": 0.1,
            "activation_checkpointing": size in LARGE,
        },
        "parallel": {"shard": "full" if size in LARGE else "none"},
        "sampling": {"guidance": 4.0, "temperature": 1.0},
    }


def settings_of(name_or_path: str) -> dict[str, Any]:
    """The settings a run takes over from the model it starts from, of which no weights are loaded.

    Args:
        name_or_path: a registered model, a folder of the own format, or upstream's checkpoint.

    Raises:
        RequestError, CheckpointError: no such model, or a damaged one.
    """
    spec, encoder_folder = _described(name_or_path)
    settings, shape = _settings_of_parts(spec), spec.transformer
    if encoder_folder is not None:
        path, here = encoder_folder.resolve(), Path.cwd()  # settings can be passed on from here
        source = path.relative_to(here) if path.is_relative_to(here) else encoder_folder
        settings["text_encoder"] |= {"source": str(source), "revision": ""}
    large = 16 * shape.depth * shape.width**2 >= LARGE_PARAMETERS
    return settings | {
        "optimization": {"dtype": "bfloat16", "activation_checkpointing": True} if large else {},
        "data": {"schedules": {name: s.to_dict() for name, s in spec.schedules.items()}},
        "sampling": asdict(spec.sampling),
    }


def _settings_of_parts(spec: ModelSpec) -> dict[str, Any]:
    encoder = spec.text_encoder
    return {
        "model": spec.transformer.to_dict(),
        "tokenizer": {"model": spec.tokenizer.to_dict()},
        "text_encoder": {
            "source": encoder.source,
            "revision": encoder.revision,
            "max_length": encoder.max_length,
        },
    }


def _described(name_or_path: str) -> tuple[ModelSpec, Path | None]:
    """A model's spec, and its text encoder's folder where it has one."""
    path, folder = Path(name_or_path), own_folder(name_or_path)
    if folder is None and (path / CONFIG_FILE).is_file():
        folder = path  # of another kind, of which reading it will tell
    if folder is not None:
        spec = read_spec(folder)
        local = "/" not in spec.text_encoder.source
        return spec, folder / spec.text_encoder.source if local else None
    if name_or_path in model_names() or not path.exists():
        return get_spec(name_or_path), None
    found = read_upstream(path)
    return found.spec, found.text_encoder


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
    return _described(name_or_path)[0].tokenizer
