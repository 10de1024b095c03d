"""Scenes in words, the way people type prompts.

Grammar: `[style of] [count] [cute|little|big] [colour] NOUN [relation NOUN | and NOUN]
[on a COLOUR background | COLOUR gradient | PLACE] [, style]`; the setting may come first and the
colour last.
"""

import numpy as np

from training.world.concepts import CONCEPTS, plural_of
from training.world.sampling import pick
from training.world.scene import Background, Scene, SceneObject
from training.world.scenes import PLACES

NUMBER_WORDS = {2: "two", 3: "three", 4: "four"}

# Nouns that take no article: plural in form, or not counted.
WITHOUT_ARTICLE = {"grapes", "french fries", "fries", "planet earth"}

PLURAL_NOUNS = {"grapes", "french fries", "fries"}

RELATION_PHRASES = {
    "and": ("and", "and", "and", "next to", "with", "beside"),
    "left of": ("to the left of", "left of", "on the left of", "on the left side of"),
    "right of": ("to the right of", "right of", "on the right of", "on the right side of"),
    "above": ("above", "above", "over", "on top of"),
    "below": ("below", "below", "under", "underneath", "beneath"),
}

STYLE_OPENINGS = {
    "3d": (
        "a 3d render of",
        "a 3d illustration of",
        "a 3d icon of",
        "a 3d emoji of",
        "a 3d model of",
    ),
    "cartoon": (
        "a cartoon of",
        "a cartoon drawing of",
        "a flat cartoon of",
        "a 2d cartoon of",
        "a flat drawing of",
    ),
}
STYLE_ENDINGS = {
    "3d": ("3d style", "3d render", "glossy 3d", "in 3d", "rendered in 3d"),
    "cartoon": (
        "cartoon style",
        "cartoon",
        "flat cartoon style",
        "in cartoon style",
        "drawn as a flat cartoon",
    ),
}
# The first style is what an unadorned prompt means; the others are always named.
STYLE_NAMED_SHARE = {"3d": 0.2, "cartoon": 1.0}

LITTLE_WORDS = ("little", "small", "tiny")
BIG_WORDS = ("big", "large", "huge")
NEUTRAL_OPENINGS = (
    *("a picture of", "an image of", "an illustration of", "a photo of", "a drawing of"),
    *("there is", "show me", "draw", "draw me", "make", "i want"),
)

SETTING_FIRST_SHARE = 0.15
COLOR_AFTER_SHARE = 0.1  # "a car that is red"
MISSPELT_SHARE = 0.04
SHORTEST_MISSPELT = 5  # letters


def caption(scene: Scene, rng: np.random.Generator) -> str:
    """One of the many captions that are true of the scene; lower case but for "UFO".

    The background is always named, unless it is the backdrop of these things. A few captions have
    one misspelt word, as prompts do.
    """
    text = _true_caption(scene, rng)
    return misspelt(text, rng) if rng.random() < MISSPELT_SHARE else text


def misspelt(text: str, rng: np.random.Generator) -> str:
    """``text`` with one letter of one longer word left out, doubled, replaced or swapped."""
    words = text.split(" ")
    long = [i for i, word in enumerate(words) if len(word) >= SHORTEST_MISSPELT and word.isalpha()]
    if not long:
        return text
    chosen = long[int(rng.integers(len(long)))]
    word = words[chosen]
    at = int(rng.integers(1, len(word) - 1))
    words[chosen] = pick(
        rng,
        (
            word[:at] + word[at + 1 :],
            word[:at] + word[at] + word[at:],
            word[:at] + pick(rng, "abcdefghijklmnopqrstuvwxyz") + word[at + 1 :],
            word[:at] + word[at + 1] + word[at] + word[at + 2 :],
        ),
    )
    return " ".join(words)


def _true_caption(scene: Scene, rng: np.random.Generator) -> str:
    named_style = rng.random() < STYLE_NAMED_SHARE[scene.style]
    setting = scene.background.kind != "backdrop"
    if _is_bare(scene) and not setting and not named_style and rng.random() < 0.5:
        return _noun_phrase(scene.objects[0], rng, article=False)

    words = [_noun_phrase(item, rng) for item in scene.objects]
    text = words[0]
    for item, following in zip(scene.objects, words[1:], strict=False):
        joint = pick(rng, RELATION_PHRASES[item.relation or "and"])
        text += f" {joint} {following}"
    if setting:
        where = _setting(scene.background, rng)
        if not named_style and rng.random() < SETTING_FIRST_SHARE:
            return f"{where}, {text}"
        text = f"{text} {where}"
    if named_style and rng.random() < 0.6:
        return f"{pick(rng, STYLE_OPENINGS[scene.style])} {text}"
    if named_style:
        return f"{text}, {pick(rng, STYLE_ENDINGS[scene.style])}"
    if rng.random() < 0.15:
        return f"{pick(rng, NEUTRAL_OPENINGS)} {text}"
    return text


def article_for(phrase: str) -> str:
    """ "a" or "an", by sound, for the words of this world."""
    lowered = phrase.lower()
    if lowered.startswith(("uni", "ufo", "umbrella")):
        return "an" if lowered.startswith("umbrella") else "a"
    return "an" if lowered[0] in "aeiou" else "a"


def _is_bare(scene: Scene) -> bool:
    return len(scene.objects) == 1 and scene.objects[0].count == 1


def _noun_phrase(item: SceneObject, rng: np.random.Generator, *, article: bool = True) -> str:
    concept = CONCEPTS[item.concept]
    noun = concept.name
    if concept.synonyms and rng.random() < 0.25:
        noun = pick(rng, concept.synonyms)
    adjectives = []
    if item.size != "normal":
        adjectives.append(pick(rng, LITTLE_WORDS if item.size == "little" else BIG_WORDS))
    elif concept.category in ("animal", "character") and rng.random() < 0.12:
        adjectives.append("cute")
    color_after = item.count == 1 and article and rng.random() < COLOR_AFTER_SHARE
    if item.color is not None and not color_after:
        adjectives.append(item.color)

    if item.count > 1:
        number = NUMBER_WORDS[item.count] if rng.random() < 0.9 else str(item.count)
        return " ".join([number, *adjectives, plural_of(noun)])
    phrase = " ".join([*adjectives, noun])
    if item.color is not None and color_after:
        phrase += f" that {'are' if noun in PLURAL_NOUNS else 'is'} {item.color}"
    if not article or noun in WITHOUT_ARTICLE:
        return phrase
    return f"{article_for(phrase)} {phrase}"


def _setting(background: Background, rng: np.random.Generator) -> str:
    if background.kind == "place":
        return pick(rng, PLACES[background.names[0]].phrases)
    if background.kind == "plain":
        (color,) = background.names
        a = article_for(color)
        return pick(
            rng,
            (
                f"on {a} {color} background",
                f"on {a} {color} background",
                f"on a plain {color} background",
                f"with {a} {color} background",
                f"against {a} {color} background",
                f"on a solid {color} background",
                f"with {a} {color} background behind",
            ),
        )
    first, second = background.names
    a = article_for(first)
    return pick(
        rng,
        (
            f"on {a} {first} to {second} gradient",
            f"on {a} {first} to {second} gradient background",
            f"on {a} {first} and {second} gradient background",
            f"with {a} {first} and {second} gradient background",
        ),
    )
