"""Measure what drawing on from bits does: ``python -m tests.bench.editing OUT``.

Each case's figures are a line of ``OUT/<subject>.jsonl`` at once; run it again to go on where it
stopped. At the end ``OUT/editing.json`` has the means of all of them.
"""

import argparse
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from infinity.pipeline import InfinityPipeline
from tests.bench.editing.sheets import write_sheets
from tests.bench.editing.subjects import SUBJECTS

DIGITS = 5


def measure(pipeline: InfinityPipeline, subject: str, path: Path, most: int | None) -> None:
    """Measure the cases that ``path`` lacks."""
    work, cases = SUBJECTS[subject]
    done = len(path.read_text().splitlines()) if path.exists() else 0
    for case in range(done, cases if most is None else min(cases, most)):
        line = json.dumps(work(pipeline, case))
        with path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")


def summary(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Means of each figure, of the cases that have it; of repairs also what is left of the damage."""
    names = dict.fromkeys(name for row in rows for name in row)
    result: dict[str, Any] = {}
    for name in names:
        values = [row[name] for row in rows if name in row]
        result[name] = summary(values) if isinstance(values[0], dict) else _mean(values)
    if "damage" in result:
        result["repaired"] = round(1 - result["left"] / result["damage"], DIGITS)
    return result


def _mean(values: Iterable[float]) -> float:
    return round(float(np.mean([*values])), DIGITS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path, help="folder")
    parser.add_argument("--only", choices=(*SUBJECTS, "sheets"), nargs="*", help="default: all")
    parser.add_argument("--cases", type=int, help="at most so many of each subject")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    options.output.mkdir(parents=True, exist_ok=True)
    wanted = options.only or (*SUBJECTS, "sheets")
    pipeline = InfinityPipeline.from_pretrained("default", device="cpu")
    for subject in wanted:
        if subject == "sheets":
            write_sheets(pipeline, options.output)
        else:
            measure(pipeline, subject, options.output / f"{subject}.jsonl", options.cases)
    found = {}
    for subject in SUBJECTS:
        path = options.output / f"{subject}.jsonl"
        if path.exists():
            rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
            found[subject] = {"cases": len(rows), **summary(rows)}
    (options.output / "editing.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
