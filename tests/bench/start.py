"""From start to a saved PNG on the command line, against what importing its libraries takes: ``python -m
tests.bench.start``, JSON out. All in turn in one run, the best of ``--repeats`` each, every process new, Python's own bytecode
kept from a first round; on a busy machine compare ``cpu_s``."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

IMPORTS = "import torch; from transformers import T5EncoderModel"
KEEPING = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def seconds(command: list[str]) -> tuple[float, float]:
    """(of the clock, of processors) that a new process took."""
    started_s, before = time.perf_counter(), os.times()
    subprocess.run([sys.executable, *command], check=True, capture_output=True, env=KEEPING)
    after = os.times()
    used = after.children_user + after.children_system
    return time.perf_counter() - started_s, used - before.children_user - before.children_system


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    with tempfile.TemporaryDirectory() as folder:
        commands = {
            "imports": ["-c", IMPORTS],
            "help": ["-m", "infinity", "--help"],
            "picture": [
                "-m",
                "infinity",
                "generate",
                "a red apple",
                "-o",
                str(Path(folder, "x.png")),
            ],
        }
        runs: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
        for _ in range(1 + repeats):
            for name, command in commands.items():
                runs[name].append(seconds(command))
    figures = {
        name: {"s": min(clock for clock, _ in times), "cpu_s": min(used for _, used in times)}
        for name, times in runs.items()
    }
    figures["ratio"] = {
        kind: figures["picture"][kind] / figures["imports"][kind] for kind in ("s", "cpu_s")
    }
    sys.stdout.write(json.dumps(figures, default=float) + "\n")


if __name__ == "__main__":
    main()
