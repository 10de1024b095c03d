"""A prompt in plain English is read into a scene; what it says beyond that is told.

Patterns over the kinds of its items (``infinity.world.phrases``) take out what is negated, backgrounds and
places; a walk over the rest puts things together from their adjectives, relations and spots.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from infinity.world.english import SEVERAL
from infinity.world.phrases import Item, items_of
from infinity.world.scene import MOST_THINGS, Background, Relation, Scene, Spot, Thing
from infinity.world.vocabulary import Vocabulary

INVERSE: dict[Relation, Relation] = {
    "and": "and", "left of": "right of", "right of": "left of", "above": "below", "below": "above",
    "on": "below", "in front of": "behind", "behind": "in front of", "between": "and",
}  # fmt: skip
SPOT_OF: dict[Relation, Spot] = {"above": "top", "below": "bottom"}
"""Where a thing is that is "above", nothing else said."""

_COLORS = "C(?:[Jo,]D?C)?"
_NOUN = "[DNSCUw]*?T"
_NEGATED = rf"X[wDUoQRNV]*?(?:{_NOUN}(?:r{_NOUN})*|[DUwSC]*?[PpYBG]+|D?C|S)"
_ALTERNATIVE = rf"r[w]*{_NOUN}"
_BACKGROUNDS = (
    rf"[Ro]?[DUSw]*{_COLORS}[DUw]*?[BG]+(?:o(?=[,.]|$))?",
    rf"B[VwDUoQ,]*{_COLORS}(?![wNSCU]*T)",
    rf"R[DUSw]*{_COLORS}(?=[wVQ]*(?:[,.JrbPYLFIXR]|$))",
    r"J?D?CRQ?(?=[,.J]|$)",
)
_PLACE = "[Ro]?[DUwS]*?C?P|[Ro]?D*[CUSNw]*?p"
_ENDS = frozenset(",.JrbRKWYLFIXP")
_PASSED_OVER = frozenset("woVQ")


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What a prompt says.

    Attributes:
        scene: None where it names no thing.
        unknown: words that mean nothing to the vocabulary, as written, in lower case.
        left_out: names of things beyond the third, and those that "or" offers.
        not_negated: what it asks to leave out and the vocabulary does not know.
    """

    scene: Scene | None
    unknown: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    not_negated: tuple[str, ...] = ()


def read(prompt: str, vocabulary: Vocabulary) -> Reading:
    """Read a prompt without weights or changes, its misspelt words mended."""
    items = items_of(prompt, vocabulary)
    left_out: list[str] = []
    not_negated: list[str] = []

    def alternative(part: list[Item]) -> str:
        left_out.extend(item.value[0] for item in part if item.kind == "T")
        return ","

    def ignored(part: list[Item]) -> str:
        not_negated.append(part[-1].text)
        return "w"

    items = _put(items, _NEGATED, lambda part: "w")
    items = _put(items, r"X[wD]*U+", ignored)
    items = _put(items, _ALTERNATIVE, alternative)
    unknown = tuple(dict.fromkeys(item.text for item in items if item.kind == "U"))
    grounds: list[Background] = []

    def ground(part: list[Item]) -> str | None:
        colors = [item.value for item in part if item.kind == "C"]
        relation = next((item.value for item in part if item.kind == "R"), None)
        named = any(item.kind in "BG" for item in part)
        if not named and relation not in (
            ("behind",) if part[-1].kind in "RQ" else ("on", "in front of")
        ):
            return None
        kind = "gradient" if len(colors) == 2 else "plain"
        grounds.append(Background(kind=kind, names=tuple(dict.fromkeys(colors))))
        return "K"

    def place(part: list[Item]) -> str:
        grounds.append(Background(kind="place", names=(part[-1].value,)))
        return "W"

    for pattern in _BACKGROUNDS:
        items = _put(items, pattern, ground)
    items = _put(items, _PLACE, place)
    walk = _Walk()
    for position, item in enumerate(items):
        walk.take(item, "".join(i.kind for i in items[:position]), items[position + 1 :])
    things = walk.finished()
    left_out += [thing.name for thing in things[MOST_THINGS:]]
    told = {"unknown": unknown, "left_out": tuple(left_out), "not_negated": tuple(not_negated)}
    if not things:
        return Reading(scene=None, **told)
    style = next((item.value for item in items if item.kind == "Y"), None)
    background = next(iter(_plausible(grounds)), None)
    return Reading(scene=Scene(things=_chained(things), background=background, style=style), **told)


def _put(items: list[Item], pattern: str, action: Callable[[list[Item]], str | None]) -> list[Item]:
    """The items with every match of a pattern replaced by one item of the kind that the action gives; by
    nothing new where that is None."""
    result, end = [], 0
    for found in re.finditer(pattern, "".join(item.kind for item in items)):
        part = items[found.start() : found.end()]
        kind = action(part)
        if kind is not None:
            text = " ".join(item.text for item in part)
            result += [*items[end : found.start()], Item(kind, None, text)]
            end = found.end()
    return result + items[end:]


def _plausible(grounds: list[Background]) -> list[Background]:
    """Backgrounds in the order of trust: what is called one, before places."""
    return sorted(grounds, key=lambda ground: ground.kind == "place")


@dataclass
class _Walk:
    """Things so far, and what waits for the next one.

    Attributes:
        waiting: fields of the next thing.
        relation: of the last thing to the next one; None is "and".
        fronted: a relation before the first thing, which holds from the second to the first.
        started: things before this clause.
        lost: an unknown noun may have taken what is waiting.
    """

    things: list[Thing] = field(default_factory=list)
    waiting: dict[str, Any] = field(default_factory=dict)
    relation: Relation | None = None
    fronted: Relation | None = None
    started: int = 0
    lost: bool = False

    def take(self, item: Item, before: str, following: list[Item]) -> None:
        """One item, with the kinds before it and the items behind it."""
        kinds = "".join(i.kind for i in following)
        ends = (kinds.lstrip("woVQ") or ".")[0] in _ENDS
        previous = (before.rstrip("w") or ".")[-1]
        if item.kind == "T":
            self._thing(*item.value)
        elif item.kind in "NCS":
            name = {"N": "count", "C": "color", "S": "size"}[item.kind]
            counted = item.kind == "N" and previous in "JD"
            if not ends or not self.things:
                self.waiting[name] = item.value
            elif previous not in "DJ" and not counted:
                self._add(**{name: item.value})
        elif item.kind in "LFI":
            name = {"L": "spot", "F": "facing", "I": "tilt"}[item.kind]
            of_next = kinds.lstrip("woVQDSCNU")[:1] == "T" and len(self.things) == self.started
            if self.things and not of_next and getattr(self.things[-1], name) is None:
                self._add(**{name: item.value})
            else:
                self.waiting[name] = item.value
        elif item.kind == "R":
            self._relate(item.value, kinds)
        elif item.kind == "U":
            self.lost = True
        if item.kind in "J,.bKW":
            self.started, self.relation = len(self.things), None
        if item.kind in _ENDS and (self.things or self.lost):
            kept = {"spot", "facing", "tilt"}
            self.waiting = {name: v for name, v in self.waiting.items() if name in kept}
            self.lost = False

    def _thing(self, name: str, is_plural: bool) -> None:
        self.waiting.setdefault("count", SEVERAL if is_plural else 1)
        if self.things:
            joint = self.relation or (INVERSE[self.fronted] if self.fronted else "and")
            self.things[-1] = replace(self.things[-1], relation=joint)
            self.fronted = None
        self.things.append(Thing(name=name, **self.waiting))
        self.waiting, self.relation, self.lost = {}, None, False

    def _relate(self, relation: Relation, kinds: str) -> None:
        """A relation: to the next thing, or, before a pronoun or nothing, to the one before."""
        stands_alone = not kinds or kinds[0] in "Q,.JW" or kinds.lstrip("w")[:1] in ("", "Q")
        if not stands_alone:
            if self.things:
                self.relation = relation
            else:
                self.fronted = relation
        elif len(self.things) > max(self.started, 1):
            self.things[-2] = replace(self.things[-2], relation=INVERSE[relation])
        elif kinds[:1] == "Q":
            self.relation = INVERSE[relation]
        elif relation in SPOT_OF and len(self.things) > self.started:
            self._add(spot=SPOT_OF[relation])
        elif relation in SPOT_OF:
            self.waiting["spot"] = SPOT_OF[relation]

    def _add(self, **values: Any) -> None:
        """To the last thing, unless it has it."""
        free = {
            name: value
            for name, value in values.items()
            if getattr(self.things[-1], name) in (None, 1, SEVERAL)
        }
        self.things[-1] = replace(self.things[-1], **free)

    def finished(self) -> list[Thing]:
        """The things, equal neighbors counted together."""
        if self.things and (left := {n: v for n, v in self.waiting.items() if n != "count"}):
            self._add(**left)
        merged: list[Thing] = []
        for thing in self.things:
            last = merged[-1] if merged else None
            if (
                last
                and last.relation == "and"
                and replace(last, count=1, relation=None) == replace(thing, count=1, relation=None)
            ):
                merged[-1] = replace(thing, count=last.count + thing.count)
            else:
                merged.append(thing)
        return merged


def _chained(things: list[Thing]) -> tuple[Thing, ...]:
    """At most three things with relations that hold together."""
    kept = things[:MOST_THINGS]
    for place, thing in enumerate(kept):
        last = place == len(kept) - 1
        between = thing.relation == "between" and (place > 0 or len(kept) < MOST_THINGS)
        relation = None if last else "and" if between or not thing.relation else thing.relation
        kept[place] = replace(thing, relation=relation)
    if kept[0].relation == "between":
        kept[1] = replace(kept[1], relation="and")
    return tuple(kept)
