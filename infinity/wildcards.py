"""Wildcards: a prompt such as ``a {red|blue} car`` expands to several prompts; the picture's seed picks one.

``{a|b|c}`` is one of its options, which may hold further groups; ``{2$$a|b|c}`` is two different
ones with a comma between. ``\\{``, ``\\}`` and, inside a group, ``\\|`` are the plain characters.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass

from infinity.errors import RequestError

MOST_NESTED = 20
JOINT = ", "

_COUNT = re.compile(r"(\d+)\$\$")


@dataclass(frozen=True)
class _Group:
    """``count`` of ``options``, or one of them and no more if None."""

    options: tuple[_Text, ...]
    count: int | None


_Text = tuple["str | _Group", ...]


def expand(template: str, seed: int) -> str:
    """Expand ``template`` for a seed; deterministic.

    A template without groups is its own text; where groups are filled in, runs of spaces become one.

    Raises:
        RequestError: a brace without its partner, a count that its options cannot meet, or groups
            nested too deep.
    """
    text, position = _parse_text(template, 0, 0)
    if position < len(template):
        raise RequestError(
            "The prompt has a } without its {; add one, or write \\} for the character itself."
        )
    if all(isinstance(part, str) for part in text):
        return "".join(map(str, text))
    return re.sub(r" {2,}", " ", _fill(text, random.Random(seed))).strip()


def escape(text: str) -> str:
    """The template that expands to exactly ``text`` for every seed."""
    return re.sub(r"([{}])", r"\\\1", text)


def _fill(text: _Text, source: random.Random) -> str:
    parts = []
    for part in text:
        if isinstance(part, str):
            parts.append(part)
            continue
        left = list(part.options)
        chosen = [left.pop(_draw(len(left), source)) for _ in range(part.count or 1)]
        filled = [_fill(option, source) for option in chosen]
        parts.append(JOINT.join(map(str.strip, filled)) if part.count else filled[0])
    return "".join(parts)


def _draw(count: int, source: random.Random) -> int:
    """0 to ``count`` - 1. From ``random()``, the one method whose numbers Python promises to keep."""
    return int(source.random() * count)


def _parse_text(template: str, position: int, depth: int) -> tuple[_Text, int]:
    """Up to the end, or to a ``}`` or, inside a group, a ``|`` that belongs to the caller."""
    plain, ends = (r"{}|", "}|") if depth else (r"{}", "}")
    parts: list[str | _Group] = []
    while position < len(template) and template[position] not in ends:
        character = template[position]
        if character == "{":
            group, position = _parse_group(template, position + 1, depth + 1)
            parts.append(group)
            continue
        if character == "\\" and position + 1 < len(template) and template[position + 1] in plain:
            position += 1
            character = template[position]
        parts.append(character)
        position += 1
    return tuple(parts), position


def _parse_group(template: str, position: int, depth: int) -> tuple[_Group, int]:
    """From behind a ``{`` to behind its ``}``."""
    if depth > MOST_NESTED:
        raise RequestError(
            f"The prompt's braces are nested more than {MOST_NESTED} deep; simplify them."
        )
    counted = _COUNT.match(template, position)
    position = counted.end() if counted else position
    options: list[_Text] = []
    while not options or template[position - 1] == "|":
        option, position = _parse_text(template, position, depth)
        options.append(option)
        if position == len(template):
            raise RequestError(
                "The prompt has a { without its }; close it, or write \\{ for the character itself."
            )
        position += 1
    count = int(counted[1][:9]) if counted else None
    if count is not None and not 1 <= count <= len(options):
        raise RequestError(
            f"The prompt asks for {count} of {len(options)} options in {{{count}$$…}}; ask for 1 to "
            f"{len(options)}."
        )
    return _Group(tuple(options), count), position
