"""The resolution table and the nearest aspect ratio."""

from __future__ import annotations

from collections.abc import Mapping

from infinity.schedule import (
    ASPECT_RATIOS,
    HEIGHT_OVER_WIDTH,
    ScaleSchedule,
    nearest_aspect_ratio,
    schedule_for,
)
from tests.parity.cases import Case
from tests.parity.report import Report

PATCH = 2


def check(case: Case, tolerances: Mapping[str, float], report: Report) -> None:
    data = case.data
    if "order" in data:
        ratios = [HEIGHT_OVER_WIDTH[name] for name in ASPECT_RATIOS]
        report.equal("template order", ratios, data["order"])
    names = {f"{ratio:.3f}": name for name, ratio in HEIGHT_OVER_WIDTH.items()}
    for ratio, budgets in data["table"].items():
        for budget, entry in budgets.items():
            schedule = schedule_for(names[f"{float(ratio):.3f}"], budget)
            _check_entry(schedule, entry, data.get("vae_stride", 16), report, f"{ratio} {budget}")
    for ratio, expected in data["nearest"].items():
        found = HEIGHT_OVER_WIDTH[nearest_aspect_ratio(float(ratio), 1.0)]
        report.equal("nearest", found, expected, ratio)


def _check_entry(
    schedule: ScaleSchedule, entry: Mapping, token_pixels: int, report: Report, where: str
) -> None:
    scales = [[scale.height, scale.width] for scale in schedule]
    report.equal("scales", scales, entry["scales"], where)
    report.equal("pixels", list(schedule.image_size(token_pixels)), entry["pixel"], where)
    report.equal("tokens", schedule.total_tokens, entry["tokens"], where)
    stops = [schedule.span(i).stop for i in range(len(schedule))]
    report.equal("cumulative tokens", stops, entry["cumulative"], where)
    latents = 0
    for index in range(len(schedule)):
        height, width = schedule.latent_size(index, PATCH)
        latents += height * width
    report.equal("patchified latents", latents, entry["tokens_patchified_latent"], where)
