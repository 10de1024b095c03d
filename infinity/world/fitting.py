"""A scene as a vocabulary's model can draw it, and a sentence on whatever had to change."""

from dataclasses import replace
from typing import Any

from infinity.world.english import MANY, SEVERAL
from infinity.world.scene import SIZES, Background, Relation, Scene, Size, Thing
from infinity.world.vocabulary import Vocabulary

NEAREST_COLORS = {
    "light blue": "blue", "teal": "green", "gray": "white", "beige": "yellow", "blue": "light blue",
}  # fmt: skip
"""For what is not painted, or no background, in a color."""
NEAREST_RELATIONS: dict[Relation, Relation] = {
    "on": "above", "in front of": "and", "behind": "and", "between": "and",
}  # fmt: skip

DONE_WITH_A_THING = {
    "spot": "place a thing at the",
    "facing": "make a thing face",
    "tilt": "tilt a thing",
}


def fitted(scene: Scene, vocabulary: Vocabulary) -> tuple[Scene, list[str]]:
    """The nearest scene that captions of this vocabulary told of, and notes on what is not drawn."""
    notes: list[str] = []
    things = list(scene.things[: vocabulary.most_things])
    if left := [thing.name for thing in scene.things[vocabulary.most_things :]]:
        notes.append(left_out_note(left, vocabulary))
    things[-1] = replace(things[-1], relation=None)
    if len(things) < len(scene.things) and things[0].relation == "between":
        things[0] = replace(things[0], relation="and")
    if not vocabulary.spots:
        things = _placed(things)
    alone = len(things) == 1
    fitting = [_fitted(thing, alone, vocabulary, notes) for thing in things]
    background = scene.background and _ground(scene.background, vocabulary, notes)
    style = scene.style if scene.style in vocabulary.styles else None
    return Scene(things=tuple(fitting), background=background, style=style), notes


def left_out_note(names: list[str], vocabulary: Vocabulary) -> str:
    most = vocabulary.most_things
    kinds = f"{most} kinds of things" if most > 1 else "one kind of thing"
    shown = ", ".join(f"“{name}”" for name in names)
    return f"This model draws at most {kinds} in a picture; not drawn: {shown}."


def _placed(things: list[Thing]) -> list[Thing]:
    """Two things beside each other, each with a spot, get the relation that these spots mean."""
    if len(things) != 2 or things[0].relation != "and" or not all(thing.spot for thing in things):
        return things
    one, other = (_row_and_column(thing) for thing in things)
    relation: Relation = "and"
    if one[1] != other[1]:
        relation = "left of" if one[1] < other[1] else "right of"
    elif one[0] != other[0]:
        relation = "above" if one[0] < other[0] else "below"
    if relation == "and":
        return things
    return [replace(things[0], relation=relation, spot=None), replace(things[1], spot=None)]


def _row_and_column(thing: Thing) -> tuple[int, int]:
    spot = str(thing.spot).split()
    return ("top" not in spot) + ("bottom" in spot), ("left" not in spot) + ("right" in spot)


def _fitted(thing: Thing, alone: bool, vocabulary: Vocabulary, notes: list[str]) -> Thing:
    plural = vocabulary.plural(thing.name)
    most = vocabulary.most_count if alone else vocabulary.most_of_each
    if thing.count > most:
        beside = "" if alone else " beside another thing"
        if thing.count not in (SEVERAL, MANY) or most == 1:
            notes.append(
                f"This model draws at most {most} {plural if most > 1 else thing.name}{beside}."
            )
        thing = replace(thing, count=most)
    color = _color(thing, vocabulary)
    if thing.color and color is None:
        notes.append(f"This model cannot paint {plural} {thing.color}.")
    elif color != thing.color:
        notes.append(f"The color of {plural} nearest to {thing.color} is {color}.")
    relation = thing.relation
    if relation and relation not in vocabulary.relations:
        known = NEAREST_RELATIONS.get(relation, "and")
        nearest = known if known in vocabulary.relations else "and"
        shown = "drawn side by side" if nearest == "and" else f"drawn as “{nearest}”"
        notes.append(f"This model does not know “{relation}”; {shown}.")
        relation = nearest
    for name, known in (("spot", vocabulary.spots), ("facing", vocabulary.facings),
                        ("tilt", vocabulary.tilts)):  # fmt: skip
        value = getattr(thing, name)
        if value and value not in known:
            if value != "none":
                notes.append(f"This model cannot {DONE_WITH_A_THING[name]} {value}.")
            left: dict[str, Any] = {name: None}
            thing = replace(thing, **left)
    return replace(thing, color=color, size=_size(thing, vocabulary), relation=relation)


def _color(thing: Thing, vocabulary: Vocabulary) -> str | None:
    """What it can be painted in: its color, its own, or the nearest; None for none of these."""
    natural = vocabulary.natural_colors.get(thing.name)
    colors = vocabulary.thing_colors or vocabulary.colors
    paintable = colors if thing.name in vocabulary.recolorable else ()
    wanted = (thing.color, NEAREST_COLORS.get(thing.color or ""))
    return next((color for color in wanted if color and color in (natural, *paintable)), None)


def _size(thing: Thing, vocabulary: Vocabulary) -> Size | None:
    """The known size nearest to the one asked for; the nearer to normal of two."""
    if thing.size is None or not vocabulary.sizes:
        return None
    rank = SIZES.index(thing.size)
    return min(
        vocabulary.sizes,
        key=lambda size: (abs(SIZES.index(size) - rank), abs(SIZES.index(size) - 2)),
    )


def _ground(background: Background, vocabulary: Vocabulary, notes: list[str]) -> Background | None:
    if background.kind == "place":
        return background
    known = vocabulary.background_colors or vocabulary.colors
    names = [n if n in known else NEAREST_COLORS.get(n, "") for n in background.names]
    names = list(dict.fromkeys(name for name in names if name in known))
    if tuple(names) != background.names:
        notes.append(f"This model has no {' and '.join(background.names)} background.")
    if not names:
        return None
    return Background(kind="gradient" if len(names) == 2 else "plain", names=tuple(names))
