"""Every case of the folder named by INFINITY_PARITY_DIR (default: tests/golden), one test each."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch

from tests.parity.cases import FOLDER_VARIABLE, Case, case_folder, find_cases, tolerances
from tests.parity.checks import CHECKS
from tests.parity.report import Report

FOLDER = case_folder()
CASES = find_cases(FOLDER) if FOLDER.is_dir() else []


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """The reference ran on one thread; more would sum in another order."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def test_parity_folder_holds_cases():
    assert CASES, f"{FOLDER} ({FOLDER_VARIABLE}) holds no cases"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_parity_case_matches_reference(case: Case, record_property: Callable[[str, object], None]):
    if case.kind not in CHECKS:
        pytest.fail(f"{case.path} is of no kind this runner knows ({', '.join(CHECKS)})")
    report = Report()
    CHECKS[case.kind](case, tolerances(FOLDER), report)
    record_property("parity", (case.kind, report.comparisons, report.errors))
    report.raise_failures()
    assert report.comparisons, f"{case.path} compared nothing"
