"""A checkout stays small, the default model included."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
MOST_BYTES = 52 * 2**20


@pytest.mark.skipif(
    not (ROOT / ".git").exists() or shutil.which("git") is None, reason="needs a git checkout"
)
def test_checkout_is_at_most_52_mebibytes():
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, timeout=60
    ).stdout.decode()
    paths = {name: ROOT / name for name in listed.split("\0") if name}
    sizes = {name: path.lstat().st_size for name, path in paths.items() if path.exists()}
    largest = sorted(sizes, key=sizes.__getitem__, reverse=True)[:20]
    assert sum(sizes.values()) <= MOST_BYTES, largest
