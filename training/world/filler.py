"""Words around a caption that say nothing about the picture: politeness, praise, words never heard.

People put them into their prompts. A text encoder that has met only bare captions loses the thing
asked for among them, so training shows them too. The exam's own wordings are not among these.
"""

import re

import numpy as np

from training.world.captions import article_for
from training.world.sampling import pick

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
