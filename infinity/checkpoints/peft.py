"""What an adapter's settings mean, as peft writes them: each is followed, harmless, or refused.

tests/checkpoints/test_peft.py walks through all that the installed peft has.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Annotated, Any, ClassVar

from pydantic import Field

from infinity.checks import Checked, whole
from infinity.errors import CheckpointError, quoted

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

Layer = Annotated[str, Field(pattern=r"^\^?(\w|\.|\\\.)+$")]
"""The end of a layer's name; peft takes any pattern, of which this one cannot run for ever."""
Rank = Annotated[int, whole(1, 2**16)]
Alpha = Annotated[float, Field(ge=-1e9, le=1e9, description="a number")]
Ranks = Annotated[dict[Layer, Rank], Field(description="layers and their ranks")]
Alphas = Annotated[dict[Layer, Alpha], Field(description="layers and their alphas")]


@dataclass(frozen=True, kw_only=True)
class LoraRule(Checked):
    """How strongly the change of each layer counts; all names are peft's.

    Args:
        r, lora_alpha: of layers without one of their own.
        rank_pattern, alpha_pattern: end of a layer's name -> its own.
        use_rslora: the change counts alpha / sqrt(rank), not alpha / rank.
        use_dora, lora_bias: every layer has a magnitude, a bias.
    """

    called: ClassVar[str] = "The adapter's settings"

    r: Rank
    lora_alpha: Alpha
    rank_pattern: Ranks = field(default_factory=dict)
    alpha_pattern: Alphas = field(default_factory=dict)
    use_rslora: bool = False
    use_dora: bool = False
    lora_bias: bool = False

    def scaling(self, layer: str, rank: int) -> float:
        """What a layer's change is multiplied by. Raises CheckpointError where its tensors' ``rank`` is
        another than the settings say."""
        expected = _of_layer(self.rank_pattern, layer, self.r)
        if expected != rank:
            raise CheckpointError(
                f"The adapter's settings give {layer} the rank {expected}, its tensors have {rank}; "
                "export it again."
            )
        alpha = _of_layer(self.alpha_pattern, layer, self.lora_alpha)
        return alpha / (math.sqrt(rank) if self.use_rslora else rank)


RULES = frozenset(part.name for part in fields(LoraRule))
FOLLOWED = RULES | {"peft_type", "init_lora_weights", "base_model_name_or_path"}


def lora_rule(config: Mapping[str, Any], source: str) -> LoraRule:
    """The rule in the content of an ``adapter_config.json``, called ``source`` in messages. Raises
    CheckpointError for no low-rank adapter's, or settings that merged weights cannot follow."""
    if config.get("peft_type") != "LORA":
        raise CheckpointError(
            f"{source} is of an adapter of type {quoted(config.get('peft_type'))}; only low-rank "
            "ones (LORA) can be merged."
        )
    changing = [name for name, value in config.items() if _changes(name, value)]
    if changing:
        shown = ", ".join(f"{name} {quoted(config[name])[:60]}" for name in changing[:3])
        raise CheckpointError(
            f"{source} has settings that change more than weights can be merged for ({shown}); "
            "merge it with peft, or train one without."
        )
    given = {name: value for name, value in config.items() if value is not None}
    return LoraRule.from_dict({name: given[name] for name in RULES & given.keys()})


def _changes(name: str, value: Any) -> bool:
    """Whether a setting changes what is computed in a way that is not followed here."""
    if name == "init_lora_weights":
        return value not in STARTS
    if name in FOLLOWED or name in HARMLESS:
        return False
    return value not in (None, False, "none", "", [], {})


def _of_layer(patterns: Mapping[str, Any], layer: str, default: Any) -> Any:
    """peft's rule: the first pattern that is the name's end, behind a dot, or all of it."""
    for pattern, value in patterns.items():
        if re.match(rf"(.*\.)?({pattern})$", layer):
            return value
    return default
