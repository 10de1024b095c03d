"""Stops a run whose loss is no number or runs away."""

import math
from dataclasses import dataclass

from infinity.errors import InfinityError

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


@dataclass
class Guard:
    """Watches the loss; its two numbers are saved with the run, so a resumed one watches alike."""

    mean: float = 0.0
    far_off: int = 0

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
