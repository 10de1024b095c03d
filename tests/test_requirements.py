"""constraints.txt pins all that the three lists of requirements bring, and says how it was made."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LISTS = ("requirements.txt", "training/requirements.txt", "tests/requirements.txt")
CONSTRAINTS = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()


def pins(lines):
    """Package -> its versions; several where they depend on the version of Python."""
    found: dict[str, set[str]] = {}
    for line in lines:
        if match := re.match(r"([A-Za-z0-9._-]+)==([^\s;]+)", line):
            found.setdefault(re.sub(r"[._-]+", "-", match[1]).lower(), set()).add(match[2])
    return found


@pytest.mark.parametrize("name", LISTS)
def test_every_requirement_has_its_version_in_the_constraints(name):
    wanted = pins((ROOT / name).read_text(encoding="utf-8").splitlines())
    assert wanted
    known = pins(CONSTRAINTS)
    assert {package: known.get(package) for package in wanted} == wanted


def test_constraints_pin_what_is_below_and_tell_how_they_were_made():
    assert any(re.match(r"#\s+uv pip compile .*-o constraints\.txt$", line) for line in CONSTRAINTS)
    content = [line for line in CONSTRAINTS if not line.startswith("#")]
    assert all(re.match(r"[a-z0-9._-]+==[^\s/:]+( ; .+)?$", line) for line in content)
    assert {"starlette", "fastapi", "pydantic-core", "pandas"} <= pins(CONSTRAINTS).keys()
    assert not re.search(r"https?:|file:|/\w+/", "\n".join(CONSTRAINTS))


@pytest.mark.parametrize("name", ["README.md", "docs/hosting.md", "docs/training.md"])
def test_documented_installs_use_the_constraints(name):
    installs = re.findall(
        r"pip install -r \S+.*$", (ROOT / name).read_text(encoding="utf-8"), re.MULTILINE
    )
    assert installs
    assert all("requirements.txt -c constraints.txt" in line for line in installs)
