"""A scene as a caption, in the one wording that models of a small world are drawn from.

Grammar: ``[count] [size] [color] NOUN [facing ...][, tilted ...][, in the SPOT]``, up to three of them
with their relations, then ``[on a COLOR background | on a COLOR to COLOR gradient | PLACE][, STYLE]``.
"""

from collections.abc import Mapping

from infinity.world.english import NUMBERS
from infinity.world.scene import Background, Relation, Scene, Spot, Thing
from infinity.world.vocabulary import Vocabulary

RELATION_WORDS: Mapping[Relation, str] = {
    "left of": "to the left of",
    "right of": "to the right of",
}
"""What stands between two things, where it is not the relation's name."""
SPOT_WORDS: Mapping[Spot, str] = {
    "top": "at the top", "left": "on the left", "center": "in the center", "right": "on the right",
    "bottom": "at the bottom",
}  # fmt: skip
"""Of a corner it is "in the top left"."""


def written(scene: Scene, vocabulary: Vocabulary) -> str:
    """The caption of a scene; what is open, and what is as usual, has no words."""
    phrases = [thing_phrase(thing, vocabulary) for thing in scene.things]
    text = phrases[0]
    for place, thing in enumerate(scene.things[:-1]):
        relation, following = thing.relation or "and", phrases[place + 1]
        between = place > 0 and scene.things[0].relation == "between"
        lists = relation == "and" == scene.things[place + 1].relation and not between
        comma = "," if "," in phrases[place] or lists else ""
        joint = "" if lists else f" {RELATION_WORDS.get(relation, relation)}"
        text += f"{comma}{joint} {following}"
    if scene.background:
        comma = "," if "," in phrases[-1] else ""
        text += f"{comma} {background_phrase(scene.background, vocabulary)}"
    return text if scene.style is None else f"{text}, {vocabulary.styles[scene.style][0]}"


def thing_phrase(thing: Thing, vocabulary: Vocabulary) -> str:
    """ "three big red apples", "a cat facing left, in the top left"."""
    noun = thing.name if thing.count == 1 else vocabulary.plural(thing.name)
    size = None if thing.size == "normal" else thing.size
    phrase = " ".join(filter(None, (size, thing.color, noun)))
    if thing.count > 1:
        number = NUMBERS[thing.count] if thing.count < len(NUMBERS) else str(thing.count)
        phrase = f"{number} {phrase}"
    elif thing.name not in vocabulary.without_article:
        phrase = f"{article_for(phrase)} {phrase}"
    if thing.facing:
        phrase += f" facing {thing.facing}"
    if thing.tilt not in (None, "none"):
        phrase += f", tilted {thing.tilt}"
    if thing.spot:
        phrase += f", {SPOT_WORDS.get(thing.spot, f'in the {thing.spot}')}"
    return phrase


def background_phrase(background: Background, vocabulary: Vocabulary) -> str:
    """ "on a white background", "on a red to blue gradient", "on a beach"."""
    first, *others = background.names
    if background.kind == "place":
        return vocabulary.scenes[first][0]
    if background.kind == "plain":
        return f"on {article_for(first)} {first} background"
    return f"on {article_for(first)} {first} to {others[0]} gradient"


def article_for(phrase: str) -> str:
    """ "a" or "an", by sound, for the words of a small world."""
    lowered = phrase.lower()
    vowel = lowered[0] in "aeiou" and not lowered.startswith(("uni", "ufo"))
    return "an" if vowel or lowered.startswith("hour") else "a"
