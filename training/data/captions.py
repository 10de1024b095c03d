"""Which of a picture's captions a sample is trained with."""

import re
from dataclasses import dataclass, replace

import numpy as np

_SIDES = re.compile(
    r"\b(left|right|(anti|counter)?-?clockwise|links|rechts|gauche|droite?|izquierd[ao]|derech[ao]|"
    r"sinistr[ao]|destr[ao]|esquerd[ao]|direit[ao])\w*\b|[左右]|лев|прав",
    re.IGNORECASE,
)
_LONG_SENTENCE = 15  # words; one such sentence says enough for a short caption, else it takes two


@dataclass(frozen=True, kw_only=True)
class Captions:
    """The texts of one picture.

    Attributes:
        long, short: alternatives of each kind, none of them empty; at least one in all.
        by_sentences: a long caption may be cut to its leading sentences, and to one or two of them
            where no short caption is given (upstream's layout, for captions that models wrote).
    """

    long: tuple[str, ...]
    short: tuple[str, ...] = ()
    by_sentences: bool = False

    @property
    def all(self) -> tuple[str, ...]:
        return self.long + self.short


NO_CAPTION = Captions(long=("",))
"""Of a picture that is used without one."""


def draw_caption(
    captions: Captions, short_probability: float, random: np.random.Generator
) -> tuple[int, str]:
    """One of the captions: its index in ``captions.all`` and the text to train with.

    Parity: upstream's rule of section 6 of its notes, tests/training/data/test_captions.py.
    """
    takes_short = bool(random.random() < short_probability)
    options = (captions.short if takes_short else captions.long) or captions.all
    choice = int(random.integers(len(options)))
    index = choice + (len(captions.long) if options is captions.short else 0)
    text = options[choice]
    if captions.by_sentences and index < len(captions.long):
        sentences, few = _sentences(text)
        if takes_short:
            text = ".".join(sentences[:few]) or text
        elif len(sentences) > few:
            text = ".".join(sentences[: int(random.integers(few + 1, len(sentences) + 1))])
    return index, text


def names_a_side(caption: str) -> bool:
    """Whether a caption may be wrong of the mirrored picture: it says left, right or the like."""
    return _SIDES.search(caption) is not None


def fixed(captions: Captions) -> Captions:
    """Captions that are not cut any more: each whole, and as short ones their first sentences."""
    if not captions.by_sentences or captions.short:
        return replace(captions, by_sentences=False)
    parts = [(text, *_sentences(text)) for text in captions.long]
    short = tuple(".".join(sentences[:few]) or text for text, sentences, few in parts)
    return Captions(long=captions.long, short=short)


def _sentences(text: str) -> tuple[list[str], int]:
    """A text's sentences, and how many of them make a short caption."""
    sentences = [sentence for sentence in text.split(".") if sentence]
    return sentences, 1 if sentences and len(sentences[0].split()) >= _LONG_SENTENCE else 2
