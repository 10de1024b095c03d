"""Tells how many parity cases ran and how far they were off."""

from __future__ import annotations

from collections import defaultdict

import pytest

from tests.parity.cases import case_folder
from tests.parity.report import RESULTS


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not RESULTS:
        return
    worst: dict[str, dict[str, float]] = defaultdict(dict)
    counts: dict[str, int] = defaultdict(int)
    for kind, report in RESULTS:
        counts[kind] += 1
        for quantity, error in report.errors.items():
            worst[kind][quantity] = max(error, worst[kind].get(quantity, 0.0))
    comparisons = sum(report.comparisons for _, report in RESULTS)
    terminalreporter.section("parity")
    terminalreporter.write_line(
        f"{len(RESULTS)} parity cases run ({comparisons} comparisons) from {case_folder()}"
    )
    for kind, errors in worst.items():
        largest = ", ".join(f"{name} {error:.2g}" for name, error in errors.items())
        terminalreporter.write_line(f"  {kind} x{counts[kind]}: largest error {largest}")
