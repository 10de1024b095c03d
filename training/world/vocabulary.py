"""The words of the world, in the form a model's folder carries them: read off the captions."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from infinity.vocabulary import Vocabulary, words_of
from training.world.captions import STYLE_ENDINGS, STYLE_OPENINGS, caption
from training.world.color import BACKGROUNDS, HUES
from training.world.concepts import CONCEPTS, plural_of
from training.world.sampling import sample_scene
from training.world.scenes import PLACES

CAPTIONS = 12_000
FEWEST = 25  # captions that use a word: a misspelling comes up less often


def world_vocabulary(concepts: Sequence[str], styles: Sequence[str]) -> Vocabulary:
    """What a model trained on these concepts and styles knows."""
    chosen = [CONCEPTS[name] for name in concepts]
    objects: dict[str, tuple[str, ...]] = {}
    for concept in chosen:
        objects[concept.category] = (*objects.get(concept.category, ()), concept.name)
    nouns = [noun for concept in chosen for noun in (concept.name, *concept.synonyms)]
    vocabulary = Vocabulary(
        objects=objects,
        synonyms={concept.name: concept.synonyms for concept in chosen if concept.synonyms},
        scenes={name: place.phrases for name, place in PLACES.items()},
        styles={style: (*STYLE_ENDINGS[style], *STYLE_OPENINGS[style]) for style in styles},
        colors=tuple(dict.fromkeys((*HUES, *BACKGROUNDS))),
        other_words=tuple(plural_of(noun) for noun in nouns),
    )
    others = _caption_words(concepts, styles) - vocabulary.words
    return replace(vocabulary, other_words=(*vocabulary.other_words, *sorted(others)))


def _caption_words(concepts: Sequence[str], styles: Sequence[str]) -> set[str]:
    counts: Counter[str] = Counter()
    for index in range(CAPTIONS):
        rng = np.random.default_rng((3, index))
        scene = sample_scene(rng, concepts=concepts, styles=styles, stage="full", split="train")
        counts.update(set(words_of(caption(scene, rng))))
    return {word for word, count in counts.items() if count >= FEWEST}
