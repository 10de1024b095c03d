"""What a picture shows, as data: the one description that is drawn, captioned and examined."""

import hashlib
from dataclasses import dataclass
from typing import Literal

Relation = Literal["and", "left of", "right of", "above", "below"]
Size = Literal["little", "normal", "big"]
BackgroundKind = Literal["backdrop", "plain", "gradient", "place"]
Split = Literal["train", "heldout"]

RELATIONS: tuple[Relation, ...] = ("and", "left of", "right of", "above", "below")


@dataclass(frozen=True, kw_only=True)
class SceneObject:
    """One kind of thing in the picture.

    `relation` says how it stands to the next object; None for the last one. `color` is a key of
    `color.HUES`, or the concept's natural colour word, or None for the art as it is.
    """

    concept: str
    count: int = 1
    color: str | None = None
    size: Size = "normal"
    relation: Relation | None = None


@dataclass(frozen=True, kw_only=True)
class Background:
    """`names` holds one colour ("plain"), two colours ("gradient") or one place ("place").

    A "backdrop" is a plain colour that no caption names: what a picture has that is asked for
    without a background.
    """

    kind: BackgroundKind
    names: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A whole picture: one kind of object one to four times, or two objects and their relation."""

    objects: tuple[SceneObject, ...]
    background: Background
    style: str = "3d"


def is_held_out_color(color: str, concept: str) -> bool:
    """Whether one of eight colour-concept combinations is kept for the exam."""
    return _draw(f"colour:{color}:{concept}") % 8 == 0


def is_held_out_pair(first: str, second: str) -> bool:
    """Whether one of ten unordered pairs of concepts is kept for the exam."""
    return _draw("pair:" + ":".join(sorted((first, second)))) % 10 == 0


def _draw(text: str) -> int:
    """A number fixed by the text alone, the same on every machine and run."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest())
