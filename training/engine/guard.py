"""Stops a run whose loss is no number or runs away, and keeps what the step was given."""

import json
import math
from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor

from infinity.errors import InfinityError
from training.data.records import Batch

MEMORY = 0.98
"""Share of the running mean that a step keeps."""
FAR = 3.0
"""How many times above its running mean a loss is far off."""
PATIENCE = 20
"""Steps in a row a loss may be far off."""
FIRST_STEPS = 100
"""Steps before the running mean means anything."""


class DivergenceError(InfinityError):
    """The loss became no number, or ran away."""


class Guard:
    """Watches the loss; its two numbers are saved with the run, so a resumed one watches alike."""

    def __init__(self) -> None:
        self.mean = 0.0
        self.far_off = 0

    def reason(
        self, step: int, loss: float, gradient_norm: float, *, scaled: bool, watched: bool
    ) -> str | None:
        """Why the run must stop at ``step``, or None; call it before the optimizer's step.

        Args:
            scaled: in float16 an infinite gradient is skipped by the loss scaler, not an error.
            watched: whether the loss may run away too; else it must only be a number.
        """
        if not math.isfinite(loss):
            return f"the loss became {loss}"
        if not math.isfinite(gradient_norm) and not scaled:
            return f"the gradient norm became {gradient_norm}"
        if not watched:
            return None
        beyond = self.mean + (FAR - 1) * max(abs(self.mean), 1e-3)
        if step >= FIRST_STEPS and loss > beyond:
            self.far_off += 1
            if self.far_off >= PATIENCE:
                return f"the loss stayed above {beyond:.4g} for {PATIENCE} steps (now {loss:.4g})"
            return None
        self.far_off = 0
        self.mean = loss if step == 0 else MEMORY * self.mean + (1 - MEMORY) * loss
        return None

    def state(self) -> dict[str, float]:
        return {"mean": self.mean, "far_off": self.far_off}

    def load(self, state: Mapping[str, float]) -> None:
        self.mean, self.far_off = state["mean"], int(state["far_off"])


def save_inputs(folder: Path, rank: int, batch: Batch, facts: Mapping[str, object]) -> None:
    """Write a process's inputs of a step: ``rank_N.safetensors`` and ``rank_N.json``.

    Raises:
        OSError, SafetensorError: the disk is full or not writable.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tensors: dict[str, Tensor] = {}
    if batch.pictures_u8 is not None:
        tensors["pictures_u8"] = batch.pictures_u8
    if batch.latents is not None:
        tensors["latents"] = batch.latents
    for name, parts in (("bits_scale", batch.bits), ("features", batch.features)):
        for index, part in enumerate(parts or ()):
            tensors[f"{name}_{index}"] = part
    save_file(
        {name: t.cpu().contiguous() for name, t in tensors.items()},
        folder / f"rank_{rank}.safetensors",
    )
    told = {
        **facts,
        "aspect_ratio": batch.aspect_ratio,
        "captions": batch.captions,
        "keys": batch.keys,
        "positions": batch.positions,
    }
    text = json.dumps(told, indent=2, ensure_ascii=False)
    (folder / f"rank_{rank}.json").write_text(text, encoding="utf-8", errors="backslashreplace")
