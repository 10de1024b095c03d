"""Pictures of any size to the network's input."""

from __future__ import annotations

from collections.abc import Mapping

from PIL import Image

from infinity.images import preprocess
from tests.parity.cases import Case
from tests.parity.report import Report


def check(case: Case, tolerances: Mapping[str, float], report: Report) -> None:
    for entry in case.data["cases"]:
        index = entry["i"]
        picture = Image.fromarray(case.tensors[f"in_{index}"].numpy())
        found = preprocess(picture, *entry["tgt_hw"])
        where = f"{entry['src_hw']} -> {entry['tgt_hw']}"
        report.close("picture", found, case.tensors[f"out_{index}"], 1e-6, where)
