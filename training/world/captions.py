"""Scenes in words: mostly in the one wording that prompts are rewritten into, some as people type them.

The other wordings are for prompts that could not be read. The exam's own are not among these.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import numpy as np

from infinity.world.english import NUMBERS
from infinity.world.scene import (
    FACINGS,
    RELATIONS,
    SIZES,
    SPOTS,
    TILTS,
    Background,
    Relation,
    Scene,
    Thing,
)
from infinity.world.vocabulary import Vocabulary, words_of
from infinity.world.wording import SPOT_WORDS, article_for, written
from training.world.color import BACKGROUNDS, HUES
from training.world.concepts import CONCEPTS, STYLES, WITHOUT_ARTICLE, plural_of
from training.world.places import PLACES
from training.world.sampling import MOST_COUNT, MOST_OF_EACH, pick

FREE_SHARE = 0.3
"""Of the captions, those in another wording."""
RELATION_PHRASES: dict[Relation, tuple[str, ...]] = {
    "and": ("and", "and", "next to", "with", "beside", "together with"),
    "left of": ("left of", "on the left of", "on the left side of"),
    "right of": ("right of", "on the right of", "on the right side of"),
    "above": ("above", "over"),
    "below": ("below", "under", "underneath", "beneath"),
    "in front of": ("in front of", "before"),
    "behind": ("behind", "partly hidden behind"),
    "on": ("on", "on top of", "sitting on", "standing on"),
    "between": ("between", "in between"),
}
SIZE_WORDS = {"tiny": ("tiny", "very small"), "small": ("small", "little"), "normal": ("",),
              "big": ("big", "large"), "huge": ("huge", "giant", "very big")}  # fmt: skip
STYLE_OPENINGS = {
    "3d": ("a 3d render of", "a 3d illustration of", "a 3d icon of", "a 3d emoji of",
           "a 3d model of"),
    "cartoon": ("a cartoon of", "a cartoon drawing of", "a flat cartoon of", "a 2d cartoon of",
                "a flat drawing of"),
}  # fmt: skip
STYLE_ENDINGS = {
    "3d": ("3d style", "3d render", "glossy 3d", "in 3d", "rendered in 3d"),
    "cartoon": ("cartoon style", "cartoon", "flat cartoon style", "in cartoon style",
                "drawn as a flat cartoon"),
}  # fmt: skip
# "{a}" stands for the first color's article.
SETTINGS = {
    "plain": ("on {a} {0} background", "on a plain {0} background", "with {a} {0} background",
              "against {a} {0} background", "on {0}"),
    "gradient": ("on {a} {0} to {1} gradient background", "on {a} {0} and {1} gradient background",
                 "with {a} {0} to {1} gradient"),
}  # fmt: skip
OPENINGS = (
    *("a picture of", "an image of", "an illustration of", "a photo of", "a drawing of"),
    *("there is", "show me", "draw", "make", "i want", "generate", "paint", "imagine", "create"),
    *("a nice picture of", "a painting of", "a sketch of", "a close look at", "here is"),
)
CLOSINGS = (", high quality", ", highly detailed", ", 4k", ", beautiful", ", thank you", "!", ".",
            ", masterpiece", ", for my daughter", ", sharp focus")  # fmt: skip
ADJECTIVES = ("cute", "beautiful", "lovely", "nice", "pretty", "funny", "happy", "shiny", "old",
              "magic", "wonderful", "perfect", "simple", "lonely", "modern", "quiet", "strange",
              "brave", "fresh", "friendly", "famous", "good")  # fmt: skip
_BEFORE_NOUN = re.compile(r"\b(an?|two|three|four|five|six)\b ")


def caption(scene: Scene, rng: np.random.Generator) -> str:
    """One of the many captions that are true of the scene; lower case but for "UFO"."""
    free = rng.random() < FREE_SHARE
    return free_caption(scene, rng) if free else written(scene, world_vocabulary())


def free_caption(scene: Scene, rng: np.random.Generator) -> str:
    """As people may write it: synonyms, other orders, idle words."""
    text = _things_in_words(scene.things, rng)
    if rng.random() < 0.15:
        text = _BEFORE_NOUN.sub(
            lambda found: _with_adjective(found, pick(rng, ADJECTIVES)), text, 1
        )
    if scene.background is not None:
        where = _setting(scene.background, rng)
        if scene.style is None and rng.random() < 0.2:
            return f"{where}, {text}"
        text = f"{text} {where}"
    if scene.style is not None:
        if rng.random() < 0.5:
            return f"{pick(rng, STYLE_OPENINGS[scene.style])} {text}"
        return f"{text}, {pick(rng, STYLE_ENDINGS[scene.style])}"
    if rng.random() < 0.3:
        text = f"{pick(rng, OPENINGS)} {text}"
    return text + pick(rng, CLOSINGS) if rng.random() < 0.15 else text


def _with_adjective(found: re.Match[str], word: str) -> str:
    before = found[1] if found[1] not in ("a", "an") else article_for(word)
    return f"{before} {word} "


def _setting(background: Background, rng: np.random.Generator) -> str:
    first = background.names[0]
    phrases = PLACES[first].phrases if background.kind == "place" else SETTINGS[background.kind]
    return pick(rng, phrases).format(*background.names, a=article_for(first))


def _things_in_words(things: Sequence[Thing], rng: np.random.Generator) -> str:
    words = [_noun_phrase(thing, rng) for thing in things]
    text = words[0]
    for before, word in zip(things, words[1:], strict=False):
        is_last_of_two = things[0].relation == "between" and before is not things[0]
        phrases = ("and",) if is_last_of_two else RELATION_PHRASES[before.relation or "and"]
        text += f"{',' if ', ' in text else ''} {pick(rng, phrases)} {word}"
    return text


def _noun_phrase(thing: Thing, rng: np.random.Generator) -> str:
    concept = CONCEPTS[thing.name]
    noun = thing.name
    if concept.synonyms and rng.random() < 0.5:
        noun = pick(rng, concept.synonyms)
    after = thing.color is not None and thing.count == 1 and rng.random() < 0.1
    words = [pick(rng, SIZE_WORDS[thing.size or "normal"]), "" if after else thing.color or ""]
    if thing.count > 1:
        number = NUMBERS[thing.count] if rng.random() < 0.8 else str(thing.count)
        phrase = " ".join(filter(None, (number, *words, plural_of(noun))))
    else:
        phrase = " ".join(filter(None, (*words, noun)))
        if noun not in WITHOUT_ARTICLE and rng.random() < 0.92:
            phrase = f"{article_for(phrase)} {phrase}"
    if after:
        phrase += f" that {'are' if plural_of(noun).endswith(f'of {noun}') else 'is'} {thing.color}"
    if thing.facing:
        phrase += pick(rng, (" facing {0}", " looking {0}", " that faces {0}")).format(thing.facing)
    if thing.tilt in ("left", "right"):
        phrase += pick(rng, (" tilted {0}", " leaning {0}", " tilted to the {0}")).format(
            thing.tilt
        )
    if thing.spot:
        where = SPOT_WORDS.get(thing.spot, f"in the {thing.spot}")
        phrase += f" {where if ' ' not in thing.spot else pick(rng, (where, where + ' corner'))}"
    return phrase


@cache
def world_vocabulary(
    names: tuple[str, ...] = tuple(CONCEPTS), styles: tuple[str, ...] = STYLES
) -> Vocabulary:
    """The words of these concepts and styles, as a model's folder carries them."""
    concepts = [CONCEPTS[name] for name in names]
    nouns = [noun for concept in concepts for noun in (concept.name, *concept.synonyms)]
    plurals = tuple(plural_of(noun) for noun in nouns)
    natural = {c.name: c.natural for c in concepts if c.natural}
    vocabulary = Vocabulary(
        objects={
            category: tuple(c.name for c in concepts if c.category == category)
            for category in dict.fromkeys(c.category for c in concepts)
        },
        synonyms={concept.name: concept.synonyms for concept in concepts if concept.synonyms},
        scenes={name: place.phrases for name, place in PLACES.items()},
        styles={style: (*STYLE_ENDINGS[style], *STYLE_OPENINGS[style]) for style in styles},
        colors=tuple(dict.fromkeys((*HUES, *BACKGROUNDS, *natural.values()))),
        other_words=plurals,
        plurals=dict(zip(nouns, plurals, strict=True)),
        without_article=tuple(noun for noun in nouns if noun in WITHOUT_ARTICLE),
        natural_colors=natural,
        recolorable=tuple(c.name for c in concepts if c.colorable),
        thing_colors=tuple(HUES),
        background_colors=tuple(BACKGROUNDS),
        homes={c.name: c.home for c in concepts if c.home},
        sided=tuple(c.name for c in concepts if c.faces),
        most_count=MOST_COUNT,
        most_of_each=MOST_OF_EACH,
        most_things=3,
        relations=RELATIONS,
        sizes=SIZES,
        spots=SPOTS,
        facings=FACINGS,
        tilts=TILTS,
        completed=("background", "style", "size", "spot", "facing", "tilt"),
    )
    phrases = (
        *OPENINGS, *CLOSINGS, *ADJECTIVES, *(p for group in RELATION_PHRASES.values() for p in group),
        *(word for group in SIZE_WORDS.values() for word in group), *SPOTS, *NUMBERS[1:7],
        *(phrase.format("", "", a="") for group in SETTINGS.values() for phrase in group),
        "facing looking faces tilted leaning corner center are is", "1 2 3 4 5 6",
    )  # fmt: skip
    others = {word for phrase in phrases for word in words_of(phrase)} - vocabulary.words
    return replace(vocabulary, other_words=(*plurals, *sorted(others)))
