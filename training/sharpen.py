"""Fine-tune a tokenizer's decoder with its codes frozen: sharp edges, and the transformer stays valid.

Reconstruction, a perceptual distance and a light patch-adversarial term (settings in decoder.yaml),
by the same engine as any training run, so a killed run goes on where it stopped.
"""

from __future__ import annotations

from pathlib import Path

import torch

from infinity.checkpoints.save import save_tokenizer
from infinity.errors import CheckpointError
from infinity.schedule import ScaleSchedule
from infinity.tokenizer.tokenizer import Tokenizer
from training.config.load import load_config
from training.engine.checkpoints import read_state, whole_steps
from training.engine.loop import train

SETTINGS = Path(__file__).with_name("decoder.yaml")
START = "start"
"""Ending of the folder, beside the run, that holds the tokenizer it began from."""


def sharpen(
    tokenizer: Tokenizer, schedule: ScaleSchedule, world: Path, run: Path, **changes: object
) -> None:
    """Tune the decoder, or continue the run in ``run``.

    Args:
        tokenizer: to start from; a run that has begun keeps its own.
        world: folder of the emoji world.
        changes: settings of the run over those of decoder.yaml, one level deep.
    """
    start = run.with_name(f"{run.name}_{START}")
    if not start.exists():
        save_tokenizer(start, tokenizer.config, tokenizer)
    overrides = {
        "output": str(run),
        "tokenizer": {"weights": str(start)},
        "data": {"sources": [str(world)], "schedules": {"1:1": schedule.to_dict()}},
        **changes,
    }
    train(load_config(SETTINGS, overrides=overrides))


def put_sharpened(tokenizer: Tokenizer, run: Path) -> bool:
    """Put the tuned decoder of a run into the tokenizer; False where there is no such run.

    Raises:
        CheckpointError: the run was for other codes than this tokenizer's.
    """
    if not whole_steps(run / "checkpoints"):
        return False
    found = read_state(run)["tokenizer"]
    encoder = tokenizer.encoder.state_dict()
    if any(not torch.equal(found[f"encoder.{name}"], value) for name, value in encoder.items()):
        raise CheckpointError(
            f"{run} was tuned for other codes than the tokenizer has now; delete it and "
            f"{run}_{START}, and tune again."
        )
    tokenizer.load_state_dict(found)
    return True
