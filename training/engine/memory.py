"""What a training run needs a GPU to hold and to send, computed from its shapes; no GPU is asked.

    python -m training.engine.memory --sizes 2b 8b --gpus 8 64 256 --resolution 1024

Kept a parameter: float32 weight, gradient and two moments (and the average, where kept). Beside
them, while a step runs: the gathered weights of two blocks (one in use, one on its way) and of what
lies outside the blocks, with its whole gradients; and the activations, of which activation
checkpointing keeps one residual stream a block and recomputes the rest of one block at a time.
Sent: each gathered weight twice a micro-batch (forward and backward), each gradient once.

Legend: L tokens of all scales, C width, F feed-forward width.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch

from infinity.config import TransformerConfig
from infinity.model.transformer import InfinityTransformer
from infinity.registry import MODEL_SPECS
from infinity.schedule import schedule_for
from training.config.presets import SIZES
from training.config.settings import RESOLUTIONS

GB = 1e9
FLOAT32, GATHERED = 4, 2
"""Bytes of a number: kept and reduced in float32, gathered and computed in bfloat16."""
GPUS_A_NODE = 8


@dataclass(frozen=True, kw_only=True)
class Setup:
    """A way to train.

    Args:
        gpus: how many processes.
        shard_size: over how many of them the parameters are split; copies between such groups.
        micro_batch: samples a GPU computes at once.
        micro_batches: a step.
        tokens: L, of a sample.
        ema: whether averaged weights are kept.
        checkpointing: of the blocks' activations.
    """

    gpus: int
    shard_size: int
    tokens: int
    micro_batch: int = 1
    micro_batches: int = 1
    ema: bool = True
    checkpointing: bool = True


@dataclass(frozen=True, kw_only=True)
class Needs:
    """What a GPU holds, in bytes, and sends and receives a step, in bytes.

    Attributes:
        state: its shards of weights, gradients, moments and average.
        gathered: weights (and outside the blocks, gradients) that are whole while a step runs.
        activations: kept for the backward, and of the block that is being computed.
        inside: sent among the GPUs that share one copy: gathers and reduce-scatters.
        between: sent among copies: the all-reduce of gradients.
    """

    state: int
    gathered: int
    activations: int
    inside: int
    between: int

    @property
    def memory(self) -> int:
        return self.state + self.gathered + self.activations


def parameters(config: TransformerConfig) -> tuple[int, int]:
    """Parameters of one block, and of all that lies outside the blocks."""
    with torch.device("meta"):
        model = InfinityTransformer(config)
    block = sum(parameter.numel() for parameter in model.blocks[0].parameters())
    return block, sum(parameter.numel() for parameter in model.parameters()) - block * config.depth


def activation_bytes(config: TransformerConfig, samples: int, tokens: int) -> tuple[int, int]:
    """Bytes a block keeps for its backward: all of it, and with checkpointing its input alone.

    A token of a block, in widths C: two norms (input and output, float32), three branches and two
    more residual sums (float32); queries, keys, values, their rotated forms, both attentions'
    outputs and the cross-attention's query (bfloat16); and in feed-forward widths F: before and
    after GELU (bfloat16). Fused attention keeps no scores.
    """
    wide, narrow = 2 * 2 + 3 + 2, 3 + 2 + 2 + 1 + 3
    token = config.width * (wide * FLOAT32 + narrow * GATHERED)
    token += 2 * config.feed_forward_width * GATHERED
    return samples * tokens * token, samples * tokens * config.width * FLOAT32


def needs(config: TransformerConfig, setup: Setup) -> Needs:
    """Memory and communication of one GPU for one step."""
    block, outside = parameters(config)
    total = block * config.depth + outside
    kept, shards = 4 + setup.ema, setup.shard_size
    whole, own = activation_bytes(config, setup.micro_batch, setup.tokens)
    logits = setup.micro_batch * setup.tokens * 2 * config.bits_per_token * FLOAT32
    blocks_kept = config.depth * (own if setup.checkpointing else whole)
    travelling = (shards - 1) / shards
    gathers = 2 * GATHERED * block * config.depth + FLOAT32 * outside
    inside = setup.micro_batches * travelling * (gathers + FLOAT32 * total)
    copies = setup.gpus // shards
    between = 2 * (copies - 1) / copies * FLOAT32 * total / shards
    return Needs(
        state=round(kept * FLOAT32 * total / shards),
        gathered=0 if shards == 1 else 2 * GATHERED * block + 2 * FLOAT32 * (block + outside),
        activations=blocks_kept + (whole if setup.checkpointing else 0) + 3 * logits,
        inside=round(inside),
        between=round(between),
    )


HEADINGS = (
    "size", "GPUs", "shard", "state", "gathered", "activations", "a GPU holds",
    "sent inside a group", "sent between copies",
)  # fmt: skip


def table(
    sizes: Sequence[str],
    gpus: Sequence[int],
    resolution: str,
    micro_batch: int = 1,
    micro_batches: int = 1,
) -> list[str]:
    """Lines of a Markdown table, figures in GB: sizes x GPUs x (hybrid within a node, full)."""
    tokens = schedule_for("1:1", RESOLUTIONS[resolution]).total_tokens
    lines = [_row(HEADINGS), _row(["---"] * len(HEADINGS))]
    for size in sizes:
        config = MODEL_SPECS[SIZES[size]].transformer
        for count in gpus:
            for shard_size in sorted({min(GPUS_A_NODE, count), count}):
                setup = Setup(
                    gpus=count,
                    shard_size=shard_size,
                    tokens=tokens,
                    micro_batch=micro_batch,
                    micro_batches=micro_batches,
                )
                found = needs(config, setup)
                figures = (
                    found.state, found.gathered, found.activations, found.memory,
                    found.inside, found.between,
                )  # fmt: skip
                way = "full" if shard_size == count else f"hybrid {shard_size}"
                lines.append(_row([size, str(count), way, *(f"{n / GB:.1f}" for n in figures)]))
    return lines


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=["2b", "8b"])
    parser.add_argument("--gpus", nargs="+", type=int, default=[8, 64, 256])
    parser.add_argument("--resolution", choices=RESOLUTIONS, default="1024")
    parser.add_argument("--micro-batch", type=int, default=1, help="samples at once on a GPU")
    parser.add_argument("--micro-batches", type=int, default=1, help="of a step, on a GPU")
    given = parser.parse_args()
    lines = table(given.sizes, given.gpus, given.resolution, given.micro_batch, given.micro_batches)
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
