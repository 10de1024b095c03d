"""Words of English that a prompt may mean as they are, and the known things that nouns among them are near to.

``python -m training.words`` makes the list; WORDS.md says where it comes from.
"""

import lzma
from collections.abc import Collection, Mapping
from functools import cache
from pathlib import Path

WORDS_FILE = Path(__file__).with_name("words.xz")

_FIRST = 65
"""Character that stands for 0 letters in common with the word before."""


@cache
def dictionary() -> Mapping[str, tuple[str, ...]]:
    """Word in lower case -> names of things near it by meaning, the nearest first; mostly none."""
    return unpacked(WORDS_FILE.read_bytes())


def near_by_meaning(word: str) -> tuple[str, ...]:
    """Names of things near a noun, in singular or plural."""
    forms = [word]
    if word.endswith("s"):
        forms += [word[:-1], word[:-2], *(f"{word[:-3]}{end}" for end in ("f", "fe", "y"))]
    known = dictionary()
    return next((known[form] for form in forms if known.get(form)), ())


def packed(words: Collection[str], near: Mapping[str, tuple[str, ...]]) -> bytes:
    """The list as a file: names of things on the first line, then a word a line, in order, without the letters
    that it shares with the one before; numbers of names behind it."""
    names = sorted({name for listed in near.values() for name in listed})
    lines, last = [",".join(names)], ""
    for word in sorted(words):
        pairs = enumerate(zip(word, last, strict=False))
        shared = next((i for i, (a, b) in pairs if a != b), min(len(word), len(last)))
        numbers = "".join(f" {names.index(name)}" for name in near.get(word, ()))
        lines.append(f"{chr(_FIRST + shared)}{word[shared:]}{numbers}")
        last = word
    return lzma.compress("\n".join(lines).encode("ascii"), preset=9 | lzma.PRESET_EXTREME)


def unpacked(data: bytes) -> dict[str, tuple[str, ...]]:
    """The reverse of ``packed``."""
    first, *lines = lzma.decompress(data).decode("ascii").split("\n")
    names, found, last = first.split(","), {}, ""
    for line in lines:
        rest, *numbers = line[1:].split(" ")
        last = last[: ord(line[0]) - _FIRST] + rest
        found[last] = tuple(names[int(number)] for number in numbers)
    return found
