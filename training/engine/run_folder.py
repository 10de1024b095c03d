"""The folder of a run: its settings, kept so that the same command continues it."""

from pathlib import Path
from typing import Any

from infinity.errors import CheckpointError, ResourceError
from training.config.load import load_config, save_config
from training.config.settings import TrainingConfig

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


def prepare_run_folder(config: TrainingConfig) -> None:
    """Make the run's folder and write its settings there.

    Raises:
        CheckpointError: it holds a run with other settings.
        ResourceError: it cannot be written.
    """
    folder = config.output
    path = folder / CONFIG
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if path.exists():
            before = load_config(path, overrides={"output": str(folder)})
            _check(folder, before.model_dump(mode="json"), config.model_dump(mode="json"))
        temporary = path.with_suffix(".writing")
        save_config(config, temporary)
        temporary.replace(path)
    except OSError as error:
        raise ResourceError(
            f"Cannot write to {folder} ({error.strerror}); choose another output folder."
        ) from error


def _check(folder: Path, before: dict[str, Any], now: dict[str, Any]) -> None:
    old, new = _flat(before), _flat(now)
    differing = [
        name
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name)
        and not any(name == free or name.startswith(f"{free}.") for free in MAY_CHANGE)
    ]
    if differing:
        name = differing[0]
        raise CheckpointError(
            f"{folder} holds a run with other settings ({', '.join(differing)}: {name} was "
            f"{old.get(name)!r}, now {new.get(name)!r}); choose another output folder or set it back."
        )


def _flat(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            flat.update(_flat(value, f"{prefix}{key}."))
        else:
            flat[prefix + key] = value
    return flat
