"""What the paper's sizes take on many GPUs, as the table of docs/scaling.md.

python -m training.engine.memory_table --sizes 2b 8b --gpus 8 64 256 --resolution 1024
"""

import argparse
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from training.config.load import load_config
from training.config.settings import RESOLUTIONS, TrainingConfig
from training.config.sources import SIZES
from training.engine.memory import GB, needs

GPUS_A_NODE = 8
HEADINGS = (
    "size", "GPUs", "shard", "state", "frozen", "gathered", "activations", "a GPU holds",
    "sent inside a group", "sent between copies",
)  # fmt: skip


def table(sizes: Sequence[str], gpus: Sequence[int], resolution: str) -> list[str]:
    """Lines of a Markdown table, figures in GB: sizes x GPUs x (hybrid within a node, full), for one
    square picture a GPU and step."""
    lines = [_row(HEADINGS), _row(["---"] * len(HEADINGS))]
    for size in sizes:
        for count in gpus:
            for shard_size in sorted({min(GPUS_A_NODE, count), count}):
                full = shard_size == count
                parallel = (
                    {"shard": "full"} if full else {"shard": "hybrid", "shard_size": shard_size}
                )
                found = needs(_paper(size, resolution, count, parallel), count)
                figures = (
                    found.state, found.frozen, found.gathered, found.activations, found.memory,
                    found.inside, found.between,
                )  # fmt: skip
                way = "full" if full else f"hybrid {shard_size}"
                lines.append(_row([size, str(count), way, *(f"{n / GB:.1f}" for n in figures)]))
    return lines


def _paper(size: str, resolution: str, gpus: int, parallel: dict[str, Any]) -> TrainingConfig:
    """A preset with averaged weights, one square picture a GPU."""
    optimization = {
        "batch_size": gpus,
        "ema_decay": 0.9999,
        "activation_checkpointing": True,
    }
    return load_config(
        overrides={
            "preset": f"{size}-{resolution}",
            "output": "runs/computed",
            "data": {"aspect_ratios": ["1:1"]},
            "optimization": optimization,
            "parallel": parallel,
        }
    )


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=["2b", "8b"])
    parser.add_argument("--gpus", nargs="+", type=int, default=[8, 64, 256])
    parser.add_argument("--resolution", choices=RESOLUTIONS, default="1024")
    given = parser.parse_args()
    sys.stdout.write("\n".join(table(given.sizes, given.gpus, given.resolution)) + "\n")


if __name__ == "__main__":
    main()
