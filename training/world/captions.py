"""Scenes in words, the way people type prompts.

Grammar: `[style of] [count] [cute|little|big] [colour] NOUN [relation NOUN | and NOUN]
[on a COLOUR background | COLOUR gradient | PLACE] [, style]`; the setting may come first and the
colour last.

Around them may come filler, words that say nothing about the picture: politeness, praise, words
never heard. People put them into their prompts. A text encoder that has met only bare captions
loses the thing asked for among them, so training shows them too. The exam's own wordings are not
among these.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from string import ascii_lowercase

import numpy as np

from infinity.world.vocabulary import Vocabulary, words_of
from training.world.color import BACKGROUNDS, HUES
from training.world.concepts import CONCEPTS, plural_of
from training.world.places import PLACES
from training.world.scene import Scene, SceneObject, pick, sample_scene

NUMBER_WORDS = {2: "two", 3: "three", 4: "four"}

# Nouns that take no article: plural in form, or not counted.
PLURAL_NOUNS = {"grapes", "french fries", "fries"}
WITHOUT_ARTICLE = {*PLURAL_NOUNS, "planet earth"}

RELATION_PHRASES = {
    "and": ("and", "and", "and", "next to", "with", "beside"),
    "left of": ("to the left of", "left of", "on the left of", "on the left side of"),
    "right of": ("to the right of", "right of", "on the right of", "on the right side of"),
    "above": ("above", "above", "over", "on top of"),
    "below": ("below", "below", "under", "underneath", "beneath"),
}

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
# The first style is what an unadorned prompt means; the others are always named.
STYLE_NAMED_SHARE = {"3d": 0.2, "cartoon": 1.0}

LITTLE_WORDS, BIG_WORDS = ("little", "small", "tiny"), ("big", "large", "huge")
SIZE_WORDS = {"little": LITTLE_WORDS, "big": BIG_WORDS}
NEUTRAL_OPENINGS = (
    *("a picture of", "an image of", "an illustration of", "a photo of", "a drawing of"),
    *("there is", "show me", "draw", "draw me", "make", "i want"),
)
# "{a}" stands for the first colour's article.
SETTINGS = {
    "plain": (
        *("on {a} {0} background", "on {a} {0} background", "on a plain {0} background"),
        *("with {a} {0} background", "against {a} {0} background", "on a solid {0} background"),
        "with {a} {0} background behind",
    ),
    "gradient": (
        *("on {a} {0} to {1} gradient", "on {a} {0} to {1} gradient background"),
        "on {a} {0} and {1} gradient background",
        "with {a} {0} and {1} gradient background",
    ),
}

SETTING_FIRST_SHARE = 0.15
COLOR_AFTER_SHARE = 0.1  # "a car that is red"
MISSPELT_SHARE = 0.04
SHORTEST_MISSPELT = 5  # letters

OPENING_SHARE, ADJECTIVE_SHARE, MANNER_SHARE, CLOSING_SHARE = 0.3, 0.2, 0.08, 0.2
INVENTED_SHARE = 0.3  # of the adjectives and closing words

OPENINGS = (
    *("can you draw", "could you paint", "kindly sketch", "generate", "create", "paint", "imagine"),
    *("create an image of", "generate a picture of", "make a picture of", "make an image with"),
    *("paint me", "sketch", "sketch me", "give me", "give me a picture of", "i need", "i'd love"),
    *("we want", "let us have", "now show", "show us", "this is", "here is", "here we have"),
    *("look at", "look:", "what about", "how about", "maybe", "just", "only", "simply", "again"),
    *("a nice picture of", "a beautiful picture of", "a high quality image of", "one picture with"),
    *("a detailed drawing of", "a lovely illustration of", "a simple drawing of"),
    *("a close look at",),
    *("a portrait of", "a view of", "a scene with", "a scene showing", "a postcard of"),
    *("a poster of", "a painting of", "a sketch of", "an icon of", "a sticker of", "an emoji of"),
    *("clip art of", "a shot of", "a snapshot of", "my favourite:", "prompt:", "hello,", "hi,"),
    *("ok,", "well,", "visualise", "depict", "design", "produce", "the image shows", "we see"),
    *("the picture contains", "there should be", "there must be", "somebody painted", "it is"),
    *("my child drew", "you can see", "once upon a time there was", "a wonderful artwork of"),
    *("i am looking for", "my wish is", "try", "do me", "a professional picture of", "picture:"),
)
CLOSINGS = (
    *(", high quality", ", highly detailed", ", 4k", ", 8k", ", best quality", ", masterpiece"),
    *(", beautiful", ", sharp focus", ", very pretty", ", for my daughter", ", thank you"),
    *(", thanks", ", as you know it", ", just like that", ", well made", ", good looking"),
    *(", in detail", ", centered", ", trending", ", simple and clean", ", professional"),
    *(", award winning", ", by a good artist", ", for a book", ", on my screen", " to look at"),
    *(" for children", " and nothing else", ", if you can", ", quickly", ", lovely light"),
    *(", studio light", ", wow", "!", ".", "...", "?", " now", " today", ", elegant lines"),
    *(", as a gift", ", for the wall", ", made with love", ", carefully painted", ", in full view"),
)
ADJECTIVES = (
    *("beautiful", "lovely", "nice", "pretty", "funny", "friendly", "shiny", "new"),
    *("old", "fancy", "magic", "wonderful", "amazing", "perfect", "typical", "simple", "lonely"),
    *("classic", "modern", "famous", "quiet", "charming", "elegant", "strange", "mysterious"),
    *("curious", "brave", "clever", "royal", "gentle", "delicious", "fresh", "tasty"),
    *("soft", "fluffy", "smooth", "sweet", "proud", "handsome", "great", "good", "favourite"),
    *("ordinary", "real", "realistic", "detailed", "ancient", "well-known", "precious"),
)
MANNERS = (
    *("sitting", "resting", "waiting", "placed", "seen", "shown", "found", "posing", "relaxing"),
    *("living", "all alone", "somewhere", "right", "just", "proudly", "quietly", "happily"),
    *("which is",),
)

_BEFORE_NOUN = re.compile(r"\b(an?|two|three|four)\b ")
_BEFORE_PLACE = re.compile(r" (?=(?:in|on|at|under|among|by) )")
_ONSETS = ("b", "br", "c", "d", "f", "fl", "g", "h", "j", "k", "l", "m", "n", "p", "qu", "r")
_RHYMES = ("a", "am", "e", "en", "i", "ic", "ish", "o", "or", "ous", "u", "ux", "ard", "ible")

VOCABULARY_CAPTIONS = 12_000
FEWEST = 25  # captions that use a word: a misspelling comes up less often


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
    before, letter, after = word[:at], word[at], word[at + 1 :]
    replaced = before + pick(rng, ascii_lowercase) + after
    swapped = before + after[0] + letter + after[1:]
    words[chosen] = pick(rng, (before + after, before + 2 * letter + after, replaced, swapped))
    return " ".join(words)


def _true_caption(scene: Scene, rng: np.random.Generator) -> str:
    named_style = rng.random() < STYLE_NAMED_SHARE[scene.style]
    setting = scene.background.kind != "backdrop"
    bare = len(scene.objects) == scene.objects[0].count == 1 and not setting and not named_style
    if bare and rng.random() < 0.5:
        return _noun_phrase(scene.objects[0], rng, article=False)

    words = [_noun_phrase(item, rng) for item in scene.objects]
    text = words[0]
    if len(words) == 2:
        text += f" {pick(rng, RELATION_PHRASES[scene.objects[0].relation or 'and'])} {words[1]}"
    if setting:
        names = scene.background.names
        place = PLACES.get(names[0])
        phrases = SETTINGS[scene.background.kind] if place is None else place.phrases
        where = pick(rng, phrases).format(*names, a=article_for(names[0]))
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
    return "an" if lowered[0] in "aeiou" and not lowered.startswith(("uni", "ufo")) else "a"


def _noun_phrase(item: SceneObject, rng: np.random.Generator, *, article: bool = True) -> str:
    concept = CONCEPTS[item.concept]
    noun = concept.name
    if concept.synonyms and rng.random() < 0.25:
        noun = pick(rng, concept.synonyms)
    adjectives = []
    if item.size != "normal":
        adjectives.append(pick(rng, SIZE_WORDS[item.size]))
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


def with_filler(text: str, rng: np.random.Generator) -> str:
    """A caption, half of the time with idle words before, within or after it."""
    if rng.random() < ADJECTIVE_SHARE:
        text = _with_adjective(text, rng)
    if rng.random() < MANNER_SHARE:
        text = _BEFORE_PLACE.sub(f" {pick(rng, MANNERS)} ", text, count=1)
    if rng.random() < CLOSING_SHARE:
        invented = rng.random() < INVENTED_SHARE
        text += f", {_invented(rng)} {_invented(rng)}" if invented else pick(rng, CLOSINGS)
    if rng.random() < OPENING_SHARE:
        text = f"{pick(rng, OPENINGS)} {text}"
    return text


def _with_adjective(text: str, rng: np.random.Generator) -> str:
    places = list(_BEFORE_NOUN.finditer(text))
    if not places:
        return text
    place = places[int(rng.integers(len(places)))]
    word = _invented(rng) if rng.random() < INVENTED_SHARE else pick(rng, ADJECTIVES)
    before = place[1] if place[1] not in ("a", "an") else article_for(word)
    return f"{text[: place.start()]}{before} {word} {text[place.end() :]}"


def _invented(rng: np.random.Generator) -> str:
    """A word of two or three syllables that means nothing."""
    count = int(rng.integers(2, 4))
    return "".join(pick(rng, _ONSETS) + pick(rng, _RHYMES) for _ in range(count))


def world_vocabulary(names: Sequence[str], styles: Sequence[str]) -> Vocabulary:
    """The words of these concepts and styles, as a model's folder carries them."""
    concepts = [CONCEPTS[name] for name in names]
    nouns = [noun for concept in concepts for noun in (concept.name, *concept.synonyms)]
    plurals = tuple(plural_of(noun) for noun in nouns)
    counts: Counter[str] = Counter()
    for index in range(VOCABULARY_CAPTIONS):
        rng = np.random.default_rng((3, index))
        scene = sample_scene(rng, concepts=names, styles=styles, stage="full", split="train")
        counts.update(set(words_of(caption(scene, rng))))
    vocabulary = Vocabulary(
        objects={
            category: tuple(c.name for c in concepts if c.category == category)
            for category in dict.fromkeys(c.category for c in concepts)
        },
        synonyms={concept.name: concept.synonyms for concept in concepts if concept.synonyms},
        scenes={name: place.phrases for name, place in PLACES.items()},
        styles={style: (*STYLE_ENDINGS[style], *STYLE_OPENINGS[style]) for style in styles},
        colors=tuple(dict.fromkeys((*HUES, *BACKGROUNDS))),
        other_words=plurals,
        plurals=dict(zip(nouns, plurals, strict=True)),
        without_article=tuple(noun for noun in nouns if noun in WITHOUT_ARTICLE),
        natural_colors={c.name: c.natural for c in concepts if c.natural},
        recolorable=tuple(c.name for c in concepts if c.colorable),
        thing_colors=tuple(HUES),
        background_colors=tuple(BACKGROUNDS),
        homes={c.name: c.home for c in concepts if c.home},
        completed=("background", "style", "size"),
    )
    others = {word for word, count in counts.items() if count >= FEWEST} - vocabulary.words
    return replace(vocabulary, other_words=(*plurals, *sorted(others)))
