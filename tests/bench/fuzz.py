"""Hostile calls against the app on a tiny random model, as JSON figures by kind of answer.

python -m tests.bench.fuzz --calls 1000
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections import Counter
from pathlib import Path

from infinity.hosting import Allowance, Hosting
from infinity.ui.shared.runs import Runs
from tests.hostile import answer, calls, functions
from tests.tiny import tiny_pipeline
from tests.ui.tiny_page import tiny_page


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--patience", type=float, default=20, help="seconds for one answer")
    parser.add_argument("--show", action="store_true", help="every call without a good answer")
    asked = parser.parse_args()
    pipeline = tiny_pipeline()
    with tempfile.TemporaryDirectory() as folder:
        runs = Runs(Allowance(Hosting()))
        kinds: Counter[str] = Counter()
        with tiny_page(Path(folder), pipeline, runs) as page:
            url = f"{page}gradio_api/"
            for call in calls(functions(url), asked.calls, asked.seed):
                kind, said = answer(url, call, asked.patience)
                kinds[kind] += 1
                if asked.show and kind not in ("picture", "value", "sentence"):
                    sys.stderr.write(f"{kind}: {call.path} {call.body[:300]!r}: {said[:500]}\n")
    sys.stdout.write(
        json.dumps({"calls": asked.calls, "seed": asked.seed, "answers": dict(kinds)}) + "\n"
    )


if __name__ == "__main__":
    main()
