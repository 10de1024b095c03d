"""The exam: put prompts with known answers to a model and mark its pictures.

``python -m training.evaluate --model default --prompts training/prompts/exam.jsonl --seeds 4
--output DIR`` writes ``exam.json`` (scores a category, each beside the judge's own ceiling on true
renders of the same prompts) and ``exam.md`` (a page of pictures, right and wrong ones).
"""

import argparse
import json
import logging
from pathlib import Path

import torch

from infinity.console import expand_home, home_path, log_to_terminal
from infinity.errors import InfinityError
from training.evaluation.exam import examine, sample
from training.evaluation.judge import WEIGHTS, load_judge
from training.evaluation.prompts import EXAM, read_prompts
from training.evaluation.report import write_outcome
from training.world.sprites import STYLES, ensure_sprites
from training.world.world import World

logger = logging.getLogger(__name__)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m training.evaluate", description=__doc__)
    add = parser.add_argument
    add("--model", type=expand_home, default="default", help="registry name or folder")
    add("--prompts", type=home_path, default=EXAM, help="one JSON object a line, as GenEval's")
    add("--seeds", type=int, default=4, help="pictures a prompt")
    add("--limit", type=int, help="prompts a category, for a quick look")
    add("--output", type=home_path, required=True, help="folder for the results")
    add("--judge", type=home_path, default=WEIGHTS, help="weights of the judge")
    add("--world", type=home_path, default=Path("data/world"), help="its art; built if missing")
    arguments = parser.parse_args()
    log_to_terminal()
    if arguments.seeds < 1 or (arguments.limit is not None and arguments.limit < 1):
        parser.error("--seeds and --limit must be at least 1")
    torch.set_flush_denormal(True)
    try:
        prompts, unknown = read_prompts(arguments.prompts)
        judge = load_judge(arguments.judge)
        ensure_sprites(arguments.world)
        world = World.load(arguments.world, styles=STYLES)
        outcome, found = examine(
            arguments.model, sample(prompts, arguments.limit), arguments.seeds, judge, world
        )
    except (InfinityError, FileNotFoundError) as error:
        parser.exit(1, f"{error}\n")
    outcome |= {"prompts": arguments.prompts.name, "limit": arguments.limit, "not_asked": unknown}
    write_outcome(arguments.output, outcome, found)
    logger.info("%s", json.dumps(outcome, indent=2))


if __name__ == "__main__":
    main()
