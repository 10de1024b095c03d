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
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel

from training.config.errors import SettingsError, unknown
from training.config.presets import preset_names
from training.config.settings import TrainingConfig

PROGRAM = "python -m training.train"
_EXTRA = {
    "preset": f"settings to begin with: {', '.join(preset_names())}.",
    "config": "a .json or .yaml file of settings.",
}


@dataclasses.dataclass(frozen=True)
class Setting:
    """What ``--help`` says of a setting; ``kind`` is its type without None and annotations."""

    kind: Any
    default: Any
    sentence: str

    @property
    def is_list(self) -> bool:
        return get_origin(self.kind) is tuple

    @property
    def may_be_list(self) -> bool:
        return self.is_list or any(get_origin(part) is tuple for part in get_args(self.kind))


@cache
def setting_types() -> Mapping[str, Setting]:
    """Every setting by its dotted name; sections too."""
    return types.MappingProxyType(dict(_walk(TrainingConfig, "")))


def parse(arguments: Sequence[str]) -> dict[str, Any]:
    """Only what was given, nested as ``TrainingConfig`` is; values are checked later.

    ``--help`` prints every setting and exits.

    Raises:
        SettingsError: an unknown option, or one without a value.
    """
    given: dict[str, Any] = {}
    rest = list(arguments)
    while rest:
        option, _, attached = rest.pop(0).partition("=")
        if option in ("-h", "--help"):
            sys.stdout.write(help_text())
            raise SystemExit(0)
        if not option.startswith("--"):
            raise SettingsError(
                f"{option!r} follows no setting; write --name value, and quote values with spaces."
            )
        name = option.removeprefix("--").replace("-", "_")
        known = {**setting_types(), **dict.fromkeys(_EXTRA, Setting(str, None, ""))}
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
    if not values and setting.kind is bool:
        return True
    if not values:
        raise SettingsError(f"--{name} needs a value.")
    if setting.may_be_list and len(values) > 1:
        return values
    if len(values) > 1:
        raise SettingsError(
            f"--{name} takes one value, not {len(values)}; quote values with spaces."
        )
    (value,) = values
    if value == "null":
        return None
    if setting.may_be_list and not value.startswith("["):
        return values if setting.is_list else value
    if setting.may_be_list or get_origin(setting.kind) is dict or _is_section(setting.kind):
        try:
            return json.loads(value)
        except ValueError as error:
            raise SettingsError(f"--{name} must be JSON, not {value!r} ({error}).") from error
    return value


def help_text() -> str:
    """Every setting with its kind, sentence and default, section after section."""
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        usage=f"{PROGRAM} [run.yaml] [--setting value ...]",
        description="Train a transformer or a tokenizer.",
        argument_default=argparse.SUPPRESS,
    )
    group: argparse._ActionsContainer = parser
    for name, sentence in _EXTRA.items():
        parser.add_argument(f"--{name}", metavar="TEXT", help=sentence)
    for name, setting in setting_types().items():
        sentence = setting.sentence.replace("%", "%%")
        if _is_section(setting.kind):
            group = parser.add_argument_group(name, sentence)
            continue
        default = f" (default: {_written(setting.default)})"
        section = group if "." in name else parser
        section.add_argument(f"--{name}", metavar=_metavar(setting), help=sentence + default)
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
    kind = setting.kind
    if setting.may_be_list:
        return f"{_metavar(dataclasses.replace(setting, kind=get_args(kind)[0]))}..."
    if get_origin(kind) is Literal:
        return f"{{{','.join(map(str, get_args(kind)))}}}"
    return "JSON" if get_origin(kind) is dict else kind.__name__


def _written(default: Any) -> str:
    return "none" if default in (None, ()) else json.dumps(default, default=str).strip('"')


def _walk(section: type, prefix: str) -> typing.Iterator[tuple[str, Setting]]:
    hints, said = typing.get_type_hints(section), explanations(section)
    if issubclass(section, BaseModel):
        fields = {
            name: None if field.is_required() else field.default
            for name, field in section.model_fields.items()
        }
    else:
        fields = {
            field.name: None if field.default is dataclasses.MISSING else field.default
            for field in dataclasses.fields(section)
        }
    for name, default in fields.items():
        kind: Any = hints[name]
        if get_origin(kind) in (typing.Union, types.UnionType):
            kinds = [part for part in get_args(kind) if part is not types.NoneType]
            kind = kinds[0] if len(kinds) == 1 else typing.Union[tuple(kinds)]  # noqa: UP007
        yield prefix + name, Setting(kind, default, said.get(name, ""))
        if _is_section(kind):
            yield from _walk(kind, f"{prefix}{name}.")


def _is_section(kind: Any) -> bool:
    if not isinstance(kind, type):
        return False
    own = ("infinity.config", "infinity.request")
    return issubclass(kind, BaseModel) or (
        dataclasses.is_dataclass(kind) and kind.__module__ in own
    )
