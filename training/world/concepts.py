"""What the world contains: more than three hundred things people type, easy to tell from each other."""

from dataclasses import dataclass, field
from itertools import cycle

from infinity.world.scene import FACINGS, Facing
from training.world.living import LIVING
from training.world.made import MADE

STYLES = ("3d", "cartoon")
"""The art sets: Microsoft's Fluent Emoji and Google's Noto Emoji. The first is the main one."""


@dataclass(frozen=True, kw_only=True)
class Concept:
    """One drawable thing and the words for it.

    Attributes:
        natural: the color word that already fits the untouched art ("a yellow banana").
        colorable: whether a caption may paint it ("a blue car").
        home: the place it is most often wanted in; the two are shown together more often than
            chance would.
        floats: whether it hangs in the air instead of standing on the ground.
        faces: art set -> the side its art looks to; empty where it looks to none.
    """

    name: str
    emoji: str
    category: str
    synonyms: tuple[str, ...]
    natural: str | None
    colorable: bool
    home: str | None
    floats: bool
    faces: dict[str, Facing] = field(hash=False)

    @property
    def codepoint(self) -> str:
        """Lower-case hexadecimal codepoints, as the art packages name their files."""
        return "-".join(f"{ord(character):x}" for character in self.emoji if character != "\ufe0f")


# Of the last word of a noun.
IRREGULAR_PLURALS = {
    **{word: word for word in ("sheep", "fish", "deer", "reindeer", "cattle", "jellyfish", "broccoli",
                               "sushi", "dice", "tennis", "up")},
    "cactus": "cacti", "fire": "flames", "mouse": "mice", "goose": "geese", "person": "people",
    "wolf": "wolves", "leaf": "leaves", "loaf": "loaves", "knife": "knives", "scarf": "scarves",
    "tomato": "tomatoes", "potato": "potatoes", "hero": "heroes", "superhero": "superheroes",
    "man": "men", "woman": "women",
}  # fmt: skip
# Nouns that take no article: plural in form, or not counted; and what is counted of them.
COUNTED = {
    "grapes": "bunches of", "french fries": "packs of", "fries": "packs of", "chips": "packs of",
    "cherries": "pairs of", "pancakes": "stacks of", "popcorn": "buckets of", "tea": "pots of",
    "corn": "ears of", "maize": "ears of", "bread": "loaves of", "toast": "slices of",
    "coffee": "cups of", "beer": "glasses of", "wine": "glasses of", "red wine": "glasses of",
    "cheese": "pieces of", "chocolate": "bars of", "luggage": "pieces of", "mail": "pieces of",
    "jeans": "pairs of", "trousers": "pairs of", "pants": "pairs of", "gloves": "pairs of",
    "mittens": "pairs of", "socks": "pairs of", "stockings": "pairs of", "glasses": "pairs of",
    "spectacles": "pairs of", "eyeglasses": "pairs of", "sunglasses": "pairs of",
    "shades": "pairs of", "scissors": "pairs of", "lips": "pairs of", "headphones": "pairs of",
    "earphones": "pairs of", "drums": "sets of", "books": "stacks of", "yarn": "balls of",
    "wool": "balls of", "lightning": "bolts of", "money": "bags of", "sunshine": "", "sushi": "",
    "broccoli": "", "tennis": "", "planet earth": "", "saturn": "", "santa claus": "", "santa": "",
    "father christmas": "", "dracula": "", "superman": "", "sherlock": "",
}  # fmt: skip
WITHOUT_ARTICLE = frozenset(COUNTED)


def plural_of(noun: str) -> str:
    """English plural of a noun or noun phrase ("cherry" -> "cherries")."""
    if COUNTED.get(noun):
        return f"{COUNTED[noun]} {noun}"
    for joint in (" of ", " with "):
        if joint in noun:
            head, rest = noun.split(joint, 1)
            return plural_of(head) + joint + rest
    before, word = noun[: noun.rfind(" ") + 1], noun[noun.rfind(" ") + 1 :]
    if word in IRREGULAR_PLURALS:
        return before + IRREGULAR_PLURALS[word]
    if word.endswith("man"):
        return noun[:-3] + "men"
    if word.endswith("y") and word[-2] not in "aeiou":
        return noun[:-1] + "ies"
    if word.endswith(("s", "x", "ch", "sh", "z")):
        return noun + "es"
    return noun + "s"


TABLE = LIVING | MADE


def _parse(category: str, line: str) -> Concept:
    emoji, name, color, synonyms, home, faces, *_ = map(str.strip, f"{line} | |".split("|"))
    return Concept(
        name=name,
        emoji=emoji,
        category=category,
        synonyms=tuple(word.strip() for word in synonyms.split(",") if word),
        natural=color.removeprefix("+").strip() or None,
        colorable=color.startswith("+"),
        home=home.removeprefix("^").strip() or None,
        floats=home.startswith("^"),
        faces=dict(zip(STYLES, cycle(side for side in FACINGS if side in faces), strict=False)),
    )


CONCEPTS: dict[str, Concept] = {
    concept.name: concept
    for category, rows in TABLE.items()
    for concept in (_parse(category, line) for line in rows.strip().splitlines())
}
