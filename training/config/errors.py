"""What a wrong setting ends with: one sentence that names the setting and what to write instead."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import Any

from pydantic import ValidationError

from infinity.errors import InfinityError

OTHER_NAMES = {
    "ac": "optimization.activation_checkpointing",
    "accumulation": "optimization.micro_batch_size",
    "batch": "optimization.batch_size",
    "bs": "optimization.batch_size",
    "caption": "data.caption_field",
    "cfg": "sampling.guidance",
    "checkpoint": "start_from",
    "codebook_dim": "tokenizer.model.bits",
    "data_path": "data.sources",
    "dataset": "data.sources",
    "eval_every": "logging.validate_every",
    "eval_steps": "logging.validate_every",
    "epochs": "optimization.steps",
    "ep": "optimization.steps",
    "fp16": "optimization.dtype",
    "grad_clip": "optimization.clip",
    "lr": "optimization.learning_rate",
    "noise_apply_layers": "self_correction.scales",
    "noise_apply_strength": "self_correction.strength",
    "output_dir": "output",
    "pn": "data.resolution",
    "precision": "optimization.dtype",
    "prompts": "logging.sample_prompts",
    "rush_resume": "start_from",
    "short_prob": "data.short_caption_probability",
    "tblr": "optimization.learning_rate",
    "tclip": "optimization.clip",
    "tlen": "text_encoder.max_length",
    "twd": "optimization.weight_decay",
    "val_split": "data.held_out",
    "vae_ckpt": "tokenizer.weights",
    "wp": "optimization.warmup",
}
"""Names that people know from upstream and elsewhere -> ours."""


class SettingsError(InfinityError):
    """An unknown, ill-typed or contradictory setting."""


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The name most likely meant, also where only its last part was given."""
    known = tuple(known)
    leaf = name.rsplit(".", 1)[-1].lower()
    if leaf in OTHER_NAMES:
        return OTHER_NAMES[leaf]
    for cutoff in (0.75, 0.6):
        if near := difflib.get_close_matches(name, known, n=1, cutoff=cutoff):
            return near[0]
        leaves: dict[str, str] = {}
        for path in known:
            leaves.setdefault(path.rsplit(".", 1)[-1], path)
        if near := difflib.get_close_matches(leaf, leaves, n=1, cutoff=cutoff):
            return leaves[near[0]]
    return None


def unknown(name: str, known: Iterable[str]) -> str:
    """A sentence about a setting that does not exist."""
    near = nearest(name, known)
    return f"{name} is not a setting; " + (f"did you mean {near}?" if near else "see --help.")


def sentence(error: ValidationError, known: Iterable[str]) -> str:
    """The first complaint of a validation, in a sentence; how many more there are.

    A name that does not exist comes first: it may be the one that is said to be missing.
    """
    details = sorted(error.errors(), key=lambda detail: detail["type"] not in _UNKNOWN)
    complaints = [_complaint(detail, known) for detail in details]
    more = len(complaints) - 1
    return complaints[0] + (f" (And {more} more.)" if more else "")


_UNKNOWN = ("extra_forbidden", "unexpected_keyword_argument")


def _complaint(detail: Any, known: Iterable[str]) -> str:
    path = ".".join(str(part) for part in detail["loc"])
    kind, value = detail["type"], detail["input"]
    if kind in _UNKNOWN:
        return unknown(path, known)
    if kind in ("missing", "missing_keyword_only_argument", "missing_argument"):
        return f"{path} is missing; set it."
    if kind == "too_short":
        return f"{path} names nothing; name one or leave the setting out."
    if kind in ("model_type", "dataclass_type"):
        inner = next((name for name in known if name.startswith(f"{path}.")), path)
        return f"{path} is a section, not {value!r}; write settings in it, such as {inner}."
    if kind == "literal_error":
        expected = detail["ctx"]["expected"]
        choices = re.findall(r"'([^']*)'", expected)
        near = difflib.get_close_matches(str(value), choices, n=1, cutoff=0.5)
        hint = f"; did you mean {near[0]}?" if near else "."
        return f"{path} must be {expected}, not {value!r}{hint}"
    message = detail["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    return f"{path} must be {message}, not {value!r}."
