"""Run an experiment: ``python -m training.evidence NAME`` (or ``all``). It goes on where it stopped.

Writes NAME.json and NAME.png into docs/evidence and the page docs/evidence.md.
"""

from __future__ import annotations

import argparse
import json
import logging
from pathlib import Path

import torch

from infinity.console import expand_home, home_path, log_to_terminal
from infinity.errors import InfinityError
from training.evidence.experiments import EXPERIMENTS
from training.evidence.lab import CONCEPTS, STYLE, Lab
from training.evidence.page import write_page, write_plot
from training.exam.judge import WEIGHTS, load_judge
from training.world.world import World


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=["all", *EXPERIMENTS])
    parser.add_argument("--tokenizer-steps", type=int, default=600, help="of each arm")
    parser.add_argument("--transformer-steps", type=int, default=500, help="of each arm")
    parser.add_argument(
        "--model", type=expand_home, default="default", help="what `terms` and `decoding` examine"
    )
    parser.add_argument("--judge", type=home_path, default=WEIGHTS)
    parser.add_argument("--world", type=home_path, default=Path("data/world"))
    parser.add_argument("--runs", type=home_path, default=Path("runs/evidence"))
    parser.add_argument("--output", type=home_path, default=Path("docs/evidence"))
    arguments = parser.parse_args()
    if min(arguments.tokenizer_steps, arguments.transformer_steps) < 1:
        parser.error("steps must be at least 1")
    log_to_terminal()
    torch.set_flush_denormal(True)
    try:
        lab = Lab(
            World.load(arguments.world, styles=(STYLE,), concepts=CONCEPTS),
            load_judge(arguments.judge),
            arguments.runs,
            arguments.tokenizer_steps,
            arguments.transformer_steps,
        )
        names = list(EXPERIMENTS) if arguments.name == "all" else [arguments.name]
        for name in names:
            rows = EXPERIMENTS[name].run(lab, arguments.model, arguments.world)
            write_results(arguments.output, name, rows, lab)
    except (InfinityError, FileNotFoundError) as error:
        parser.exit(1, f"{error}\n")


def write_results(output: Path, name: str, rows: list[dict], lab: Lab) -> None:
    """NAME.json, NAME.png and the page beside the folder."""
    output.mkdir(parents=True, exist_ok=True)
    found = {
        "experiment": name,
        "budget": EXPERIMENTS[name].budget(lab),
        "threads": torch.get_num_threads(),
        "rows": rows,
    }
    (output / f"{name}.json").write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    write_plot(EXPERIMENTS[name], rows, output / f"{name}.png")
    write_page(output, output.with_suffix(".md"))
    logging.getLogger(__name__).info("wrote %s", output / f"{name}.json")


if __name__ == "__main__":
    main()
