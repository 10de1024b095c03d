"""Kill a run again and again, at random moments and in the middle of saves, and see what is lost.

    python -m tests.training.engine.kills --kills 20
    python -m tests.training.engine.kills --kills 20 --processes 2

Prints JSON: how many kills, how many while a checkpoint was being written, and whether losses and
weights equal those of a run that was never stopped, bit for bit.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from tests.training.engine.tiny_run import finish, start, tiny_config
from training.engine.checkpoints import read_state, whole_steps
from training.engine.journal import read_metrics

PAUSE_S = 0.02
STEPS_A_KILL = 4
PATIENCE_S = 120


def kill_repeatedly(folder: Path, kills: int, seed: int, processes: int = 1) -> dict[str, Any]:
    """Train once undisturbed and once with ``kills`` kills, every other one during a save."""
    steps = STEPS_A_KILL * kills
    settings = {
        "optimization": {"steps": steps, "ema_decay": 0.9},
        "logging": {"save_every": 1, "keep": 1},
        "parallel": {"shard": "full"} if processes > 1 else {},
    }
    whole, killed = (tiny_config(folder / name, **settings) for name in ("whole", "killed"))
    problems = finish(start(whole, processes, PAUSE_S))
    source = random.Random(seed)
    done, during_saves, unreadable = 0, 0, 0
    while done < kills:
        running = start(killed, processes, PAUSE_S)
        _wait_for_a_moment(killed.output, running, during_save=done % 2 == 1, source=source)
        if all(process.exitcode is not None for process in running):
            break
        for process in running:
            process.kill()
        for process in running:
            process.join()
        done += 1
        during_saves += any((killed.output / "checkpoints").glob("*.writing"))
        unreadable += not _is_readable(killed.output)
    problems += finish(start(killed, processes))
    curves = [[line["loss"] for line in read_metrics(c.output)] for c in (whole, killed)]
    states = [read_state(c.output, ema=True)["transformer"] for c in (whole, killed)]
    return {
        "kills": done,
        "during_saves": during_saves,
        "unreadable_checkpoints": unreadable,
        "steps": len(curves[0]),
        "losses_equal": curves[0] == curves[1] and len(curves[0]) == steps,
        "weights_equal": all(torch.equal(states[1][name], t) for name, t in states[0].items()),
        "problems": problems,
    }


def _wait_for_a_moment(
    output: Path, running: list[Any], during_save: bool, source: random.Random
) -> None:
    """A random while after the run has begun its steps, or just after a save has begun."""
    before = _size(output / "metrics.jsonl")
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until and all(process.exitcode is None for process in running):
        moved = _size(output / "metrics.jsonl") != before
        if moved and not during_save:
            time.sleep(source.uniform(0, 0.3))
            return
        if moved and any((output / "checkpoints").glob("*.writing/*")):
            return
        time.sleep(0.0005)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _is_readable(output: Path) -> bool:
    """Whether what counts as a whole checkpoint is one."""
    if not whole_steps(output / "checkpoints"):
        return True
    return all(tensor.isfinite().all() for tensor in read_state(output)["transformer"].values())


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = kill_repeatedly(Path(folder), given.kills, given.seed, given.processes)
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
