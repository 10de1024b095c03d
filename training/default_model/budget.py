"""The default model in a given time: so many steps of every part as the device at hand makes in it."""

import json
import logging
import tempfile
import time
from collections.abc import Mapping
from dataclasses import replace
from math import ceil
from pathlib import Path
from typing import Any

from infinity.errors import RequestError
from training.config.settings import TrainingConfig
from training.config.sources import merged
from training.default_model.build import STEPS, Build
from training.engine.journal import read_metrics

logger = logging.getLogger(__name__)

SHARES = {"tokenizer": 0.27, "decoder": 0.12, "transformer": 0.61}
"""Part -> share of the time for steps."""
USED = 0.9
"""Share of the time that is planned; on the rest falls what a few steps do not show."""
FEWEST = 10
"""Steps of a part."""
SHEET = 8
"""Pictures on the contact sheet."""
PLAN = "plan.json"

Costs = dict[str, tuple[float, float]]
"""Part, or "export" -> seconds of all that is not a step, and of a step."""


def make_within(build: Build, seconds: float) -> None:
    """The world, the three parts and the export. Run again, it keeps to the plan that it made.

    Raises:
        RequestError: in this time nothing can be trained here; it names the shortest that will do.
        InfinityError: a part cannot be trained.
    """
    ends = time.monotonic() + seconds
    build.runs.mkdir(parents=True, exist_ok=True)
    build = replace(build, sheet=SHEET)
    STEPS["world"](build)
    path = build.runs / PLAN
    plan: dict[str, Any] = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    costs = {} if len(plan) == len(SHARES) else measured(build, 2 if seconds < 600 else 4)
    for part in SHARES:
        began = time.monotonic()
        is_new = part not in plan
        if is_new:
            least = seconds - (ends - began) + shortest(costs)
            if least > seconds and not plan:
                raise RequestError(
                    f"{seconds:.0f}s are too short to train the default model on this device, for "
                    f"{FEWEST} steps of each part; give it at least --budget {ceil(least)}s."
                )
            steps = planned(costs, part, ends - began)
            plan[part] = shortened(build.settings(part), steps)
            path.write_text(json.dumps(plan, indent=2) + "\n", encoding="utf-8")
            logger.info("planned: %d steps of the %s", steps, part)
        changes = {**build.changes, part: merged(build.changes.get(part, {}), plan[part])}
        STEPS[part](replace(build, changes=changes))
        other, step = costs.pop(part, (0.0, 0.0))
        if is_new:  # what comes is as much slower as this was
            steps = plan[part]["optimization"]["steps"]
            pace = (time.monotonic() - began) / (other + steps * step)
            costs = {part: (other * pace, step * pace) for part, (other, step) in costs.items()}
    STEPS["export"](build)


def measured(build: Build, steps: int) -> Costs:
    """What making the model costs on this device.

    A whole model is made, of ``2 * steps`` steps a part: the first ones, which wait for the
    data and the device, are not counted as steps.
    """
    few = {
        "optimization": {"steps": 2 * steps, "warmup": 0, "compile": False, "scale_prefixes": []},
        "data": {"world": {"fresh_from": 0}},
        "logging": {
            "log_every": steps,
            "save_every": 2 * steps,
            "curves": False,
            "tensorboard": False,
        },
    }
    costs: Costs = {}
    with tempfile.TemporaryDirectory() as place:
        changes = {part: merged(build.changes.get(part, {}), few) for part in SHARES}
        small = replace(build, runs=Path(place), changes=changes)
        for part in (*SHARES, "export"):
            began, step = time.monotonic(), 0.0
            STEPS[part](small)
            spent = time.monotonic() - began
            if part != "export":
                config = small.settings(part)
                speeds = [line.get("samples_per_s") for line in read_metrics(config.output)]
                step = config.optimization.batch_size / next(filter(None, reversed(speeds)))
            costs[part] = max(0.0, spent - steps * step), step
    return costs


def shortest(costs: Costs) -> float:
    """Seconds in which ``FEWEST`` steps of every part can be planned."""
    shares = {part: SHARES[part] for part in costs if part in SHARES}
    most = max(FEWEST * costs[part][1] / share for part, share in shares.items())
    return (sum(other for other, _ in costs.values()) + sum(shares.values()) * most) / USED


def planned(costs: Costs, part: str, left: float) -> int:
    """Steps of a part, when so many seconds are left for all of ``costs``."""
    free = USED * left - sum(other for other, _ in costs.values())
    share = SHARES[part] / sum(SHARES[name] for name in costs if name in SHARES)
    return max(FEWEST, int(share * free / costs[part][1] + 1e-6))


def shortened(config: TrainingConfig, steps: int) -> Mapping[str, Any]:
    """What to change for a run of so many steps: all that is counted in them."""
    optimization, world = config.optimization, config.data.world
    steps = min(steps, optimization.steps)
    share = steps / optimization.steps
    return {
        "optimization": {
            "steps": steps,
            "warmup": min(optimization.warmup, steps // 10),
            "cooldown": max(optimization.cooldown, 0.3),
            "compile": False,
            "scale_prefixes": [[int(s * share), n] for s, n in optimization.scale_prefixes],
        },
        "data": {
            "world": {
                "curriculum": [[int(s * share), shares] for s, shares in world.curriculum],
                "fresh_from": 0,
            }
        },
        "logging": {"save_every": max(1, steps // 4), "validate_every": steps},
    }
