"""Settings from the command line: ``--data.resolution 512 --data.sources cats dogs``.

pydantic-settings reads the options; this file gives it a model in which everything may be left out,
and lets lists be written as plain words.
"""

from __future__ import annotations

import argparse
import dataclasses
import inspect
import json
import re
import types
import typing
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, get_args, get_origin

from pydantic import BaseModel, Field, create_model
from pydantic_settings import BaseSettings, CliSettingsSource
from pydantic_settings import SettingsError as ParserError

from training.config.errors import SettingsError, unknown
from training.config.presets import preset_names
from training.config.settings import TrainingConfig


@cache
def setting_types() -> Mapping[str, Any]:
    """Every setting's dotted name -> its type; sections too."""
    return types.MappingProxyType(dict(_walk(TrainingConfig, "")))


PROGRAM = "python -m training.train"


def parse(arguments: Sequence[str]) -> dict[str, Any]:
    """Only what was given, nested as ``TrainingConfig`` is; values are checked later.

    ``--help`` prints every setting and exits.

    Raises:
        SettingsError: an unknown option, or one without a value.
    """
    held: dict[str, str] = {}
    words = _normalized(arguments, held)
    try:
        source = CliSettingsSource(
            _optional_model(),
            cli_prog_name=PROGRAM,
            cli_parse_args=words,
            cli_exit_on_error=False,
            cli_hide_none_type=True,
            cli_use_class_docs_for_groups=True,
            formatter_class=_Help,
        )
        return _restored(source(), held)
    except ParserError as error:
        message = str(error).removeprefix("error parsing CLI: ")
        raise SettingsError(f"The command line is wrong: {message}.") from error


class _Help(argparse.RawDescriptionHelpFormatter):
    """The usage in one line: a hundred settings are listed below it anyway."""

    def add_usage(self, usage: str | None, *given: Any, **named: Any) -> None:
        super().add_usage(f"{PROGRAM} [run.yaml] [--setting value ...]", *given, **named)


def explanations(section: type) -> dict[str, str]:
    """Setting -> its sentence, from the list in the docstring of its section."""
    listed = re.split(r"\n(?:Args|Attributes):", inspect.getdoc(section) or "", maxsplit=1)
    found: dict[str, str] = {}
    for item in re.split(r"\n {4}(?=\S)", listed[-1])[1:]:
        names, _, text = item.partition("\n\n")[0].partition(": ")
        found |= dict.fromkeys(names.split(", "), " ".join(text.split()).replace("``", ""))
    return found


def _restored(value: Any, held: Mapping[str, str]) -> Any:
    if isinstance(value, Mapping):
        return {name: _restored(each, held) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_restored(each, held) for each in value]
    return held.get(value, value) if isinstance(value, str) else value


def _normalized(arguments: Sequence[str], held: dict[str, str]) -> list[str]:
    """Words after an option that takes a list become one JSON list; a bare claim is true.

    Args:
        held: filled with names in the list -> the words they stand for, since the parser reads quotes,
            escapes and characters beyond ASCII in lists otherwise than JSON does.
    """
    words: list[str] = []
    rest = list(arguments)
    while rest:
        option, _, attached = rest.pop(0).partition("=")
        if option in ("-h", "--help"):
            words.append("--help")
            continue
        if not option.startswith("--"):
            raise SettingsError(
                f"{option!r} follows no setting; write --name value, and quote values with spaces."
            )
        name = option.removeprefix("--").replace("-", "_")
        known = {**setting_types(), **dict.fromkeys(_EXTRA, str)}
        if name not in known:
            raise SettingsError(unknown(name, known))
        values = [attached] if attached else []
        while not attached and rest and not rest[0].startswith("--"):
            values.append(rest.pop(0))
        words += [f"--{name}", *_value(known[name], values, held)]
    return words


_HELD = "@word-"


def _value(kind: Any, values: list[str], held: dict[str, str]) -> list[str]:
    is_list = get_origin(kind) is tuple and not (len(values) == 1 and values[0].startswith("["))
    may_be_list = any(get_origin(part) is tuple for part in get_args(kind)) and len(values) > 1
    if is_list or may_be_list:
        names = [f"{_HELD}{len(held) + number}" for number in range(len(values))]
        held.update(zip(names, values, strict=True))
        return [json.dumps(names)]
    if kind is bool and not values:
        return ["true"]
    return values


_EXTRA = {
    "preset": f"settings to begin with: {', '.join(preset_names())}",
    "config": "a .json or .yaml file of settings",
}


@cache
def _optional_model() -> type[BaseSettings]:
    """``TrainingConfig`` with nothing required, so that only what was given comes out."""
    fields: dict[str, Any] = {
        name: (str | None, Field(None, description=text)) for name, text in _EXTRA.items()
    }
    return create_model(
        "Settings",
        __base__=BaseSettings,
        __doc__="Train a model.",
        **fields,
        **_optional_fields(TrainingConfig),
    )


def _optional_fields(section: type) -> dict[str, Any]:
    """The defaults and texts are for ``--help`` alone."""
    said = explanations(section)
    return {
        name: (
            _optional(kind) | None,
            Field(default if _section(kind) is None else None, description=said.get(name)),
        )
        for name, (kind, default) in _fields(section).items()
    }


def _optional(kind: Any) -> Any:
    section = _section(kind)
    if section is None:
        return kind
    title = (section.__doc__ or "").partition("\n")[0]
    return create_model(section.__name__, __doc__=title, **_optional_fields(section))


def _fields(section: type) -> dict[str, tuple[Any, Any]]:
    """A section's settings: type, without None and annotations, and default (None: required)."""
    hints = typing.get_type_hints(section)
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
    return {name: (_plain(hints[name]), default) for name, default in fields.items()}


def _plain(kind: Any) -> Any:
    if get_origin(kind) in (typing.Union, types.UnionType):
        kinds = [part for part in get_args(kind) if part is not types.NoneType]
        return kinds[0] if len(kinds) == 1 else typing.Union[tuple(kinds)]  # noqa: UP007
    return kind


def _section(kind: Any) -> type | None:
    """The class of a nested section, None for a value."""
    if not isinstance(kind, type):
        return None
    nested = issubclass(kind, BaseModel) or (
        dataclasses.is_dataclass(kind)
        and kind.__module__ in ("infinity.config", "infinity.request")
    )
    return kind if nested else None


def _walk(section: type, prefix: str) -> typing.Iterator[tuple[str, Any]]:
    for name, (kind, _) in _fields(section).items():
        yield prefix + name, kind
        if (inner := _section(kind)) is not None:
            yield from _walk(inner, f"{prefix}{name}.")
