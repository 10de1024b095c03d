"""What a wrong setting ends with: one sentence that names the setting and what to write instead."""

import argparse
import re
from collections.abc import Iterable
from typing import Any

from pydantic import ValidationError

from infinity.console import expand_home
from infinity.errors import InfinityError, nearest, quoted

_SAID_ELSEWHERE = {
    "start_from": "checkpoint rush_resume pretrained_model_name_or_path finetune_from",
    "output": "output_dir bed local_out_path exp_name",
    "model.text_width": "ct5",
    "tokenizer.model.bits": "codebook_dim vae_type",
    "tokenizer.model.patchify": "apply_spatial_patchify",
    "tokenizer.weights": "vae vae_ckpt vae_path",
    "text_encoder.source": "t5_path",
    "text_encoder.max_length": "tlen",
    "data.sources": "data_path dataset train_data_dir",
    "data.resolution": "pn",
    "data.caption_field": "caption",
    "data.short_caption_probability": "short_prob short_cap_prob",
    "data.horizontal_flips": "flip flips flip_aug random_flip hflip",
    "data.random_crops": "crop crops random_crop center_crop",
    "data.repeats": "num_repeats",
    "data.held_out": "val_split",
    "data.workers": "num_workers prefetch_factor",
    "optimization.steps": "epochs ep max_train_steps max_steps",
    "optimization.batch_size": "batch bs glb_batch_size train_batch_size",
    "optimization.micro_batch_size": "ac lbs accumulation gradient_accumulation_steps",
    "optimization.optimizer": "opt",
    "optimization.learning_rate": "lr tlr tblr",
    "optimization.betas": "ada",
    "optimization.weight_decay": "twd",
    "optimization.weight_decay_end": "twde",
    "optimization.schedule": "sche lr_scheduler",
    "optimization.warmup": "wp lr_warmup_steps",
    "optimization.end": "wpe",
    "optimization.clip": "tclip grad_clip max_grad_norm",
    "optimization.ema_decay": "ema tema use_fsdp_model_ema",
    "optimization.dtype": "fp16 bf16 precision mixed_precision",
    "optimization.activation_checkpointing": "enable_checkpointing gradient_checkpointing",
    "optimization.compile": "tfast",
    "optimization.text_dropout": "cond_drop_rate",
    "optimization.reweight": "reweight_loss_by_scale",
    "optimization.bit_reduction": "bitloss_type",
    "optimization.drop_path": "dp",
    "self_correction.strength": "noise_apply_strength",
    "self_correction.scales": "noise_apply_layers",
    "self_correction.requantize": "noise_apply_requant",
    "parallel.shard": "zero fsdp enable_hybrid_shard",
    "parallel.shard_size": "inner_shard_degree",
    "lora.rank": "network_dim",
    "lora.alpha": "network_alpha",
    "sampling.guidance": "cfg",
    "sampling.temperature": "tau",
    "logging.log_every": "log_freq",
    "logging.save_every": "save_model_iters_freq",
    "logging.validate_every": "eval_every eval_steps",
    "logging.sample_prompts": "prompts",
    "logging.wandb": "report_to log_with project_name",
}
OTHER_NAMES = {name: ours for ours, names in _SAID_ELSEWHERE.items() for name in names.split()}
"""Names that people know from upstream, kohya's and diffusers' trainers -> ours."""

_WAYS_OUT = {
    "output": "name the run's folder, such as runs/mine",
    "optimization.steps": "say how many, such as 2000",
    "tokenizer.model": "name a preset, a model to start from (start_from) or tokenizer.weights, or "
    "give its shape, such as tokenizer.model.bits",
}
"""Required setting -> what to write."""


class SettingsError(InfinityError):
    """An unknown, ill-typed or contradictory setting."""


def from_home(given: Any) -> Any:
    """A name or path with ~ for the home folder: no shell puts it into files and lists.

    Raises:
        SettingsError: nobody is called that.
    """
    try:
        return expand_home(given) if isinstance(given, str) else given
    except argparse.ArgumentTypeError as error:
        raise SettingsError(f"{error}.") from error


def unknown(name: str, known: Iterable[str]) -> str:
    """A sentence about a setting that does not exist."""
    near = _meant(name, known)
    return f"{name} is not a setting; " + (f"did you mean {near}?" if near else "see --help.")


def _meant(name: str, known: Iterable[str]) -> str | None:
    """The name most likely meant, also where only its last part was given.

    Something like a name of a section that exists is looked for in that section alone.
    """
    section, _, leaf = name.lower().rpartition(".")
    if leaf in OTHER_NAMES:
        return OTHER_NAMES[leaf]
    leaves: dict[str, str] = {}
    inside: dict[str, str] = {}
    for path in known:
        where, _, last = path.rpartition(".")
        leaves.setdefault(last, path)
        if section and where == section:
            inside[last] = path
    if near := nearest(leaf, inside):
        return inside[near]
    if leaf in leaves or inside:
        return leaves.get(leaf)
    near = nearest(name, leaves.values()) or nearest(leaf, leaves)
    return leaves.get(near, near) if near else None


def sentence(error: ValidationError, known: Iterable[str]) -> str:
    """The first complaint of a validation, in a sentence; how many more there are.

    A name that does not exist comes first: it may be the one that is said to be missing.
    """
    details = sorted(error.errors(), key=lambda detail: detail["type"] not in _UNKNOWN)
    more = f" (And {len(details) - 1} more.)" if len(details) > 1 else ""
    return _complaint(details[0], known) + more


_UNKNOWN = ("extra_forbidden", "unexpected_keyword_argument")


def _complaint(detail: Any, known: Iterable[str]) -> str:
    # Where a value may be of several kinds, pydantic names the kind too: no setting has a bracket.
    path = ".".join(part for part in map(str, detail["loc"]) if "[" not in part)
    kind, value = detail["type"], quoted(detail["input"])
    if kind in _UNKNOWN:
        return unknown(path, known)
    if kind in ("missing", "missing_keyword_only_argument", "missing_argument"):
        return f"{path} is missing; {_WAYS_OUT.get(path, 'set it')}."
    if kind == "too_short":
        return f"{path} names nothing; name one or leave the setting out."
    if kind in ("model_type", "dataclass_type"):
        inner = next((name for name in known if name.startswith(f"{path}.")), path)
        return f"{path} is a section, not {value}; write settings in it, such as {inner}."
    message = detail["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    choices = re.findall(r"'([^']*)'", message) if kind == "literal_error" else []
    near = nearest(str(detail["input"]), choices, 0.5)
    return f"{path} must be {message}, not {value}" + (f"; did you mean {near}?" if near else ".")
