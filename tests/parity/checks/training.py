"""Schedules of learning rate and weight decay, parameter groups, statistics of initial weights."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from infinity.config import TransformerConfig
from infinity.model.transformer import InfinityTransformer
from tests.parity.cases import Case
from tests.parity.report import Report
from tests.parity.upstream import upstream_names
from training.optimizer import parameter_groups
from training.schedules import learning_rate, weight_decay

SIGMAS = 6.0
"""Both sides of a comparison of initial weights are one random draw."""


def check(case: Case, tolerances: Mapping[str, float], report: Report) -> None:
    for entry in case.data.get("lr_wd", ()):
        _check_schedule(entry, report)
    if "param_groups" in case.data:
        _check_groups(case.data["param_groups"], report)
    if "init_statistics" in case.data:
        _check_initial_weights(case.data["init_statistics"], report)


def _check_schedule(entry: Mapping[str, Any], report: Report) -> None:
    where = f"{entry['sche']}, warm-up {entry['warmup_it']:g}"
    for iteration, rate, decay, no_decay in entry["values"]:
        found = learning_rate(
            iteration,
            peak=entry["peak_lr"],
            max_iterations=entry["max_it"],
            warmup_iterations=entry["warmup_it"],
            shape=entry["sche"],
            start=entry["wp0"],
            end=entry["wpe"],
        )
        report.close_relative("learning rate", found, rate, 1e-9, f"{where}, {iteration}")
        found = weight_decay(
            iteration, start=entry["wd"], end=entry["wd_end"], max_iterations=entry["max_it"]
        )
        report.close_relative("weight decay", found, decay, 1e-9, f"{where}, {iteration}")
        report.equal("weight decay of the rest", 0.0, no_decay, where)


def _blocks(names: Iterable[str]) -> tuple[int, int]:
    """(blocks, blocks a chunk) that a list of upstream's parameter names shows."""
    found = {
        (int(match[1] or 0), int(match[2]))
        for name in names
        if (match := re.match(r"(?:block_chunks\.(\d+)\.module|blocks)\.(\d+)\.", name))
    }
    return len(found), len({index for _, index in found})


def _number(setting: str, word: str) -> int | None:
    """The whole number after a word of a setting written as text."""
    match = re.search(rf"\b{word} (\d+)", setting)
    return int(match[1]) if match else None


def _small_transformer(depth: int, width: int = 64, text_width: int = 256) -> InfinityTransformer:
    config = TransformerConfig(
        depth=depth,
        width=width,
        num_heads=max(1, width // 32),
        bits_per_token=32,
        text_width=text_width,
    )
    return InfinityTransformer(config)


def _check_groups(groups: list[Mapping[str, Any]], report: Report) -> None:
    names = [name for group in groups for name in group["params"]]
    depth, per_chunk = _blocks(names)
    model = _small_transformer(depth)
    found = {
        group["decays"]: set(_renamed(group["names"], model, depth // per_chunk))
        for group in parameter_groups(model)
    }
    for group in groups:
        decays = group["wd_sc"] != 0
        report.equal("parameter group", sorted(found[decays]), sorted(group["params"]))
        report.equal("learning rate factor", group["lr_sc"], 1.0)


def _renamed(names: list[str], model: InfinityTransformer, chunks: int) -> list[str]:
    """Upstream's names of some of our parameters."""
    chosen = set(names)
    marked = {
        name: torch.full_like(parameter, float(name in chosen))
        for name, parameter in model.named_parameters()
    }
    return [
        name
        for name, tensor in upstream_names(marked, chunks).items()
        if tensor.numel() and bool((tensor == 1).all())
    ]


def _check_initial_weights(entry: Mapping[str, Any], report: Report) -> None:
    expected: Mapping[str, Mapping[str, float]] = entry["stats"]
    shown, per_chunk = _blocks(expected)
    depth = _number(entry["setting"], "depth") or shown
    width = _number(entry["setting"], "embed")
    if width is None:
        report.fail(f"initial weights: no width in {entry['setting']!r}")
        return
    model = _small_transformer(depth, width, _text_width(expected["cfg_uncond"]["std"]))
    model.init_weights(torch.Generator().manual_seed(0))
    found = upstream_names(dict(model.named_parameters()), depth // per_chunk)
    for name, statistics in expected.items():
        if name.endswith("zero_k_bias"):  # a constant of upstream's checkpoints, not a parameter
            continue
        if name not in found:
            report.fail(f"initial {name}: no such parameter")
            continue
        _check_statistics(found[name].detach(), statistics, report, name)


def _text_width(std: float) -> int:
    """Upstream's table is truncated normal (std 1.2, cut at 2) / sqrt(text width)."""
    cut_std = torch.nn.init.trunc_normal_(torch.empty(100_000), std=1.2).std().item()
    return 128 * round((cut_std / std) ** 2 / 128)


def _check_statistics(
    tensor: Tensor, expected: Mapping[str, float], report: Report, name: str
) -> None:
    mean, std, count = float(tensor.mean()), float(tensor.std()), tensor.numel()
    if expected["std"] == 0:
        report.close("constant initial weights", mean, expected["mean"], 1e-6, name)
        report.equal("constant initial weights", float(tensor.std()), 0.0, name)
        return
    noise = SIGMAS * math.sqrt(2 / count)
    report.close("initial mean (in stds)", mean / std, expected["mean"] / std, noise, name)
    # Groups of one tensor have their own scales (upstream's modulation), so its kurtosis is high.
    report.close("initial std (ratio)", std / expected["std"], 1.0, 2 * noise, name)
    report.close(
        "initial maximum (ratio)",
        float(tensor.abs().max()) / expected["absmax"],
        1.0,
        0.5,
        name,
    )
