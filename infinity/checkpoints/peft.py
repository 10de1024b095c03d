"""What an adapter's settings mean, as peft writes them: each is followed, harmless, or refused.

tests/checkpoints/test_peft.py walks through all that the installed peft has.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from infinity.errors import CheckpointError, quoted

FOLLOWED = frozenset(
    {"peft_type", "r", "lora_alpha", "use_rslora", "rank_pattern", "alpha_pattern", "use_dora"}
    | {"lora_bias", "init_lora_weights", "base_model_name_or_path"}
)
HARMLESS = frozenset(
    {"task_type", "auto_mapping", "peft_version", "revision", "inference_mode", "lora_dropout"}
    # where it was put: the tensors' names say so
    | {"target_modules", "exclude_modules", "layers_to_transform", "layers_pattern"}
    # what only a training had of it: where it began, its gradients, its kernels
    | {"loftq_config", "eva_config", "corda_config", "lora_ga_config", "velora_config"}
    | {"runtime_config", "megatron_core"}
    # without effect while what it belongs to is off
    | {"qalora_group_size", "ensure_weight_tying"}
    # peft takes it back for layers like ours
    | {"fan_in_fan_out"}
)
STARTS = (True, False, None, "gaussian", "eva", "orthogonal")
"""Beginnings of a training that leave the model's own weights as they are."""

_NAME = re.compile(r"\^?(\w|\.|\\\.)+")


@dataclass(frozen=True)
class LoraRule:
    """How strongly the change of each layer counts.

    Args:
        rank: of layers without one of their own; None takes each as its tensors have it.
        alpha: likewise; None is the rank, so that the change counts once.
        ranks, alphas: end of a layer's name -> its own.
        is_rank_stabilized: the change counts alpha / sqrt(rank), not alpha / rank.
        has_magnitude, has_bias: every layer has a magnitude (DoRA), a bias.
    """

    rank: int | None = None
    alpha: float | None = None
    ranks: Mapping[str, int] = field(default_factory=dict)
    alphas: Mapping[str, float] = field(default_factory=dict)
    is_rank_stabilized: bool = False
    has_magnitude: bool = False
    has_bias: bool = False

    def scaling(self, layer: str, rank: int) -> float:
        """What a layer's change of ``rank`` is multiplied by.

        Raises:
            CheckpointError: its tensors have another rank than the settings say.
        """
        expected = _of_layer(self.ranks, layer, self.rank)
        if expected is not None and expected != rank:
            raise CheckpointError(
                f"The adapter's settings give {layer} the rank {expected}, its tensors have {rank}; "
                "export it again."
            )
        alpha = _of_layer(self.alphas, layer, self.alpha)
        alpha = rank if alpha is None else alpha
        return alpha / (math.sqrt(rank) if self.is_rank_stabilized else rank)


def lora_rule(config: Any, source: str) -> LoraRule:
    """The rule in an ``adapter_config.json``.

    Args:
        config: its content.
        source: what to call it in messages.

    Raises:
        CheckpointError: no low-rank adapter's, or settings that merged weights cannot follow.
    """
    if not isinstance(config, dict) or "peft_type" not in config:
        raise CheckpointError(f"{source} is not an adapter's configuration; export it again.")
    if config["peft_type"] != "LORA":
        raise CheckpointError(
            f"{source} is of an adapter of type {quoted(config['peft_type'])}; only low-rank ones "
            "(LORA) can be merged."
        )
    changing = [name for name, value in config.items() if _changes(name, value)]
    if changing:
        shown = ", ".join(f"{name} {quoted(config[name])[:60]}" for name in changing[:3])
        raise CheckpointError(
            f"{source} has settings that change more than weights can be merged for ({shown}); "
            "merge it with peft, or train one without."
        )
    return LoraRule(
        rank=_rank(config.get("r"), source),
        alpha=_alpha(config.get("lora_alpha"), source),
        ranks={k: _rank(v, source) for k, v in _patterns(config, "rank_pattern", source)},
        alphas={k: _alpha(v, source) for k, v in _patterns(config, "alpha_pattern", source)},
        is_rank_stabilized=bool(config.get("use_rslora")),
        has_magnitude=bool(config.get("use_dora")),
        has_bias=bool(config.get("lora_bias")),
    )


def _changes(name: str, value: Any) -> bool:
    """Whether a setting changes what is computed in a way that is not followed here."""
    if name == "init_lora_weights":
        return value not in STARTS
    if name in FOLLOWED or name in HARMLESS:
        return False
    return value not in (None, False, "none", "", [], {})


def _patterns(config: Mapping[str, Any], name: str, source: str) -> list[tuple[str, Any]]:
    patterns = config.get(name) or {}
    if not isinstance(patterns, dict) or not all(_NAME.fullmatch(key) for key in patterns):
        raise CheckpointError(
            f"{source}: {name} must list layers by their names, not {quoted(patterns)}; write the "
            "names out."
        )
    return list(patterns.items())


def _rank(value: Any, source: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value <= 2**16:
        raise CheckpointError(f"{source}: a rank must be a whole number, not {quoted(value)}.")
    return value


def _alpha(value: Any, source: str) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not abs(value) <= 1e9:
        raise CheckpointError(f"{source}: alpha must be a number, not {quoted(value)}.")
    return float(value)


def _of_layer(patterns: Mapping[str, Any], layer: str, default: Any) -> Any:
    """peft's rule: the first pattern that is the name's end, behind a dot, or all of it."""
    for pattern, value in patterns.items():
        if re.match(rf"(.*\.)?({pattern})$", layer):
            return value
    return default
