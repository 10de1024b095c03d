"""Where a drawing begins: the bits of a picture, and which of them may change.

Everything that goes on from a picture is one rule. At each scale a token has a *threshold*; a bit of it
is drawn anew where the model, having read the scales so far, gives the bit that is there at most this
probability. Kept scales and tokens outside of the region have a threshold below any probability: their
bits stay, one for one. Inside it is 1 and all is drawn. A repair (``doubt`` below 1) finds it in the picture
itself: the share of a scale's bits that are errors (``infinity.generation.repair``).
"""

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from infinity.checks import Checked, WholeFloats, text, whole
from infinity.errors import RequestError

MOST_CHARACTERS = 2_000_000
MOST_TOLD = 20_000
MOST_SCALES = 1000
MOST_ROUNDS = 16
MOST_SOFTNESS = 100
REPAIR_DOUBT = 0.1
"""So many errors are looked for where no other number is given."""

Share = Annotated[float, Field(ge=0, le=1, description="a number from 0 to 1")]


@dataclass(frozen=True, kw_only=True)
class Start(Checked):
    """The bits of a picture, and which of them may change.

    Args:
        bits: of all scales (``infinity.packing``), of the request's model and aspect ratio.
        keep_scales: so many leading scales stay as they are.
        region: where the finer scales may change; "" is everywhere.
        softness: tokens of the last scale over which a region's edge is soft: the nearer to the edge, the
            less likely a bit has to be to change.
        doubt: 1 draws all bits anew; below, only bits that are likelier errors than drawn change, where at
            most this share of a scale's bits is believed to be errors. A picture that is as the model
            draws it stays.
        rounds: how often the rule is applied, each time to the bits of the time before.
        finer_bits: another picture's bits, which take the place of drawn ones; "" draws.
        told: what the picture shows: where the request's prompt is completed, what it leaves open stays so
            instead of being chosen by the seed; "" is not told.

    Raises:
        RequestError: on construction, with one sentence that says what to do.
    """

    refusal = RequestError
    called = "The start"

    bits: Annotated[str, text(MOST_CHARACTERS)]
    keep_scales: Annotated[int, WholeFloats, whole(0, MOST_SCALES)] = 0
    region: Annotated[str, text(MOST_CHARACTERS)] = ""
    softness: Annotated[int, WholeFloats, whole(0, MOST_SOFTNESS)] = 0
    doubt: Share = 1.0
    rounds: Annotated[int, WholeFloats, whole(1, MOST_ROUNDS)] = 1
    finer_bits: Annotated[str, text(MOST_CHARACTERS)] = ""
    told: Annotated[str, text(MOST_TOLD)] = ""
