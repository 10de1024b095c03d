"""Exam prompts in GenEval's metadata form (Ghosh et al., 2023), one JSON object a line.

Keys: ``tag`` (the category), ``prompt``, ``include``: objects that must be seen, each with ``class``,
``count`` and optionally ``color`` and ``position`` (``["left of", 0]``: left of the first entry's
object); optional ``exclude``, which must not be seen in that number; and of our own ``style``,
``scene`` (a place, or a colour for a plain background) and ``unseen`` (what training never showed).
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infinity.errors import RequestError
from training.world.colour import BACKGROUNDS, HUES
from training.world.concepts import CONCEPTS
from training.world.scenes import PLACES
from training.world.sprites import STYLES

POSITIONS = ("left of", "right of", "above", "below")
COLOURS = tuple(
    dict.fromkeys((*HUES, *(c.natural for c in CONCEPTS.values() if c.natural is not None)))
)
_KEYS = ("tag", "prompt", "include", "exclude", "style", "scene", "unseen")
_ITEM_KEYS = ("class", "count", "color", "position")
_CLASSES = {
    word.lower(): concept.name
    for concept in CONCEPTS.values()
    for word in (concept.name, *concept.synonyms)
}
_SCENES = {
    **{name: name for name in (*PLACES, *BACKGROUNDS)},
    **{f"{colour} background": colour for colour in BACKGROUNDS},
}


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """One entry of ``include`` or ``exclude``; ``position`` is (relation, index of the other)."""

    concept: str
    count: int = 1
    colour: str | None = None
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
        """Raises RequestError on unknown keys, things the judge does not know, and bad values."""
        _known_keys(data, _KEYS)
        if not isinstance(data.get("prompt"), str) or not isinstance(data.get("tag"), str):
            raise RequestError("An exam prompt needs the texts 'tag' and 'prompt'.")
        include = tuple(_wanted(item) for item in data.get("include", ()))
        for item in include:
            if item.position is not None and not 0 <= item.position[1] < len(include):
                raise RequestError(
                    f"position refers to object {item.position[1]}, which is not there."
                )
        style, scene = data.get("style"), data.get("scene")
        return cls(
            tag=data["tag"],
            prompt=data["prompt"],
            include=include,
            exclude=tuple(_wanted(item) for item in data.get("exclude", ())),
            style=None if style is None else _known(style, STYLES, "style"),
            scene=None if scene is None else _SCENES[_known(scene, _SCENES, "scene")],
            unseen=tuple(data.get("unseen", ())),
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
    """The prompts of a JSONL file.

    Raises:
        RequestError: the file is missing or empty, or a line is not a prompt; names the line.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise RequestError(f"Cannot read the prompts of {path}: {error}.") from error
    prompts = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            prompts.append(ExamPrompt.from_dict(json.loads(line)))
        except (ValueError, TypeError, RequestError) as error:
            raise RequestError(f"{path}, line {number}: {error}") from error
    if not prompts:
        raise RequestError(f"{path} holds no prompts.")
    return prompts


def write_prompts(path: Path, prompts: Iterable[ExamPrompt]) -> None:
    path.write_text("".join(json.dumps(prompt.to_dict()) + "\n" for prompt in prompts))


def _wanted(item: Mapping[str, Any]) -> Wanted:
    _known_keys(item, _ITEM_KEYS)
    concept = _CLASSES[_known(item.get("class"), _CLASSES, "class")]
    count = item.get("count", 1)
    if not isinstance(count, int) or isinstance(count, bool) or count < 1:
        raise RequestError(f"count must be a whole number from 1 on, not {count!r}.")
    colour = item.get("color")
    if colour is not None:
        colour = _known(colour, COLOURS, "color")
    position = item.get("position")
    if position is not None:
        relation, other = position
        position = (_known(relation, POSITIONS, "position"), int(other))
    return Wanted(concept=concept, count=count, colour=colour, position=position)


def _entry(item: Wanted) -> dict[str, Any]:
    entry: dict[str, Any] = {"class": item.concept, "count": item.count}
    if item.colour is not None:
        entry["color"] = item.colour
    if item.position is not None:
        entry["position"] = list(item.position)
    return entry


def _known_keys(data: Mapping[str, Any], known: tuple[str, ...]) -> None:
    for key in data:
        if key not in known:
            raise RequestError(f"unknown key {key!r}; known: {', '.join(known)}.")


def _known(value: Any, known: Collection[str], what: str) -> str:
    """``value`` in lower case, if it is known."""
    if isinstance(value, str) and value.lower() in known:
        return value.lower()
    near = difflib.get_close_matches(str(value).lower(), known, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else "."
    raise RequestError(f"the judge knows no {what} {value!r}{hint}")
