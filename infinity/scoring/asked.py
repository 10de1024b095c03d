"""What a prompt asks for, as far as a judge can tell: things with their number, color and place; scene; style."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from infinity.scoring.judge import JudgeWords

COUNTS = {"one": 1, "single": 1, "two": 2, "pair": 2, "three": 3, "four": 4}
RELATIONS = {
    "left of": "left of",
    "left side of": "left of",
    "right of": "right of",
    "right side of": "right of",
    "above": "above",
    "over": "above",
    "on top of": "above",
    "below": "below",
    "under": "below",
    "underneath": "below",
    "beneath": "below",
}
BEFORE_WORDS = 5
"""Words before a thing among which its number and its color are looked for."""


@dataclass(frozen=True)
class Thing:
    """One thing asked for.

    Attributes:
        count: None where the prompt gives no number.
        relation: to the thing asked for after it; "" for none.
    """

    concept: str
    count: int | None = None
    color: str = ""
    relation: str = ""


@dataclass(frozen=True)
class Asked:
    """All of it; empty where the judge knows nothing of a prompt."""

    things: tuple[Thing, ...] = ()
    scene: str = ""
    style: str = ""


def read(prompt: str, words: JudgeWords) -> Asked:
    """What a prompt without syntax asks for."""
    text = " ".join(re.findall(r"[\w'’-]+", prompt.lower()))
    text, scene = _taken(text, {p: s for p, s in words.scene_phrases.items() if " " in p})
    text, style = _taken(text, words.style_phrases)
    found = [*_phrases(words.nouns).finditer(text)]
    things: list[Thing] = []
    end = 0
    for noun in found:
        between = text[end : noun.start()]
        near = " ".join(between.split()[-BEFORE_WORDS:])
        color, count = _last(near, words.colors), _last(near, COUNTS)
        if things and (relation := _last(between, RELATIONS)):
            things[-1] = replace(things[-1], relation=RELATIONS[relation])
        things.append(Thing(words.nouns[noun[0]], COUNTS.get(count), color))
        end = noun.end()
    if not scene:
        _, scene = _taken(text, words.scene_phrases)
    return Asked(tuple(things), scene, style)


def _taken(text: str, phrases: Mapping[str, str]) -> tuple[str, str]:
    """The text without the first of the phrases in it, and what that means; "" for none."""
    found = _phrases(phrases).search(text)
    if found is None:
        return text, ""
    return f"{text[: found.start()]} , {text[found.end() :]}", phrases[found[0]]


def _last(text: str, phrases: Iterable[str]) -> str:
    """The last of the phrases in a text; "" for none."""
    found = [*_phrases(phrases).finditer(text)]
    return found[-1][0] if found else ""


def _phrases(phrases: Iterable[str]) -> re.Pattern[str]:
    """Any of the phrases as whole words, the longest first."""
    listed = sorted(map(re.escape, phrases), key=len, reverse=True)
    return re.compile(rf"(?<![\w'-])(?:{'|'.join(listed)})(?![\w'-])")
