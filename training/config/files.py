"""Settings in files, JSON or YAML, before anything is checked but the syntax."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from infinity.files import read_text
from training.config.errors import SettingsError


def read_settings(path: Path) -> Mapping[str, Any]:
    """A file's settings; in YAML, every value is text until it is checked against its type.

    Raises:
        SettingsError: no such file, or no settings in it.
    """
    suffix = path.suffix.lower()
    if suffix not in (".json", ".yaml", ".yml"):
        raise SettingsError(f"{path} is not a configuration; its name must end in .json or .yaml.")
    try:
        text = read_text(path).removeprefix("\ufeff")
        content = (
            json.loads(text, object_pairs_hook=_once)
            if suffix == ".json"
            else _nulls(yaml.load(text, _Yaml))
        )
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        what = getattr(error, "strerror", None) or str(error).replace("\n", " ")
        raise SettingsError(f"{path} cannot be read: {what}.") from error
    if not isinstance(content, Mapping):
        raise SettingsError(f"{path} holds no settings; write names and values.")
    return content


class _Yaml(yaml.BaseLoader):
    """Reads "1:1" and "no" as they are written, not as the number 61 and false."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        return _once([
            (self.construct_object(key, deep), self.construct_object(value, deep))
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


def _nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _nulls(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_nulls(item) for item in value]
    return None if value in ("", "~", "null") else value
