"""The exam: put prompts with known answers to a model and mark its pictures.

``python -m training.evaluate --model default --seeds 4 --output DIR`` writes ``exam.json`` (scores a category, each beside the judge's own ceiling on true
renders of the same prompts) and ``exam.md`` (a page of pictures, right and wrong ones).
"""

import argparse
import json
import logging
from pathlib import Path

import torch

from infinity.console import expand_home, home_path, log_to_terminal
from infinity.errors import InfinityError
from infinity.presets import PRESET_NAMES
from training.evaluation.exam import ART, examine
from training.evaluation.prompts import EXAM

logger = logging.getLogger(__name__)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m training.evaluate", description=__doc__)
    add = parser.add_argument
    add("--model", type=expand_home, default="default", help="registry name or folder")
    add("--prompts", type=home_path, default=EXAM, help="one JSON object a line, as GenEval's")
    add("--seeds", type=int, default=4, help="pictures a prompt")
    add("--limit", type=int, help="prompts a category, for a quick look")
    add("--preset", choices=PRESET_NAMES, default="balanced", help="settings to draw with")
    add("--candidates", type=int, default=1, help="the best of so many, which the judge chooses")
    add("--prune-at-scale", type=int, default=0, help="where the worse half of them is dropped")
    add("--output", type=home_path, required=True, help="folder for the results")
    add(
        "--judge",
        default=ART,
        help="art: finds the art itself; or weights, as assets/judge.safetensors",
    )
    add(
        "--judge-only",
        action="store_true",
        help="try the judge on damaged renders; write judge.json",
    )
    add("--world", type=home_path, default=Path("data/world"), help="its art; built if missing")
    arguments = parser.parse_args()
    log_to_terminal()
    if arguments.seeds < 1 or (arguments.limit is not None and arguments.limit < 1):
        parser.error("--seeds and --limit must be at least 1")
    torch.set_flush_denormal(True)
    try:
        settings = vars(arguments)
        if settings.pop("judge_only"):
            settings["model"] = None
        outcome = examine(**settings)
    except (InfinityError, FileNotFoundError) as error:
        parser.exit(1, f"{error}\n")
    logger.info("%s", json.dumps(outcome, indent=2))


if __name__ == "__main__":
    main()
