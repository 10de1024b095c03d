"""A prompt's words as items of the grammar: the longest phrases that mean something to a vocabulary.

Every item has a kind, one letter, so that patterns over a prompt are regular expressions over a string:

T thing · C color · N number · S size · R relation · L spot · F facing · I tilt · P place with its preposition ·
p place alone · Y style · B "background" · G "gradient" · X negation · J "and" and the like · r "or" · b "but" ·
D article · Q pronoun · V "is" · o preposition · , . signs · w idle word · U unknown word
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import Any

from infinity.world.english import (
    CENTER,
    COLOR_PHRASES,
    COLUMNS,
    FACING_VERBS,
    IDLE,
    MANY,
    NO_PLACES,
    NUMBER_PHRASES,
    NUMBERS,
    OTHER_PHRASES,
    RELATION_PHRASES,
    ROWS,
    SIDE_FRAMES,
    SIGNS,
    SIZE_PHRASES,
    SPOT_FRAMES,
    TILT_VERBS,
    UPRIGHT,
)
from infinity.world.vocabulary import UNPICTURED, Vocabulary


@dataclass(frozen=True)
class Item:
    """A phrase of a prompt.

    Attributes:
        value: what it means: a name, a number; of a thing (name, whether in plural).
        text: as written, in lower case.
    """

    kind: str
    value: Any
    text: str


Table = Mapping[tuple[str, ...], tuple[str, Any]]

_PASSED_OVER = UNPICTURED.union(IDLE.split())
_OF_THE_PICTURE = re.compile(
    r"\bof (?:the|this|my|our) (?:picture|image|frame|screen|canvas|page|photo|scene|drawing)\b"
)
_CONTRACTED = re.compile(r"(?<=n)'t\b|'(?:s|re|ll|m|d|ve)\b")
_TIMES = re.compile(r"\b(?:x(\d+)|(\d+)x)\b|×")
_TOKEN = re.compile(r"[^\W_]+|[^\w\s]")


def items_of(text: str, vocabulary: Vocabulary) -> list[Item]:
    """The items of a prompt without weights or changes."""
    table, longest = _table(vocabulary)
    words, items, place = split(text), [], 0
    while place < len(words):
        for length in range(min(longest, len(words) - place), 0, -1):
            part = tuple(words[place : place + length])
            if part in table:
                items.append(Item(*table[part], " ".join(part)))
                break
        else:
            length = 1
            items.append(_single(words[place], vocabulary))
        place += length
    return [item for item in items if item.kind]


def split(text: str) -> list[str]:
    """Words and signs of a text, in lower case, without apostrophes and hyphens."""
    text = re.sub("[’‘`´]", "'", text.lower())
    text = re.sub(r"\bcan't\b", "can not", re.sub(r"n't\b", " not", text))
    text = _CONTRACTED.sub("", _OF_THE_PICTURE.sub(" ", text)).replace("'", "")
    text = _TIMES.sub(lambda found: f" {found[1] or found[2] or ''} ", text.replace("-", " "))
    return _TOKEN.findall(text)


def _single(word: str, vocabulary: Vocabulary) -> Item:
    if word.isdecimal():
        return Item("N", min(int(word[:9]), MANY), word)
    if not word.isalnum():
        return Item(SIGNS.get(word, ""), word, word)
    means_nothing = word in _PASSED_OVER or word in vocabulary.words
    return Item("w" if means_nothing else "U", word, word)


@lru_cache(maxsize=4)
def _table(vocabulary: Vocabulary) -> tuple[Table, int]:
    """Words of a phrase -> kind and value; and the most words of one."""
    table: dict[tuple[str, ...], tuple[str, Any]] = {}
    for kind, value, phrase in _phrases(vocabulary):
        if words := tuple(split(phrase)):
            table[words] = kind, value
    return table, max(map(len, table))


def _phrases(vocabulary: Vocabulary) -> Iterator[tuple[str, Any, str]]:
    """Kind, value and wording of everything that means something; later ones go before earlier ones."""
    for kind, listed in OTHER_PHRASES.items():
        yield from ((kind, phrase, phrase) for phrase in listed.split(", "))
    yield from (("N", number, word) for number, word in enumerate(NUMBERS) if number)
    for kind, number, phrase in _listed("N", NUMBER_PHRASES):
        for before, behind in product(("", "a "), ("", " of")):
            yield kind, number, f"{before}{phrase}{behind}"
    yield from _listed("R", RELATION_PHRASES)
    yield from _listed("S", SIZE_PHRASES)
    for row, column in product(("", *ROWS), ("", *COLUMNS)):
        words = product(*(ROWS.get(row, "").split(", "), COLUMNS.get(column, "").split(", ")))
        names = (
            [" ".join(filter(None, pair)) for pair in words]
            if row or column
            else CENTER.split(", ")
        )
        spot = " ".join(filter(None, (row, column))) or "center"
        yield from (
            ("L", spot, frame.format(name)) for frame in SPOT_FRAMES.split(", ") for name in names
        )
        yield from (("L", spot, name) for name in names if row and column)
    for kind, verbs in (("F", FACING_VERBS), ("I", TILT_VERBS)):
        for frame, verb, side in product(SIDE_FRAMES.split(", "), verbs.split(", "), COLUMNS):
            yield kind, side, frame.format(verb, side)
    yield from (("I", "none", phrase) for phrase in UPRIGHT.split(", "))
    for color in vocabulary.colors:
        yield from _listed("C", {color: ", ".join(filter(None, (COLOR_PHRASES.get(color), color)))})
    for style, phrases in vocabulary.styles.items():
        yield from (
            ("Y", style, phrase) for phrase in (style, f"{style}ish", f"{style} like", *phrases)
        )
    yield from (("p", place, noun) for noun, place in place_nouns(vocabulary).items())
    for place, phrases in vocabulary.scenes.items():
        yield from (("P", place, phrase) for phrase in phrases)
    yield from (("T", (name, False), noun) for noun, name in vocabulary.names.items())
    for noun, name in vocabulary.names.items():
        plural = vocabulary.plural(noun)
        if vocabulary.names.get(plural) != name:  # "fries" are one thing, "books" are several
            yield "T", (name, True), plural


def _listed(kind: str, listed: Mapping[Any, str]) -> Iterator[tuple[str, Any, str]]:
    for value, phrases in listed.items():
        yield from ((kind, value, phrase) for phrase in phrases.split(", "))


def place_nouns(vocabulary: Vocabulary) -> dict[str, str]:
    """Word -> the place it means: the places' own names, and what stands twice in the phrases of one alone, or
    is all of one but for its preposition."""
    things = {form for noun in vocabulary.names for form in (noun, vocabulary.plural(noun))}
    found: dict[str, list[str]] = {}
    for place, phrases in vocabulary.scenes.items():
        for phrase in phrases:
            *before, noun = phrase.split()
            for word in {noun, *before} - UNPICTURED:
                found.setdefault(word, []).append(place)
            if len(before) <= 2 and set(before[1:]) <= {"a", "an", "the"}:
                found[noun].append(place)
    nouns = {n: places[0] for n, places in found.items() if len(places) > 1 == len(set(places))}
    nouns |= {place: place for place in vocabulary.scenes}
    return {n: place for n, place in nouns.items() if n not in things | NO_PLACES}
