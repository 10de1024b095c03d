"""Exam prompts in GenEval's metadata form (Ghosh et al., 2023), one JSON object a line.

Keys: ``tag`` (the category), ``prompt``, ``include``: objects that must be seen, each with ``class``
and optionally ``count`` (1), ``color`` and ``position`` (``["left of", 0]``: left of the first
entry's object); optional ``exclude``, which must not be seen in that number; and of our own ``style``,
``scene`` (a place, or a colour for a plain background) and ``unseen`` (what training never showed).
Other keys, such as a number of the prompt, are passed over.
"""

from __future__ import annotations

import difflib
import json
import logging
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infinity.errors import RequestError
from training.world.captions import STYLE_ENDINGS, STYLE_OPENINGS
from training.world.color import BACKGROUNDS, HUES
from training.world.concepts import CONCEPTS, plural_of
from training.world.scenes import PLACES
from training.world.sprites import STYLES

logger = logging.getLogger(__name__)

POSITIONS = ("left of", "right of", "above", "below")
COLORS = tuple(
    dict.fromkeys((*HUES, *(c.natural for c in CONCEPTS.values() if c.natural is not None)))
)
_KEYS = ("tag", "prompt", "include", "exclude", "style", "scene", "unseen")
_ITEM_KEYS = ("class", "count", "color", "position")
_CLASSES = {
    word.lower(): concept.name
    for concept in CONCEPTS.values()
    for noun in (concept.name, *concept.synonyms)
    for word in (plural_of(noun), noun)
}
_SCENES = {
    **{phrase: name for name, place in PLACES.items() for phrase in (*place.phrases, name)},
    **{f"{color}{ending}": color for color in BACKGROUNDS for ending in ("", " background")},
}
_STYLES = {
    phrase: style
    for style in STYLES
    for phrase in (style, *STYLE_ENDINGS[style], *STYLE_OPENINGS[style])
}


class UnknownToJudgeError(RequestError):
    """A prompt about a thing, colour, style or scene that the judge cannot tell."""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """One entry of ``include`` or ``exclude``; ``position`` is (relation, index of the other)."""

    concept: str
    count: int = 1
    color: str | None = None
    position: tuple[str, int] | None = None


@dataclass(frozen=True, kw_only=True)
class ExamPrompt:
    """One question and its answer."""

    tag: str
    prompt: str
    include: tuple[Wanted, ...] = ()
    exclude: tuple[Wanted, ...] = ()
    style: str | None = None
    scene: str | None = None
    unseen: tuple[str, ...] = ()

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ExamPrompt:
        """Raises RequestError on misspelt keys and bad values; UnknownToJudgeError, see there."""
        _no_misspelt_keys(data)
        if not all(isinstance(data.get(key), str) and data[key].strip() for key in _KEYS[:2]):
            raise RequestError("An exam prompt needs the texts 'tag' and 'prompt'.")
        include = tuple(_wanted(item) for item in data.get("include") or ())
        for place, item in enumerate(include):
            if item.position is not None and not 0 <= item.position[1] < place:
                raise RequestError(
                    f"position refers to object {item.position[1]}: name one listed before it."
                )
        style, scene = data.get("style"), data.get("scene")
        if not (include or style or scene or data.get("exclude")):
            raise RequestError("an exam prompt needs an answer: include, exclude, style or scene.")
        return cls(
            tag=data["tag"],
            prompt=data["prompt"],
            include=include,
            exclude=tuple(_wanted(item) for item in data.get("exclude") or ()),
            style=None if not style else _STYLES[_known(style, _STYLES, "style")],
            scene=None if not scene else _SCENES[_known(scene, _SCENES, "scene")],
            unseen=tuple(data.get("unseen") or ()),
        )

    def to_dict(self) -> dict[str, Any]:
        """The inverse of :meth:`from_dict`, without what is empty."""
        data: dict[str, Any] = {"tag": self.tag, "include": [_entry(item) for item in self.include]}
        if self.exclude:
            data["exclude"] = [_entry(item) for item in self.exclude]
        data |= {key: value for key in ("style", "scene") if (value := getattr(self, key))}
        if self.unseen:
            data["unseen"] = list(self.unseen)
        return {**data, "prompt": self.prompt}


def read_prompts(path: Path) -> list[ExamPrompt]:
    """The prompts of a JSONL file that the judge can mark; the others are logged.

    Raises:
        RequestError: the file is missing, a line is not a prompt (names the line), or the judge can
            mark none.
    """
    prompts, unknown = sort_prompts(path)
    for line in unknown:
        logger.warning("Not asked: %s, %s", path, line)
    return prompts


def sort_prompts(path: Path) -> tuple[list[ExamPrompt], list[str]]:
    """The prompts that the judge can mark, and a sentence for each that it cannot.

    Raises:
        RequestError: as :func:`read_prompts`.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise RequestError(f"Cannot read the prompts of {path}: {error}.") from error
    prompts: list[ExamPrompt] = []
    unknown: list[str] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            prompts.append(ExamPrompt.from_dict(json.loads(line)))
        except UnknownToJudgeError as error:
            unknown.append(f"line {number}: {error}")
        except (ValueError, TypeError, AttributeError, RequestError) as error:
            raise RequestError(f"{path}, line {number}: {error}") from error
    if not prompts:
        why = f"; {unknown[0]}" if unknown else "."
        raise RequestError(f"{path} holds no prompts that the judge can mark{why}")
    return prompts, unknown


def write_prompts(path: Path, prompts: Iterable[ExamPrompt]) -> None:
    path.write_text(
        "".join(json.dumps(prompt.to_dict()) + "\n" for prompt in prompts), encoding="utf-8"
    )


def _wanted(item: Mapping[str, Any]) -> Wanted:
    for key in item:
        if key not in _ITEM_KEYS:  # a condition that would go unmarked
            raise RequestError(f"unknown key {key!r}; known: {', '.join(_ITEM_KEYS)}.")
    concept = _CLASSES[_known(item.get("class"), _CLASSES, "class")]
    count = item.get("count", 1)
    if not isinstance(count, int) or isinstance(count, bool) or count < 1:
        raise RequestError(f"count must be a whole number from 1 on, not {count!r}.")
    color = item.get("color")
    if color is not None:
        color = _known(color, COLORS, "color")
    position = item.get("position")
    if position is not None:
        relation, other = position
        if not isinstance(other, int):
            raise RequestError(f"a position names its object by number, not {other!r}.")
        position = (_known(relation, POSITIONS, "position"), other)
    return Wanted(concept=concept, count=count, color=color, position=position)


def _entry(item: Wanted) -> dict[str, Any]:
    entry: dict[str, Any] = {"class": item.concept, "count": item.count}
    if item.color is not None:
        entry["color"] = item.color
    if item.position is not None:
        entry["position"] = list(item.position)
    return entry


def _no_misspelt_keys(data: Mapping[str, Any]) -> None:
    for key in data:
        near = difflib.get_close_matches(key, _KEYS, n=1, cutoff=0.75)
        if key not in _KEYS and near:
            raise RequestError(f"unknown key {key!r}; did you mean {near[0]!r}?")


def _known(value: Any, known: Collection[str], what: str) -> str:
    """``value`` in lower case, if it is known.

    Raises:
        UnknownToJudgeError: it is not.
    """
    if isinstance(value, str) and value.strip().lower() in known:
        return value.strip().lower()
    near = difflib.get_close_matches(str(value).lower(), known, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else "."
    raise UnknownToJudgeError(f"the judge knows no {what} {value!r}{hint}")
