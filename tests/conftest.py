"""The whole suite runs in two workers or more, each test file in one of them, so that what its tests
share is made once; files or folders named on the command line run in the process they were called in.

Property tests run the same examples every time, however busy the machine is; nothing takes the
machine's card by itself (tests that need one name it).
"""

from __future__ import annotations

import gc
import os
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadFileScheduling

settings.register_profile(
    "steady",
    deadline=None,
    derandomize=True,
    max_examples=50,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("steady")

os.environ["INFINITY_DEVICE"] = "cpu"  # for processes that tests start, too
os.environ.setdefault("OMP_NUM_THREADS", "1")  # workers share the cores

TESTS = Path(__file__).parent
ONE_WORKER = ("tests/e2e/",)
"""Folders whose files share what is expensive to start."""
FIRST = ("e2e", "test_tools.py")
"""What takes longest starts first, beside the rest."""


class _ByFile(LoadFileScheduling):
    def _split_scope(self, nodeid: str) -> str:
        shared = next((folder for folder in ONE_WORKER if nodeid.startswith(folder)), None)
        return shared or super()._split_scope(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadFileScheduling:
    return _ByFile(config, log)


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    whole = config.args_source is pytest.Config.ArgsSource.TESTPATHS
    return max(2, min(os.cpu_count() or 2, 4)) if whole else 0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path.relative_to(TESTS).parts[0] not in FIRST)


def pytest_collection_finish() -> None:
    """What is loaded by now stays: to look at it for garbage again and again took a tenth of the time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """How many parity cases ran, in whichever worker, and how far they were off."""
    reports = [
        report for kind in ("passed", "failed") for report in terminalreporter.getreports(kind)
    ]
    cases = [
        value for report in reports for name, value in report.user_properties if name == "parity"
    ]
    if not cases:
        return
    worst: dict[str, dict[str, float]] = defaultdict(dict)
    for kind, _, errors in cases:
        for quantity, error in errors.items():
            worst[kind][quantity] = max(error, worst[kind].get(quantity, 0.0))
    counts = Counter(kind for kind, _, _ in cases)
    comparisons = sum(comparisons for _, comparisons, _ in cases)
    terminalreporter.section("parity")
    terminalreporter.write_line(
        f"{len(cases)} parity cases run ({comparisons} comparisons)"
        f" from {os.environ.get('INFINITY_PARITY_DIR', 'tests/golden')}"
    )
    for kind, errors in worst.items():
        largest = ", ".join(f"{name} {error:.2g}" for name, error in errors.items())
        terminalreporter.write_line(f"  {kind} x{counts[kind]}: largest error {largest}")
