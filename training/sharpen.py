"""Sharpen a tokenizer's decoder with its codes frozen: clean edges, and the transformer stays valid.

A refinement on patches of 4x4 pixels is added to the decoder, and both are trained (settings in
decoder.yaml) by the same engine as any training run, so a killed run goes on where it stopped.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from infinity.checkpoints.load import load_tokenizer
from infinity.checkpoints.save import save_tokenizer
from infinity.errors import CheckpointError
from infinity.schedule import ScaleSchedule
from infinity.tokenizer.tokenizer import Tokenizer
from training.config.load import load_config
from training.engine.checkpoints import read_state, whole_steps
from training.engine.loop import train

SETTINGS = Path(__file__).with_name("decoder.yaml")
REFINE_BLOCKS, REFINE_CHANNELS = 4, 64


def start_of(run: Path) -> Path:
    """The folder beside a run that holds the tokenizer it began from."""
    return run.with_name(f"{run.name}_start")


def sharpen(
    tokenizer: Tokenizer, schedule: ScaleSchedule, world: Path, run: Path, **changes: object
) -> None:
    """Tune the decoder, or continue the run in ``run``.

    Args:
        tokenizer: to start from; a run that has begun keeps its own.
        world: folder of the emoji world.
        changes: settings of the run over those of decoder.yaml, one level deep.
    """
    start = start_of(run)
    if not start.exists():
        begun = _with_refinement(tokenizer)
        save_tokenizer(start, begun.config, begun)
    overrides = {
        "output": str(run),
        "tokenizer": {"weights": str(start)},
        "data": {"sources": [str(world)], "schedules": {"1:1": schedule.to_dict()}},
        **changes,
    }
    train(load_config(SETTINGS, overrides=overrides))


def sharpened(tokenizer: Tokenizer, run: Path) -> Tokenizer:
    """The tokenizer with the decoder of a run, or of its start; itself where there is neither.

    Raises:
        CheckpointError: the run was for other codes than this tokenizer's.
    """
    if whole_steps(run / "checkpoints"):
        found = read_state(run)["tokenizer"]
    elif start_of(run).exists():
        found = load_tokenizer(start_of(run)).state_dict()
    else:
        return tokenizer
    encoder = tokenizer.encoder.state_dict()
    if any(not torch.equal(found[f"encoder.{name}"], value) for name, value in encoder.items()):
        raise CheckpointError(
            f"{run} was tuned for other codes than the tokenizer has now; delete it and "
            f"{start_of(run)}, and tune again."
        )
    result = _with_refinement(tokenizer)
    result.load_state_dict(found)
    return result


def _with_refinement(tokenizer: Tokenizer) -> Tokenizer:
    """A copy that decodes to the same pictures, with a refinement that has learned nothing yet."""
    config = replace(tokenizer.config, refine_blocks=REFINE_BLOCKS, refine_channels=REFINE_CHANNELS)
    with torch.random.fork_rng(devices=[]):  # the layers draw from the global source
        torch.manual_seed(0)
        result = Tokenizer(config)
    result.load_state_dict({**result.state_dict(), **tokenizer.state_dict()})
    return result
