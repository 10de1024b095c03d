"""Writes the shipped exam: GenEval's six categories, style and scene, in this world's things.

``python -m training.evaluation.questions`` writes ``training/prompts/exam.jsonl``. The wordings are not
those of the training captions; half of the pairs and colours were never shown in training. Beside it,
``language.jsonl`` asks for one thing in one place in nine wordings, a category each.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from infinity.console import home_path
from training.evaluation.prompts import POSITIONS, ExamPrompt, Wanted, write_prompts
from training.world.captions import NUMBER_WORDS, WITHOUT_ARTICLE, article_for, misspelt
from training.world.color import BACKGROUNDS, HUES
from training.world.concepts import CONCEPTS, Concept, plural_of
from training.world.sampling import pick
from training.world.scene import is_held_out_color, is_held_out_pair
from training.world.scenes import PLACES

EXAM = Path(__file__).parent.parent / "prompts" / "exam.jsonl"
LANGUAGE = EXAM.with_name("language.jsonl")
EACH = 105
WORDINGS_EACH = 40
SEED = 20412
OPENINGS = ("a photograph of {}", "please draw {}", "{}, nicely drawn", "I would like to see {}")
PLACE_WORDS = {
    "meadow": "standing on the green grass",
    "beach": "on the sand of a beach",
    "night": "in the dark of the night",
    "space": "far away in outer space",
    "snow": "out in the snow",
    "mountains": "high in the mountains",
    "desert": "in the hot desert",
    "underwater": "down under the sea",
    "forest": "lost in the woods",
    "city": "in the streets of a city",
    "sunset": "during a sunset",
    "sky": "up in the blue sky",
    "autumn": "in an autumn landscape",
    "party": "at somebody's birthday party",
}
STYLE_WORDS = {
    "3d": ("{} as a 3d render", "3d picture of {}"),
    "cartoon": ("{} as a cartoon", "cartoon picture of {}"),
}
NAMES = tuple(CONCEPTS)
COLORABLE = tuple(name for name, concept in CONCEPTS.items() if concept.colorable)

Question = tuple[str, dict[str, Any]]
"""What is asked for, and the fields of :class:`ExamPrompt` that say what must be seen."""


def questions(rng: np.random.Generator) -> Iterator[ExamPrompt]:
    """All prompts of the exam, category by category."""
    makers: dict[str, Callable[[np.random.Generator, int], Question]] = {
        "single_object": _single,
        "two_object": _two,
        "counting": _counting,
        "colors": _colors,
        "position": _position,
        "color_attr": _attribution,
        "style": _style,
        "scene": _scene,
    }
    for tag, make in makers.items():
        asked: set[str] = set()
        while len(asked) < EACH:
            text, fields = make(rng, len(asked))
            text = text if tag == "style" else pick(rng, OPENINGS).format(text)
            if text not in asked:
                asked.add(text)
                yield ExamPrompt(tag=tag, prompt=text, **fields)


def a(concept: str, color: str | None = None) -> str:
    """The concept with its article, as in "a blue car"."""
    phrase = f"{color} {concept}" if color else concept
    return phrase if concept in WITHOUT_ARTICLE else f"{article_for(phrase)} {phrase}"


def _single(_: np.random.Generator, index: int) -> Question:
    name = NAMES[index % len(NAMES)]
    return a(name), {"include": (Wanted(concept=name),)}


def _pair(rng: np.random.Generator, index: int, names: tuple[str, ...]) -> tuple[str, str]:
    """Two things; every second pair is one that training never showed."""
    while True:
        first, second = (names[int(i)] for i in rng.choice(len(names), 2, replace=False))
        if is_held_out_pair(first, second) == bool(index % 2):
            return first, second


def _unseen(what: str, index: int) -> tuple[str, ...]:
    return (what,) if index % 2 else ()


def _two(rng: np.random.Generator, index: int) -> Question:
    first, second = _pair(rng, index, NAMES)
    include = (Wanted(concept=first), Wanted(concept=second))
    return f"{a(first)} and {a(second)}", {"include": include, "unseen": _unseen("pair", index)}


def _counting(rng: np.random.Generator, index: int) -> Question:
    name = pick(rng, NAMES)
    count = 1 + index % 4
    text = f"exactly one {name}" if count == 1 else f"{NUMBER_WORDS[count]} {plural_of(name)}"
    include = (Wanted(concept=name, count=count),)
    return text, {"include": include, "exclude": (Wanted(concept=name, count=count + 1),)}


def _color(rng: np.random.Generator, name: str, unseen: bool) -> str | None:
    fitting = [
        color
        for color in HUES
        if (color != CONCEPTS[name].natural and is_held_out_color(color, name)) == unseen
    ]
    return pick(rng, fitting) if fitting else None


def _colors(rng: np.random.Generator, index: int) -> Question:
    while True:
        name = pick(rng, COLORABLE)
        if color := _color(rng, name, bool(index % 2)):
            include = (Wanted(concept=name, color=color),)
            return a(name, color), {"include": include, "unseen": _unseen("colour", index)}


def _position(rng: np.random.Generator, index: int) -> Question:
    first, second = _pair(rng, index, NAMES)
    relation = POSITIONS[index % 4]
    include = (Wanted(concept=second), Wanted(concept=first, position=(relation, 0)))
    text = f"{a(first)} {relation} {a(second)}"
    return text, {"include": include, "unseen": _unseen("pair", index)}


def _attribution(rng: np.random.Generator, index: int) -> Question:
    while True:
        pair = _pair(rng, index, COLORABLE)
        colors = [_color(rng, name, False) for name in pair]
        if all(colors) and colors[0] != colors[1]:
            both = list(zip(pair, colors, strict=True))
            include = tuple(Wanted(concept=name, color=color) for name, color in both)
            text = " and ".join(a(name, color) for name, color in both)
            return text, {"include": include, "unseen": _unseen("pair", index)}


def _style(rng: np.random.Generator, index: int) -> Question:
    name = pick(rng, NAMES)
    style = tuple(STYLE_WORDS)[index % 2]
    text = pick(rng, STYLE_WORDS[style]).format(a(name))
    return text, {"include": (Wanted(concept=name),), "style": style}


def _scene(rng: np.random.Generator, index: int) -> Question:
    name = pick(rng, NAMES)
    scenes = (*PLACES, *BACKGROUNDS)
    scene = scenes[index % len(scenes)]
    where = PLACE_WORDS.get(scene, f"in front of a {scene} background")
    return f"{a(name)} {where}", {"include": (Wanted(concept=name),), "scene": scene}


def wordings(rng: np.random.Generator) -> Iterator[ExamPrompt]:
    """The same things in the same places, said plainly and in ways that should do no harm."""
    asked = []
    while len(asked) < WORDINGS_EACH:
        concept = CONCEPTS[pick(rng, NAMES)]
        place = tuple(PLACES)[len(asked) % len(PLACES)]
        misspelling = misspelt(concept.name, rng)
        common = concept.synonyms and concept.name not in WITHOUT_ARTICLE
        if common and misspelling != concept.name:
            asked.append((concept, place, PLACES[place].phrases[0], misspelling))
    ways: dict[str, Callable[[Concept, str, str], str]] = {
        "plain": lambda c, where, _: f"{a(c.name)} {where}",
        "capitals": lambda c, where, _: f"{a(c.name)} {where}".upper(),
        "signs": lambda c, where, _: f"“{a(c.name)}” – {where}!!",
        "no_article": lambda c, where, _: f"{c.name} {where}",
        "synonym": lambda c, where, _: f"{a(c.synonyms[0])} {where}",
        "plural": lambda c, where, _: f"some {c.plural} {where}",
        "word_order": lambda c, where, _: f"{where} {a(c.name)}",
        "misspelt": lambda _, where, wrong: f"a {wrong} {where}",
        "unknown_words": lambda c, where, _: f"a quixotic {c.name} {where}, gouache on vellum",
    }
    for tag, way in ways.items():
        for concept, place, where, misspelling in asked:
            yield ExamPrompt(
                tag=tag,
                prompt=way(concept, where, misspelling),
                include=(Wanted(concept=concept.name),),
                scene=place,
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=home_path, default=EXAM.parent, help="folder")
    arguments = parser.parse_args()
    for file, made in ((EXAM, questions), (LANGUAGE, wordings)):
        write_prompts(arguments.output / file.name, made(np.random.default_rng(SEED)))


if __name__ == "__main__":
    main()
