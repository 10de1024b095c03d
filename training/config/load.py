"""The one way to a configuration: file, then command line, then dict, each overriding the last.

Below all of them lie the preset and the model that the run starts from.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from infinity.errors import CheckpointError, RequestError, ResourceError
from infinity.files import disk_errors
from training.config.checks import complaints
from training.config.command_line import parse, setting_types
from training.config.errors import SettingsError, from_home, sentence
from training.config.settings import TrainingConfig
from training.config.sources import merged, preset, read_settings, settings_of, tokenizer_of


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
    typed = parse(command_line)
    file = from_home(typed.pop("config", None) or file)
    given = merged({} if file is None else read_settings(Path(file)), typed)
    given = merged(given, overrides or {})
    if (name := given.pop("preset", None)) is not None:
        given = merged(preset(str(name)), given)
    given = _completed(given)
    try:
        config = TrainingConfig.model_validate(given)
    except ValidationError as error:
        raise SettingsError(sentence(error, setting_types())) from error
    except (CheckpointError, RequestError) as error:
        text = str(error).replace("TransformerConfig: ", "model.")
        raise SettingsError(text.replace("TokenizerConfig: ", "tokenizer.model.")) from error
    for complaint in complaints(config):
        raise SettingsError(complaint)
    return config


def save_config(config: TrainingConfig, path: str | Path) -> None:
    """Write a configuration as JSON; ``load_config`` reads back an equal one.

    Raises:
        ResourceError: the file cannot be written.
    """
    text = json.dumps(config.model_dump(mode="json"), indent=2, ensure_ascii=False) + "\n"
    with disk_errors(Path(path)):
        # Bytes of a path that are no UTF-8 become JSON's own escapes.
        Path(path).write_text(text, encoding="utf-8", errors="backslashreplace")


CONFIG = "config.json"
MAY_CHANGE = (
    "output",
    "parallel",
    "logging",
    "data.held_out_sources",
    "data.workers",
    "data.skip_tolerance",
    "optimization.steps",
    "optimization.micro_batch_size",
    "optimization.learning_rate",
    "optimization.schedule",
    "optimization.warmup",
    "optimization.cooldown",
    "optimization.end",
    "optimization.clip",
    "optimization.activation_checkpointing",
    "optimization.compile",
)
"""Settings a run may be continued with another value of; all others would make it another run."""


def _completed(given: dict[str, Any]) -> dict[str, Any]:
    """With what the model to start from and the tokenizer's weights settle, and empty sections for
    what is missing in them to be named."""
    given = {"tokenizer": {}, "optimization": {}, **given}
    section: dict[str, Any] = {k: part for k, part in given.items() if isinstance(part, Mapping)}
    if start := from_home(given.get("start_from")):
        encoder = section.get("text_encoder", {})
        if "source" in encoder and encoder["source"] is None:  # which means the start's
            kept = {name: encoder[name] for name in encoder if name not in ("source", "revision")}
            given = {**given, "text_encoder": kept}
        data = section.get("data", {})
        is_complete = (
            all(section.get(part) for part in ("model", "tokenizer", "text_encoder"))
            and {"dtype", "activation_checkpointing"} <= section.get("optimization", {}).keys()
            and encoder.get("source")
            and (data.get("schedules") or data.get("resolution"))
        )
        if not is_complete:
            given = merged(settings_of(start), given)
    tokenizer = given["tokenizer"]
    if isinstance(tokenizer, Mapping) and tokenizer.get("weights") and not tokenizer.get("model"):
        shape = tokenizer_of(from_home(tokenizer["weights"])).to_dict()
        given = {**given, "tokenizer": {**tokenizer, "model": shape}}
    return given


def prepare_run_folder(config: TrainingConfig) -> None:
    """Make the run's folder and write its settings there, so that the same command continues it.

    Raises:
        CheckpointError: it holds a run with other settings.
        ResourceError: it cannot be written.
    """
    folder, path = config.output, config.output / CONFIG
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if path.exists():
            _require_equal(load_config(path, overrides={"output": str(folder)}), config)
        temporary = path.with_suffix(".writing")
        save_config(config, temporary)
        temporary.replace(path)
    except OSError as error:
        raise ResourceError(
            f"Cannot write to {folder} ({error.strerror}); choose another output folder."
        ) from error


def _require_equal(before: TrainingConfig, config: TrainingConfig) -> None:
    old, new = (dict(_flat(each.model_dump(mode="json"))) for each in (before, config))
    free = tuple(f"{name}." for name in MAY_CHANGE)
    differing = [
        name
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name) and not f"{name}.".startswith(free)
    ]
    if differing:
        name = differing[0]
        raise CheckpointError(
            f"{config.output} holds a run with other settings ({', '.join(differing)}: {name} was "
            f"{old.get(name)!r}, now {new.get(name)!r}); choose another output folder or set it back."
        )


def _flat(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value
