"""Test weights by rule: every tensor of a ``weights_*.json`` from its seed, offset and amplitude.

value = float32(offset + amplitude * (2u - 1)), u from splitmix64 seeded with sha256("seed:name").
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)


def uniforms(seed: int, name: str, count: int) -> np.ndarray:
    """``count`` float64 numbers in [0, 1) that belong to ``name``."""
    digest = hashlib.sha256(f"{seed}:{name}".encode()).digest()
    state = np.uint64(int.from_bytes(digest[:8], "little"))
    state = state + np.arange(1, count + 1, dtype=np.uint64) * _GAMMA  # wraps modulo 2^64
    state = (state ^ (state >> np.uint64(30))) * _MIX_1
    state = (state ^ (state >> np.uint64(27))) * _MIX_2
    state = state ^ (state >> np.uint64(31))
    return (state >> np.uint64(11)).astype(np.float64) * 2.0**-53


def tensor_by_rule(seed: int, name: str, spec: Mapping[str, Any]) -> Tensor:
    """One tensor. ``constant`` marks the quantizer's bit mask, 2^(d-1) .. 1 as wrapping int64."""
    shape = tuple(spec["shape"])
    if spec.get("constant"):
        powers = np.arange(shape[0] - 1, -1, -1, dtype=np.uint64)
        return torch.from_numpy((np.uint64(1) << powers).view(np.int64).copy())
    values = spec["offset"] + spec["amp"] * (
        2.0 * uniforms(seed, name, int(np.prod(shape, dtype=np.int64))) - 1.0
    )
    return torch.from_numpy(values.astype(np.float32).reshape(shape))


def state_dict_by_rule(path: Path) -> dict[str, Tensor]:
    """All tensors of a ``weights_*.json``, under upstream's names."""
    data = json.loads(path.read_text())
    return {name: tensor_by_rule(data["seed"], name, spec) for name, spec in data["spec"].items()}
