"""The one way to a configuration: file, then command line, then dict, each overriding the last.

Below all of them lie the preset and the model that the run starts from.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from infinity.errors import InfinityError, ResourceError
from training.config.checks import check_width
from training.config.command_line import parse, setting_types
from training.config.errors import SettingsError, sentence
from training.config.files import read_settings
from training.config.kinds import from_home
from training.config.presets import preset
from training.config.settings import TrainingConfig
from training.config.starting_model import settings_of, tokenizer_of


def load_config(
    file: str | Path | None = None,
    command_line: Sequence[str] = (),
    overrides: Mapping[str, Any] | None = None,
) -> TrainingConfig:
    """A checked configuration.

    Each source may also name a ``preset``; the command line may name the file with ``--config``.

    Args:
        file: JSON or YAML.
        command_line: such as ``["--data.resolution", "512"]``; overrides the file.
        overrides: nested dict; overrides both.

    Raises:
        SettingsError: an unknown, ill-typed or contradictory setting.
        CheckpointError, RequestError: the model to start from cannot be read.
    """
    typed = parse(command_line) if command_line else {}
    file = _place(typed.pop("config", None) or file)
    given: dict[str, Any] = {}
    for layer in ({} if file is None else read_settings(Path(file)), typed, overrides or {}):
        given = merged(given, layer)
    name = given.pop("preset", None)
    given = merged(preset(name) if name is not None else {}, given)
    return _validated(_completed(given))


def save_config(config: TrainingConfig, path: str | Path) -> None:
    """Write a configuration as JSON; ``load_config`` reads back an equal one.

    Raises:
        ResourceError: the file cannot be written.
    """
    text = json.dumps(config.model_dump(mode="json"), indent=2, ensure_ascii=False) + "\n"
    try:
        # Bytes of a path that are no UTF-8 become JSON's own escapes.
        Path(path).write_text(text, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise ResourceError(f"Cannot write {path}: {error.strerror}.") from error


EXCLUSIVE = (
    ("resolution", "schedules"), ("schedules", "resolution"),
    ("held_out", "held_out_sources"), ("held_out_sources", "held_out"),
)  # fmt: skip
"""(a setting of data, what it takes the place of)."""


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """``over`` on top of ``base``; of settings that exclude each other the upper one stays."""
    found = dict(base)
    for one, other in EXCLUSIVE:
        if over.get(one) and other not in over:
            found.pop(other, None)
            if one == "schedules":
                found.pop("aspect_ratios", None)
    for key, value in over.items():
        below = found.get(key)
        if isinstance(below, Mapping) and isinstance(value, Mapping) and key != "schedules":
            found[key] = merged(below, value)
        else:
            found[key] = value
    return found


def _place(given: Any) -> Any:
    """A path before its setting is checked; see :func:`from_home`."""
    try:
        return from_home(given) if isinstance(given, str) else given
    except ValueError as error:
        raise SettingsError(f"{error}.") from error


def _completed(given: dict[str, Any]) -> dict[str, Any]:
    """With what the model to start from, the tokenizer's weights and the bits settle."""
    start, data = _place(given.get("start_from")), given.get("data") or {}
    encoder = given.get("text_encoder") or {}
    if start and "source" in encoder and encoder["source"] is None:  # which means the start's
        kept = {
            name: value for name, value in encoder.items() if name not in ("source", "revision")
        }
        given = {**given, "text_encoder": merged(settings_of(start)["text_encoder"], kept)}
    settled = {"dtype", "activation_checkpointing"} <= (given.get("optimization") or {}).keys()
    complete = given.get("model") and given.get("text_encoder") and given.get("tokenizer")
    complete = complete and settled and (data.get("schedules") or data.get("resolution"))
    if start and not complete:
        given = merged(settings_of(start), given)
    tokenizer = given.get("tokenizer")
    if isinstance(tokenizer, Mapping) and tokenizer.get("weights") and not tokenizer.get("model"):
        shape = tokenizer_of(_place(tokenizer["weights"])).to_dict()
        given = merged({"tokenizer": {"model": shape}}, given)
    return given


def _validated(given: Mapping[str, Any]) -> TrainingConfig:
    check_width(given.get("model"))
    given = {"tokenizer": {}, "optimization": {}, **given}  # what is missing in them is named
    try:
        return TrainingConfig.model_validate(given)
    except ValidationError as error:
        raise SettingsError(sentence(error, setting_types())) from error
    except SettingsError:
        raise
    except InfinityError as error:
        text = str(error).replace("TransformerConfig: ", "model.")
        raise SettingsError(text.replace("TokenizerConfig: ", "tokenizer.model.")) from error
