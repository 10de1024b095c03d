"""Learning rate and weight decay as functions of the iteration (upstream's schedules).

Parity: tests/parity, kind "training".
"""

import math

WARMUP_START = 0.005
"""Learning rate at iteration 0 as a fraction of the peak."""
FLAT = {"lin00": 0.0, "lin0": 0.05, "lin": 0.15, "exp": 0.15}
"""Shape -> the fraction of the iterations after the warm-up before its decay begins."""


def learning_rate(
    iteration: int,
    *,
    peak: float,
    max_iterations: int,
    warmup_iterations: float = 0,
    shape: str = "lin0",
    start: float = WARMUP_START,
    end: float = 0.0,
) -> float:
    """Learning rate of one iteration: linear warm-up, then a decay from ``peak`` to ``end * peak``.

    Args:
        iteration: counted from 0; the last is ``max_iterations - 1``.
        peak: learning rate after the warm-up.
        warmup_iterations: rounded to a whole number.
        shape: "cos"; "lin00" (linear); "lin0" and "lin" (flat for 5% and 15%, then linear); "exp"
            (flat for 15%, then exponential; needs ``end`` > 0); "linT", T a number in (0, 1): half
            as steep as linear until the fraction T, steeper after.
        start, end: first and last learning rate as fractions of the peak; ``end`` 1 is constant.

    Raises:
        ValueError: an unknown shape.
    """
    warmup = round(warmup_iterations)
    if iteration < warmup:
        return peak * (start + (1 - start) * iteration / warmup)
    passed = min(1.0, (iteration - warmup) / max(1, max_iterations - 1 - warmup))
    return peak * _decay(shape, passed, end)


def trapezoid(step: int, steps: int, warmup: int, cooldown: float) -> float:
    """Learning-rate factor: linear warm-up, flat, then linear to zero over the last ``cooldown``."""
    return min(1.0, (step + 1) / max(1, warmup), (steps - step) / max(1.0, cooldown * steps))


def weight_decay(iteration: int, *, start: float, end: float, max_iterations: int) -> float:
    """Weight decay of one iteration: a half cosine from ``start`` to ``end`` over the whole run."""
    passed = min(1.0, iteration / max(1, max_iterations - 1))
    return end + (start - end) * _half_cosine(passed)


def _decay(shape: str, passed: float, end: float) -> float:
    """Fraction of the peak after the fraction ``passed`` of the iterations that follow the warm-up."""
    if shape == "cos":
        return end + (1 - end) * _half_cosine(passed)
    if shape in FLAT:
        decayed = max(0.0, passed - FLAT[shape]) / (1 - FLAT[shape])
        return end**decayed if shape == "exp" else end + (1 - end) * (1 - decayed)
    knee = float(shape.removeprefix("lin"))
    if not 0 < knee < 1:
        raise ValueError(f"the knee of {shape!r} must lie between 0 and 1")
    at_knee = 1 - (1 - end) * knee / 2
    if passed < knee:
        return 1 + (at_knee - 1) * passed / knee
    return end + (at_knee - end) * (1 - passed) / (1 - knee)


def _half_cosine(passed: float) -> float:
    return 0.5 + 0.5 * math.cos(math.pi * passed)
