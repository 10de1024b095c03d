"""What a picture of a small world shows, as data: what a prompt is read into, and captions are written from.

None means that the prompt leaves it open.
"""

from dataclasses import dataclass
from typing import Literal, get_args

Relation = Literal[
    "and", "left of", "right of", "above", "below", "in front of", "behind", "on", "between"
]
Size = Literal["tiny", "small", "normal", "big", "huge"]
Spot = Literal[
    "top left", "top", "top right", "left", "center", "right",
    "bottom left", "bottom", "bottom right",
]  # fmt: skip
Facing = Literal["left", "right"]
Tilt = Literal["left", "none", "right"]
BackgroundKind = Literal["plain", "gradient", "place"]

RELATIONS: tuple[Relation, ...] = get_args(Relation)
SIZES: tuple[Size, ...] = get_args(Size)
SPOTS: tuple[Spot, ...] = get_args(Spot)
FACINGS: tuple[Facing, ...] = get_args(Facing)
TILTS: tuple[Tilt, ...] = get_args(Tilt)
MOST_THINGS = 3


@dataclass(frozen=True, kw_only=True)
class Thing:
    """One kind of thing in the picture.

    Attributes:
        name: the vocabulary's own name of it, no synonym.
        count: how many of it, from 1.
        color: what it is painted in.
        tilt: "none" is upright.
        relation: how it stands to the next thing; "between" is between the next one and the one after
            it. None of the last thing, and only of that.
    """

    name: str
    count: int = 1
    color: str | None = None
    size: Size | None = None
    spot: Spot | None = None
    facing: Facing | None = None
    tilt: Tilt | None = None
    relation: Relation | None = None


@dataclass(frozen=True, kw_only=True)
class Background:
    """``names`` holds one color ("plain"), two colors from top to bottom ("gradient") or a place."""

    kind: BackgroundKind
    names: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A whole picture: one to three kinds of things, what is behind them, and the art they are of."""

    things: tuple[Thing, ...]
    background: Background | None = None
    style: str | None = None

    def __post_init__(self) -> None:
        *others, last = self.things  # at least one
        assert len(self.things) <= MOST_THINGS, "too many things"
        assert last.relation is None and all(thing.relation for thing in others), "relations"
        between = [place for place, thing in enumerate(others) if thing.relation == "between"]
        assert between in ([], [0]) and len(others) >= 2 * len(between), "between two things"
