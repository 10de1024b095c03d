"""The vocabulary of a model trained on a small world: objects, scenes, colors, styles and their words.

A model folder may hold it as ``world.json``. Models trained on pictures of all kinds have none.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal

from infinity.checks import Checked, whole
from infinity.errors import nearest
from infinity.files import read_object
from infinity.world.dictionary import dictionary, near_by_meaning
from infinity.world.scene import MOST_THINGS, Facing, Relation, Size, Spot, Tilt

VOCABULARY_FILE = "world.json"

# Words that draw nothing by themselves: a prompt may use them, whether or not a caption ever did.
UNPICTURED = frozenset((
    "a", "about", "all", "am", "an", "and", "are", "as", "at", "be", "being", "by", "do",
    "does", "for", "from", "has", "have", "having", "he", "her", "his", "i", "if", "in", "into",
    "is", "it", "its", "just", "like", "me", "my", "no", "not", "of", "on", "or", "our",
    "please", "she", "so", "some", "such", "than", "that", "the", "their", "them", "then",
    "there", "these", "they", "this", "those", "to", "very", "was", "we", "were", "what",
    "which", "while", "who", "whose", "will", "with", "you", "your",
))  # fmt: skip
SIMILARITY = 0.7
SHORTEST_CORRECTED = 4
"""Letters a word must have to be read as another: short words are too much like each other."""
Choice = Literal["background", "style", "size", "spot", "facing", "tilt"]
Phrases = Mapping[str, tuple[str, ...]]
_WORD, _PARTS = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*"), re.compile("['-]")


@dataclass(frozen=True, kw_only=True)
class Vocabulary(Checked):
    """The words a model was trained on.

    Attributes:
        objects: kind of thing ("animal") -> names.
        synonyms: an object's name -> other names it goes by.
        scenes: name of a place -> phrases that mean it ("on a sandy beach").
        styles: name of a style -> phrases that mean it, the one that ends a prompt first.
        colors: of objects and backgrounds.
        other_words: what else the captions use (plurals, sizes, numbers, positions, ...).
        plurals: name or synonym -> its plural, where it is none that a rule tells.
        without_article: names that take no "a".
        natural_colors: name -> the color that its art has anyway.
        recolorable: names of what may be painted in another color.
        thing_colors, background_colors: what things are painted in, and backgrounds; where there are
            none, all ``colors``.
        homes: name -> the place (of ``scenes``) where it is most often wanted.
        sided: names of what has a left and a right, so that it can face either.
        most_count: how many of one thing there can be.
        most_of_each: how many of one thing beside another.
        most_things: how many kinds of things in one picture.
        relations, sizes, spots, facings, tilts: of those of ``infinity.world.scene``, what captions told.
        completed: what captions told of every picture, so that a prompt's gaps there are better filled.
    """

    called = VOCABULARY_FILE

    objects: Phrases
    synonyms: Phrases
    scenes: Phrases
    styles: Phrases
    colors: tuple[str, ...]
    other_words: tuple[str, ...]
    plurals: Mapping[str, str] = field(default_factory=dict)
    without_article: tuple[str, ...] = ()
    natural_colors: Mapping[str, str] = field(default_factory=dict)
    recolorable: tuple[str, ...] = ()
    thing_colors: tuple[str, ...] = ()
    background_colors: tuple[str, ...] = ()
    homes: Mapping[str, str] = field(default_factory=dict)
    sided: tuple[str, ...] = ()
    most_count: Annotated[int, whole(1, 100)] = 4
    most_of_each: Annotated[int, whole(1, 100)] = 1
    most_things: Annotated[int, whole(1, MOST_THINGS)] = 2
    relations: tuple[Relation, ...] = ("and", "left of", "right of", "above", "below")
    sizes: tuple[Size, ...] = ("small", "normal", "big")
    spots: tuple[Spot, ...] = ()
    facings: tuple[Facing, ...] = ()
    tilts: tuple[Tilt, ...] = ()
    completed: tuple[Choice, ...] = ()

    def __hash__(self) -> int:
        return hash(tuple(self.synonyms))  # so that tables made from it can be kept

    @cached_property
    def names(self) -> dict[str, str]:
        """Every name and synonym, as written, -> the name of the thing."""
        return {
            noun: name
            for listed in self.objects.values()
            for name in listed
            for noun in (*self.synonyms.get(name, ()), name)
        }

    def plural(self, noun: str) -> str:
        """Of a name or synonym."""
        if noun in self.plurals:
            return self.plurals[noun]
        if noun.endswith("y") and noun[-2:-1] not in "aeiou":
            return noun[:-1] + "ies"
        return noun + ("es" if noun.endswith(("s", "x", "ch", "sh", "z")) else "s")

    @cached_property
    def words(self) -> frozenset[str]:
        """Every single word the model has seen, in lower case."""
        lists = (self.objects, self.synonyms, self.scenes, self.styles)
        phrases = [phrase for group in lists for listed in group.values() for phrase in listed]
        texts = (*phrases, *self.synonyms, *self.scenes, *self.styles, *self.colors)
        return frozenset(word for text in (*texts, *self.other_words) for word in words_of(text))

    def unknown(self, text: str) -> dict[str, tuple[str, ...]]:
        """The words of a text that the model has never seen, as written, each with the known ones that
        are nearest to it: by meaning if it is a word of English, else the one it resembles, if any."""
        return {word: self.near(word) for word in self._unseen(text)}

    def near(self, word: str) -> tuple[str, ...]:
        """The known words that an unknown one may have been meant to be, or stand for."""
        lowered = word.lower()
        if lowered in dictionary():
            return tuple(name for name in near_by_meaning(lowered) if name in self.names)
        near = nearest(lowered, self._nameable, SIMILARITY)
        return () if near is None else (near,)

    def corrected(self, text: str) -> tuple[str, dict[str, str]]:
        """The text with misspelt names of things and colors corrected, and the corrections: as
        written -> as read. Unknown words count as misspelt that are no word of English and one slip from
        a name with the same first letter (slips there are rare, and a mouse is no house)."""
        read: dict[str, str] = {}
        for word in self._unseen(text):
            lowered = word.lower()
            if len(word) < SHORTEST_CORRECTED or lowered in dictionary():
                continue
            alike = [name for name in self._names if name[0] == lowered[0]]
            meant = [name for name in alike if one_slip_apart(lowered, name)]
            if near := nearest(lowered, meant):
                read[word] = near
        return _WORD.sub(lambda match: read.get(match.group(), match.group()), text), read

    def _unseen(self, text: str) -> list[str]:
        found: dict[str, None] = {}
        for match in _WORD.finditer(text):
            word = match.group().lower().replace("’", "'").removesuffix("'s")
            if word in self.words or word in UNPICTURED:
                continue
            if not self.words.issuperset(filter(None, _PARTS.split(word))):
                found.setdefault(match.group())
        return list(found)

    @cached_property
    def _names(self) -> list[str]:
        """The single words of things' names, in singular and plural, and of colours."""
        groups = (*self.objects.values(), *self.synonyms.values(), self.colors)
        names = {word for group in groups for name in group for word in words_of(name)}
        stems = tuple(name[:-1] for name in names if len(name) > 2)
        return [
            word
            for word in self._nameable
            if word in names or (word[-1] == "s" and word.startswith(stems))
        ]

    @cached_property
    def _nameable(self) -> list[str]:
        """What an unknown word may have been meant to be."""
        return sorted(word for word in self.words if len(word) > 2 and word not in UNPICTURED)


def words_of(text: str) -> Iterator[str]:
    """The single words of a text, in lower case; of "jack-o'-lantern" also its parts."""
    for match in _WORD.finditer(text.lower()):
        yield match.group()
        yield from filter(None, _PARTS.split(match.group()))


def one_slip_apart(one: str, other: str) -> bool:
    """Whether a letter left out, added, replaced, or swapped with its neighbour tells them apart."""
    while one and other and one[0] == other[0]:
        one, other = one[1:], other[1:]
    while one and other and one[-1] == other[-1]:
        one, other = one[:-1], other[:-1]
    return max(len(one), len(other)) <= 1 or (len(one) == 2 and one == other[::-1])


def read_vocabulary(folder: str | Path) -> Vocabulary | None:
    """The vocabulary in a model's folder, or None where it has none.

    Raises:
        CheckpointError: a damaged file.
    """
    path = Path(folder) / VOCABULARY_FILE
    if not path.exists():
        return None
    return Vocabulary.from_dict(read_object(path, "fetch or save the model again"))


def write_vocabulary(vocabulary: Vocabulary, folder: str | Path) -> None:
    """Write ``world.json`` into a model's folder."""
    text = json.dumps(vocabulary.to_dict(), indent=1, ensure_ascii=False)
    (Path(folder) / VOCABULARY_FILE).write_text(text + "\n", encoding="utf-8")


def styled(prompt: str, phrase: str) -> str:
    """The prompt with the style's phrase behind a comma; an empty one stays empty."""
    if not phrase or not prompt.strip():
        return prompt
    return f"{prompt.rstrip().rstrip(',')}, {phrase}"
