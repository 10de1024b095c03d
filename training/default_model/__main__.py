"""Make the shipped default model: ``python -m training.default_model all``, or one step by its name.

A killed step goes on when its command is run again. Every part is a run of ``training.train`` with
a preset of its own (default-tokenizer, default-decoder, default; with ``--recipe next`` next-tokenizer,
next-decoder, next).
"""

import argparse
import logging
import re

import torch

from infinity.console import home_path, log_to_terminal
from infinity.errors import InfinityError
from training.default_model.budget import make_within
from training.default_model.build import RECIPES, STEPS, Build

logger = logging.getLogger(__name__)


def _seconds(text: str) -> float:
    """ "25m" -> 1500."""
    found = re.fullmatch(r"([1-9]\d{0,5})([smh])", text)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text[:20]!r} is no time; write 90s, 25m or 3h.")
    return float(found[1]) * {"s": 1, "m": 60, "h": 3600}[found[2]]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m training.default_model", description=__doc__)
    parser.add_argument("step", choices=["all", *STEPS])
    parser.add_argument(
        "--runs", type=home_path, help="folder for all of it (default: runs/RECIPE)"
    )
    parser.add_argument("--world", type=home_path, default=Build.world, help="folder of the art")
    recipe = "the shipped model's, or the next one's: larger pictures of a larger world"
    parser.add_argument("--recipe", choices=RECIPES, default=Build.recipe, help=recipe)
    parser.add_argument(
        "--budget", type=_seconds, help="of all: the time it may take, such as 25m or 3h, no judge"
    )
    arguments = parser.parse_args()
    if arguments.budget is not None and arguments.step != "all":
        parser.error("--budget is for all steps")
    log_to_terminal()
    torch.set_flush_denormal(True)
    runs = arguments.runs or Build.runs.with_name(arguments.recipe)
    build = Build(runs, arguments.world, recipe=arguments.recipe)
    try:
        if arguments.budget is not None:
            make_within(build, arguments.budget)
            return
        for name, step in STEPS.items():
            if arguments.step in ("all", name):
                logger.info("step: %s", name)
                step(build)
    except InfinityError as error:
        parser.exit(2, f"{error}\n")


if __name__ == "__main__":
    main()
