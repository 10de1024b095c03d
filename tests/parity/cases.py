"""Finds the cases of a folder and says of what kind each is."""

from __future__ import annotations

import functools
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from torch import Tensor

ROOT = Path(__file__).resolve().parents[2]
FOLDER_VARIABLE = "INFINITY_PARITY_DIR"
DEFAULT_FOLDER = ROOT / "tests" / "golden"

DEFAULT_TOLERANCES: Mapping[str, float] = {
    "rope": 1e-6,
    "vae_features": 1e-4,
    "logits": 1e-4,
    "loss": 1e-5,
    "grad_norm_rel": 1e-3,
    "image_u8": 1.0,
    "ca_bf16_logits": 2e-3,
}

# Kind -> (how its file names begin, keys its json has; "cases.x" is a key of the first sub-case).
KINDS: Mapping[str, tuple[str, frozenset[str]]] = {
    "weights": ("weights_", frozenset({"seed", "spec"})),
    "scale_schedules": ("scale_schedule", frozenset({"table", "nearest"})),
    "rope2d": ("rope", frozenset({"cases.head_dim", "cases.mode"})),
    "sampling": ("sampling", frozenset({"cases.top_k", "cases.top_p"})),
    "preprocess": ("preprocess", frozenset({"cases.src_hw", "cases.tgt_hw"})),
    "self_correction": ("self_correction", frozenset({"cases.noise_apply_layers"})),
    "training": ("training", frozenset({"lr_wd"})),
    "transformer": ("transformer_", frozenset({"config", "weights", "bitloss_type"})),
    "generate": ("generate_", frozenset({"config", "call", "vae_weights"})),
    "vae": ("vae_", frozenset({"config", "weights", "patchify"})),
    "index": ("index", frozenset({"files", "training_checkpoint"})),
    "manifest": ("infinity_", frozenset({"model", "keys"})),
}
UNKNOWN = "unknown"


@dataclass(frozen=True)
class Case:
    """One json file of the folder, its tensors beside it under the same name."""

    path: Path
    folder: Path
    kind: str
    data: Mapping[str, Any]

    @property
    def name(self) -> str:
        return self.path.relative_to(self.folder).with_suffix("").as_posix()

    @functools.cached_property
    def tensors(self) -> dict[str, Tensor]:
        path = self.path.with_suffix(".safetensors")
        return load_file(path) if path.is_file() else {}

    def sibling(self, name: str) -> Path:
        """A file named in the json, beside it or at the top of the folder."""
        beside = self.path.parent / name
        return beside if beside.is_file() else self.folder / name


def case_folder() -> Path:
    """The folder to run: the environment's (relative to here or to the repository) or our own."""
    named = os.environ.get(FOLDER_VARIABLE)
    if not named:
        return DEFAULT_FOLDER
    path = Path(named)
    return (path if path.is_dir() else ROOT / path).resolve()


def kind_of(path: Path, data: Any) -> str:
    """By content, else by file name."""
    keys: set[str] = set(data) if isinstance(data, dict) else set()
    if isinstance(cases := data.get("cases") if keys else None, list) and cases:
        keys |= {f"cases.{key}" for key in cases[0]}
    for kind, (_, needed) in KINDS.items():
        if needed <= keys:
            return kind
    for kind, (prefix, _) in KINDS.items():
        if path.name.startswith(prefix):
            return kind
    return UNKNOWN


def find_cases(folder: Path) -> list[Case]:
    """Every json below the folder, MANIFEST.json aside."""
    cases = []
    for path in sorted(folder.rglob("*.json")):
        if path.name == "MANIFEST.json":
            continue
        data = json.loads(path.read_text())
        cases.append(Case(path, folder, kind_of(path, data), data))
    return cases


def tolerances(folder: Path) -> dict[str, float]:
    """MANIFEST.json's tolerances; where it or an entry is missing, the ones we were given first.

    An entry may be a number or text that begins with one; "exact" needs no number.
    """
    merged = dict(DEFAULT_TOLERANCES)
    path = folder / "MANIFEST.json"
    given = json.loads(path.read_text()).get("tolerances", {}) if path.is_file() else {}
    for key, value in given.items():
        if isinstance(value, int | float):
            merged[key] = float(value)
        elif number := re.match(r"\s*([0-9.]+(?:e[+-]?\d+)?)", str(value)):
            merged[key] = float(number.group(1))
    return merged
