"""The one way to a configuration: file, then command line, then dict, each overriding the last."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from training.config.errors import SettingsError
from training.config.settings import TrainingConfig


def load_config(
    file: str | Path | None = None,
    command_line: Sequence[str] = (),
    overrides: Mapping[str, Any] | None = None,
) -> TrainingConfig:
    """A checked configuration.

    Args:
        file: JSON or YAML.
        command_line: such as ``["--data.resolution", "512"]``; overrides the file.
        overrides: nested dict; overrides both.

    Raises:
        SettingsError: an unknown, ill-typed or contradictory setting.
    """
    merged: dict[str, Any] = {}
    if file is not None:
        merged = _merged(merged, yaml.safe_load(Path(file).read_text(encoding="utf-8")))
    merged = _merged(merged, overrides or {})
    try:
        return TrainingConfig.model_validate(merged)
    except ValidationError as error:
        raise SettingsError(str(error)) from error


def save_config(config: TrainingConfig, path: str | Path) -> None:
    """Write a configuration as JSON; ``load_config`` reads back an equal one."""
    text = json.dumps(config.model_dump(mode="json"), indent=2, ensure_ascii=False) + "\n"
    Path(path).write_text(text, encoding="utf-8")


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        both = isinstance(below, Mapping) and isinstance(value, Mapping)
        merged[key] = _merged(below, value) if both else value
    return merged
