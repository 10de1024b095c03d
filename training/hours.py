"""How long the steps of a recipe took, summed over every time they were stopped and resumed."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

from filelock import FileLock

from training.run import read_metrics

KEPT_EVERY_S = 30.0
"""A killed step loses at most so much of its time."""


@contextmanager
def counted(path: Path, step: str) -> Iterator[None]:
    """Add the time inside to the step's seconds in a JSON file, again and again while it runs."""
    done = threading.Event()

    def keep() -> None:
        before = time.monotonic()
        while True:
            ended = done.wait(KEPT_EVERY_S)
            now = time.monotonic()
            _add(path, step, now - before)
            before = now
            if ended:
                return

    keeper = threading.Thread(target=keep, daemon=True)
    keeper.start()
    try:
        yield
    finally:
        done.set()
        keeper.join()


def read_seconds(path: Path) -> dict[str, float]:
    """Step -> seconds; empty before the first."""
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def spent_seconds(run: Path, batch_size: int) -> float:
    """Seconds of a run's steps by its own metrics: samples between two lines over their rate.

    Steps before the first line are not counted but for as many as lie between the first two: a
    restored run has had others elsewhere.
    """
    rates = [
        (line["step"], rate)
        for line in read_metrics(run)
        if (rate := line.get("pictures_per_s", line.get("samples_per_s")))
    ]
    steps = [step for step, _ in rates]
    gaps = [after - before for before, after in pairwise(steps)]
    return sum(
        gap * batch_size / rate
        for gap, (_, rate) in zip([*gaps[:1], *gaps] or steps, rates, strict=True)
    )


def _add(path: Path, step: str, seconds: float) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{path}.lock"):
        found = read_seconds(path)
        found[step] = round(found.get(step, 0.0) + seconds, 3)
        draft = path.with_suffix(".writing")
        draft.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
        draft.replace(path)
