"""What can be shown of a picture's scales as maps: one number a token or a pixel, and what it means.

Legend: h w tokens of a scale, H W pixels, D bits a token.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from infinity.generation.inspection import InspectedScale
from infinity.schedule import Scale

DECIDED_LEVELS = 16
"""Of 255: a place that never differs more than this from the finished picture has been decided."""
SEQUENTIAL = ("#440154", "#414487", "#2a788e", "#22a884", "#7ad151", "#fde725")
DIVERGING = ("#053061", "#4393c3", "#d1e5f0", "#f7f7f7", "#fddbc7", "#d6604d", "#67001f")
"""Colors from the least value to the most; of signed values the middle is zero."""


@dataclass(frozen=True)
class Kind:
    """What a map shows.

    Attributes:
        unit: of its numbers.
        about: what it tells, one sentence.
        low, high: what the ends of the colors stand for; None is taken from the numbers.
        signed: the colors part at zero, both ways equally far.
        digits: behind the point.
    """

    title: str
    unit: str
    about: str
    low: float | None = None
    high: float | None = None
    signed: bool = False
    digits: int = 2

    def shown(self, value: float) -> str:
        """``0.314`` -> "0.31", of signed maps "+0.31"."""
        text = f"{value:{'+' if self.signed else ''}.{self.digits}f}"
        return text.replace("-", "−")

    @property
    def colors(self) -> tuple[str, ...]:
        return DIVERGING if self.signed else SEQUENTIAL

    def limits(self, maps: Sequence[np.ndarray]) -> tuple[float, float]:
        """What the ends of the colors stand for on these maps, so that they can be compared."""
        most = max((float(np.abs(values).max()) for values in maps), default=0.0) or 1.0
        high = most if self.high is None else self.high
        high = round(high, self.digits) or high
        low = (-high if self.signed else 0.0) if self.low is None else self.low
        return low, high


KINDS: dict[str, Kind] = {
    "added": Kind(
        "Added",
        "levels of brightness, of 255",
        "What the codes of this scale did to the decoded picture: lighter is red, darker is blue.",
        signed=True,
        digits=0,
    ),
    "entropy": Kind(
        "Entropy",
        "bits of entropy a bit",
        "How undecided the model was; 1 is a coin's throw. The mean over a token's bits.",
        0.0,
        1.0,
    ),
    "confidence": Kind(
        "Confidence",
        "probability of the likelier value",
        "How sure the model was of its likelier value, whichever was drawn.",
        0.5,
        1.0,
    ),
    "likelihood": Kind(
        "Likelihood",
        "probability of the bit that is there",
        "How likely the model found what is there; low values are its surprises.",
        0.0,
        1.0,
    ),
    "prompt": Kind(
        "Prompt",
        "probability with the prompt less without",
        "Where the prompt decides: red bits are there because of it, blue ones against it.",
        signed=True,
    ),
    "decided": Kind(
        "Decided",
        "scale",
        f"The scale from which on a place stays within {DECIDED_LEVELS} of 255 levels of the finished "
        "picture, on average over its pixels and colors.",
        1.0,
        digits=0,
    ),
    "differs": Kind(
        "Differs",
        "share of a token's bits",
        "The bits in which the two pictures differ.",
        0.0,
    ),
    "word": Kind(
        "Word",
        "share of the attention",
        "How much of a token's attention to the prompt went to the word, over all blocks and heads.",
        0.0,
    ),
}
"""Every map there is, by name."""


def token_maps(scales: Sequence[InspectedScale]) -> dict[str, list[np.ndarray]]:
    """The maps that the scales' own numbers give, by kind: a list of one a scale."""
    of = {
        "entropy": entropy,
        "confidence": confidence,
        "likelihood": likelihood,
        "prompt": prompt_effect,
    }
    return {kind: [numbers(scale) for scale in scales] for kind, numbers in of.items()}


def entropy(scale: InspectedScale) -> np.ndarray:
    """(h, w) float32 from 0 to 1."""
    return _mean(scale, scale.entropy_lD)


def confidence(scale: InspectedScale) -> np.ndarray:
    """(h, w) float32 from 0.5 to 1."""
    return _mean(scale, np.maximum(scale.probability_lD, 1 - scale.probability_lD))


def likelihood(scale: InspectedScale) -> np.ndarray:
    """(h, w) float32 from 0 to 1."""
    return _mean(scale, scale.likelihood_lD)


def prompt_effect(scale: InspectedScale) -> np.ndarray:
    """(h, w) float32 from -1 to 1: what the prompt did to the probability of the bits there."""
    towards_one_lD = scale.conditional_lD - scale.unconditional_lD
    return _mean(scale, np.where(scale.bits_lD, towards_one_lD, -towards_one_lD))


def differing(scale: InspectedScale, other: InspectedScale) -> np.ndarray:
    """(h, w) float32 from 0 to 1: the share of bits that differ."""
    return _mean(scale, scale.bits_lD != other.bits_lD)


def attention(scale: InspectedScale, tokens: Sequence[int]) -> np.ndarray:
    """(h, w) float32 from 0 to 1: what went to these tokens of the prompt."""
    looked_l = scale.attention_Tl[list(tokens)].sum(axis=0)
    return looked_l.reshape(scale.height, scale.width)


def added(before: Image.Image, after: Image.Image) -> np.ndarray:
    """Two pictures of one size -> (H, W) float32 from -255 to 255: the change of brightness."""
    return (_array(after) - _array(before)).mean(axis=-1)


def decided(pictures: Sequence[Image.Image], last: Scale) -> np.ndarray:
    """The pictures after each scale -> (h, w) float32 of the last scale's tokens: the scale, from 1, from
    which on a place stays as it is at the end (see ``DECIDED_LEVELS``)."""
    final = _array(pictures[-1])
    when_hw = np.ones((last.height, last.width), np.float32)
    for number, picture in enumerate(pictures[:-1], 1):
        distance = Image.fromarray(np.abs(_array(picture) - final).mean(axis=-1))
        far_hw = np.asarray(distance.resize((last.width, last.height), Image.Resampling.BOX))
        when_hw[far_hw > DECIDED_LEVELS] = number + 1
    return when_hw


def _mean(scale: InspectedScale, values_lD: np.ndarray) -> np.ndarray:
    return values_lD.mean(axis=-1, dtype=np.float32).reshape(scale.height, scale.width)


def _array(picture: Image.Image) -> np.ndarray:
    return np.asarray(picture, np.float32)
