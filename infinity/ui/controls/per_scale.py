"""A setting that may differ from scale to scale: how its controls and its values become each other."""

from dataclasses import dataclass
from typing import Literal

from infinity.errors import RequestError
from infinity.presets import ramp
from infinity.request import parse_per_scale

CONSTANT, PYRAMID, CUSTOM = "constant", "pyramid", "custom"
Mode = Literal["constant", "pyramid", "custom"]


@dataclass(frozen=True)
class PerScale:
    """What the controls of one setting say.

    Attributes:
        first: every scale's value where the mode is constant; the first scale's in a pyramid.
        last: the last scale's value in a pyramid.
        text: one value a scale, with commas between, where the mode is custom.
    """

    mode: Mode
    first: float
    last: float
    text: str

    def values(self, what: str, scales: int) -> float | tuple[float, ...]:
        """What the request gets. Raises RequestError, naming ``what``, for a list that is none."""
        if self.mode == PYRAMID:
            return ramp(self.first, self.last, scales)
        if self.mode == CONSTANT:
            return self.first
        try:
            return parse_per_scale((self.text or "").strip().rstrip(","))
        except RequestError as error:
            raise RequestError(
                f"The custom list of {what} must be numbers with commas between, such as 1, 2, 3; "
                f"not “{self.text or ''}”."
            ) from error


def per_scale(
    values: float | tuple[float, ...], scales: int, limits: tuple[float, float]
) -> PerScale:
    """Controls that say exactly ``values``, with something to begin with for the other modes.

    Args:
        limits: what the sliders can show.
    """
    low, high = limits
    listed = values if isinstance(values, tuple) else (values,)
    first, last = (min(max(value, low), high) for value in (listed[0], listed[-1]))
    if not isinstance(values, tuple) and first == values:
        return PerScale("constant", first, (low + high) / 2, number_text(first))
    if isinstance(values, tuple) and scales > 1 and ramp(first, last, scales) == values:
        return PerScale("pyramid", first, last, ", ".join(map(number_text, listed)))
    return PerScale("custom", first, last, ", ".join(map(number_text, listed)))


def number_text(value: float) -> str:
    """``4.0`` -> "4", and always a text that reads back as the same number."""
    short = f"{value:g}"
    return short if float(short) == value else repr(float(value))
