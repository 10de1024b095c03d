"""Benches can be started; the one for a card runs, in tiny, where there is none."""

import json
from importlib import import_module
from pkgutil import walk_packages

import pytest

from infinity.presets import presets
from infinity.request import SamplingParams
from tests import bench
from tests.bench import gpu
from tests.tiny import SPEC

BENCHES = [found.name for found in walk_packages(bench.__path__, f"{bench.__name__}.")]


@pytest.mark.parametrize("name", BENCHES)
def test_bench_finds_what_it_imports(name):
    import_module(name)


def test_parts_of_the_bench_are_joined_and_graphs_are_exact(tmp_path):
    output = tmp_path / "gpu.json"
    parts = ("speed 2b", "approximations 2b", "savings 8b", "savers 8b", "parity 8b", "diffusion")
    for part in parts:
        gpu.main(["--tiny", "--repeats", "1", "--part", part, "--output", str(output)])
    found = json.loads(output.read_text())
    assert set(found) == {"machine", *parts}
    rows = {name: row for part in parts[:4] for name, row in found[part].items()}
    assert set(rows) == {*gpu.EXACT, *gpu.APPROXIMATIONS, *gpu.SAVINGS, *gpu.SAVERS}
    assert found["diffusion"]["SD3 shape"]["transformer_s"] > 0
    for row in rows.values():
        assert row["recorded"] == ("no-graphs" not in row["memory_parts"])
        assert row["total_s"] > row["transformer_s"] > row["limit_s"] > 0
    turbo = found["approximations 2b"]["fused, preset turbo"]["settings"]
    assert SamplingParams.from_dict(turbo) == presets(SPEC, "1:1")["turbo"].sampling
    assert found["savers 8b"]["fused, int8-weights"]["memory_parts"] == "int8-weights"
    assert found["parity 8b"]["exact"]["equal_to_the_last_bit"]
    assert set(found["parity 8b"]["exact"]["bits_equal"]) == {1.0}
    assert max(found["parity 8b"]["exact"]["off_float32"]) < 1e-3
