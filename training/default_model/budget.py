"""The default model in a given time: so many steps of every part as the device at hand makes in it."""

import json
import tempfile
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from training.config.load import load_config, merged
from training.config.settings import TrainingConfig
from training.default_model.build import STEPS, Build
from training.engine.journal import read_metrics
from training.engine.loop import train

SHARES = {"tokenizer": 0.25, "decoder": 0.15, "transformer": 0.8}
"""Part -> share of the time that is left when it begins; the rest is for starting and the export."""
MEASURED, FEWEST = 4, 10
PLAN = "plan.json"


def make_within(build: Build, seconds: float) -> None:
    """The world, the three parts and the export. Run again, it keeps to the plan that it made.

    Raises:
        InfinityError: a part cannot be trained.
    """
    ends = time.monotonic() + seconds
    build.runs.mkdir(parents=True, exist_ok=True)
    path = build.runs / PLAN
    plan: dict[str, Any] = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    STEPS["world"](build)
    for part, share in SHARES.items():
        if part not in plan:
            speed = samples_a_second(build.settings(part))
            left = max(0.0, ends - time.monotonic())
            plan[part] = shortened(build.settings(part), share * left * speed)
            path.write_text(json.dumps(plan, indent=2) + "\n", encoding="utf-8")
        changes = {**build.changes, part: merged(build.changes.get(part, {}), plan[part])}
        STEPS[part](replace(build, changes=changes))
    STEPS["export"](build)


def shortened(config: TrainingConfig, samples: float) -> Mapping[str, Any]:
    """What to change for a run of so many samples: its steps, and all that is counted in them."""
    optimization, world = config.optimization, config.data.world
    steps = max(FEWEST, int(samples / optimization.batch_size))
    share = min(1.0, steps / optimization.steps)
    steps = min(steps, optimization.steps)
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
        "logging": {"save_every": max(1, steps // 4), "validate_every": max(1, steps // 2)},
    }


def samples_a_second(config: TrainingConfig) -> float:
    """Of a few steps after the first, their data included, on this device."""
    with tempfile.TemporaryDirectory() as place:
        few = {
            "output": str(Path(place) / "run"),
            "optimization": {"steps": 2 * MEASURED, "warmup": 0, "compile": False},
            "data": {"held_out": 0.0, "world": {"fresh_from": 0, "features": None}},
            "logging": {"log_every": MEASURED, "save_every": 2 * MEASURED, "tensorboard": False},
        }
        measured = load_config(overrides=merged(config.model_dump(mode="json"), few))
        train(measured)
        return read_metrics(measured.output)[-1]["samples_per_s"]
