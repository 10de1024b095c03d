"""Every case of the folder named by INFINITY_PARITY_DIR (default: tests/golden), one test each."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from tests.parity.cases import FOLDER_VARIABLE, Case, case_folder, find_cases, tolerances
from tests.parity.checks import CHECKS
from tests.parity.report import RESULTS, Report

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
def test_parity_case_matches_reference(case: Case):
    if case.kind not in CHECKS:
        pytest.fail(f"{case.path} is of no kind this runner knows ({', '.join(CHECKS)})")
    report = Report()
    RESULTS.append((case.kind, report))
    CHECKS[case.kind](case, tolerances(FOLDER), report)
    report.raise_failures()
    assert report.comparisons, f"{case.path} compared nothing"
