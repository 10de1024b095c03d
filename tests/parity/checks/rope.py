"""Rotary tables and their application."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from infinity.model.rope import rope_table, rotate_
from infinity.schedule import ScaleSchedule
from tests.parity.cases import Case
from tests.parity.report import Report
from tests.parity.upstream import ROPE_MODES, schedule_of


def _table(schedule: ScaleSchedule, head_width: int, mode: int) -> Tensor:
    """(2, L, p): cosines, sines."""
    table = rope_table(schedule, head_width, ROPE_MODES[mode])  # type: ignore[arg-type]
    return torch.stack((table.real, table.imag))


def check(case: Case, tolerances: Mapping[str, float], report: Report) -> None:
    for entry in case.data["cases"]:
        schedule = schedule_of(entry)
        found = _table(schedule, entry["head_dim"], entry["mode"])
        expected = case.tensors[entry["key"]]
        tokens, where = schedule.total_tokens, entry["key"]
        report.close("rope table", found, expected[:, :tokens], tolerances["rope"], where)
        padding = expected[:, tokens:]
        report.equal("rope padding", padding, torch.zeros_like(padding), where)
    if "apply" in case.data:
        _check_application(case, tolerances["rope"], report)


def _check_application(case: Case, tolerance: float, report: Report) -> None:
    entry = case.data["apply"]
    schedule = schedule_of(entry)
    mode = ROPE_MODES[entry.get("mode", 2)]
    table = rope_table(schedule, entry["head_dim"], mode)[schedule.span(entry["scale_ind"])]  # type: ignore[arg-type]
    for name in ("q", "k"):
        found = rotate_(case.tensors[f"apply_{name}"].clone(), table)
        report.close("rope applied", found, case.tensors[f"apply_{name}_out"], tolerance, name)
