"""Settings from the command line: ``--data.resolution 512 --data.sources cats dogs``.

What is given is read as text, as in a YAML file; its type is checked with all other settings.
"""

import argparse
import dataclasses
import inspect
import json
import re
import sys
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from infinity.checks import Checked
from training.config.errors import SettingsError, unknown
from training.config.settings import TrainingConfig
from training.config.sources import PRESETS

PROGRAM = "python -m training.train"


@dataclasses.dataclass(frozen=True)
class Setting:
    """What ``--help`` says of a setting or section; ``kinds`` are its types, without None and
    annotations."""

    kinds: tuple[Any, ...]
    default: Any
    sentence: str

    @property
    def may_be_list(self) -> bool:
        return any(get_origin(kind) is tuple for kind in self.kinds)

    @property
    def section(self) -> type | None:
        kind = self.kinds[0]
        return kind if isinstance(kind, type) and issubclass(kind, (BaseModel, Checked)) else None


_EXTRA = {
    "preset": Setting((str,), None, f"settings to begin with: {', '.join(PRESETS)}."),
    "config": Setting((str,), None, "a .json or .yaml file of settings."),
}


@cache
def setting_types() -> Mapping[str, Setting]:
    """Every setting by its dotted name; sections too."""
    return dict(_walk(TrainingConfig, ""))


def parse(arguments: Sequence[str]) -> dict[str, Any]:
    """Only what was given, nested as ``TrainingConfig`` is; values are checked later.

    ``--help`` prints every setting and exits.

    Raises:
        SettingsError: an unknown option, or one without a value.
    """
    known = {**_EXTRA, **setting_types()}
    given: dict[str, Any] = {}
    rest = list(arguments)
    while rest:
        option, _, attached = rest.pop(0).partition("=")
        if option in ("-h", "--help"):
            sys.stdout.write(_help(known))
            raise SystemExit(0)
        if not option.startswith("--"):
            raise SettingsError(
                f"{option!r} follows no setting; write --name value, and quote values with spaces."
            )
        name = option.removeprefix("--").replace("-", "_")
        if name not in known:
            raise SettingsError(unknown(name, known))
        values = [attached] if attached else []
        while not attached and rest and not rest[0].startswith("--"):
            values.append(rest.pop(0))
        put(given, name, _value(name, known[name], values))
    return given


def put(tree: dict[str, Any], name: str, value: Any) -> None:
    """Set a dotted name in a nested dict; what is no section on the way becomes one."""
    *sections, last = name.split(".")
    for section in sections:
        if not isinstance(tree.get(section), dict):
            tree[section] = {}
        tree = tree[section]
    tree[last] = value


def _value(name: str, setting: Setting, values: list[str]) -> Any:
    if not values and setting.kinds == (bool,):
        return True
    if not values:
        raise SettingsError(f"--{name} needs a value.")
    if len(values) > 1 and not setting.may_be_list:
        raise SettingsError(
            f"--{name} takes one value, not {len(values)}; quote values with spaces."
        )
    if values == ["null"]:
        return None
    is_text = setting.kinds in ((str,), (Path,))
    if len(values) == 1 and values[0].startswith(("[", "{")) and not is_text:
        try:
            return json.loads(values[0])
        except ValueError as error:
            raise SettingsError(f"--{name} must be JSON, not {values[0]!r} ({error}).") from error
    is_list = all(get_origin(kind) is tuple for kind in setting.kinds)
    return values if is_list or len(values) > 1 else values[0]


def _help(settings: Mapping[str, Setting]) -> str:
    """Every setting with its kind, sentence and default, section after section."""
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        usage=f"{PROGRAM} [run.yaml] [--setting value ...]",
        description="Train a transformer or a tokenizer.",
    )
    group: argparse._ActionsContainer = parser
    for name, setting in settings.items():
        text = setting.sentence.replace("%", "%%")
        if setting.section is not None:
            group = parser.add_argument_group(name, text)
            continue
        text += "" if name in _EXTRA else f" (default: {_written(setting.default)})"
        section = group if "." in name else parser
        section.add_argument(f"--{name}", metavar=_metavar(setting), help=text)
    return parser.format_help()


def explanations(section: type) -> dict[str, str]:
    """Setting -> its sentence, from the list in the docstring of its section."""
    listed = re.split(r"\n(?:Args|Attributes):", inspect.getdoc(section) or "", maxsplit=1)
    found: dict[str, str] = {}
    for item in re.split(r"\n {4}(?=\S)", listed[-1])[1:]:
        names, _, text = item.partition("\n\n")[0].partition(": ")
        found |= dict.fromkeys(names.split(", "), " ".join(text.split()).replace("``", ""))
    return found


def _metavar(setting: Setting) -> str:
    kind, more = setting.kinds[0], "..." if setting.may_be_list else ""
    if get_origin(kind) is tuple:
        kind = get_args(kind)[0]
    if get_origin(kind) is Literal:
        return f"{{{','.join(map(str, get_args(kind)))}}}{more}"
    return ("JSON" if get_origin(kind) in (dict, tuple) else kind.__name__) + more


def _written(default: Any) -> str:
    absent = (None, (), PydanticUndefined, dataclasses.MISSING)
    return "none" if default in absent else json.dumps(default, default=str).strip('"')


def _walk(section: type, prefix: str) -> Iterator[tuple[str, Setting]]:
    hints, said = typing.get_type_hints(section), explanations(section)
    fields: Mapping[str, Any] = (
        section.model_fields
        if issubclass(section, BaseModel)
        else {field.name: field for field in dataclasses.fields(section)}  # type: ignore[arg-type]
    )
    for name, field in fields.items():
        is_union = get_origin(hints[name]) in (typing.Union, types.UnionType)
        kinds = get_args(hints[name]) if is_union else (hints[name],)
        own = tuple(kind for kind in kinds if kind is not types.NoneType)
        setting = Setting(own, field.default, said.get(name, ""))
        yield prefix + name, setting
        if setting.section is not None:
            yield from _walk(setting.section, f"{prefix}{name}.")
