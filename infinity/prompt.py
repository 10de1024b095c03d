"""Weights and changes inside a prompt, as other programs write them.

``a (red:1.4) car``: the model looks 1.4 times as much at "red". ``a [castle:watercolor:5]``: "castle" up to the
fourth scale, "watercolor" from the fifth on; a number below 1 is a share of the scales. Brackets that do not
have this form are plain text, and so are one behind a backslash and what may be a ratio or a time: ``(16:9)``.
"""

import re
from dataclasses import dataclass

from infinity.errors import RequestError, quoted

MOST_WEIGHT = 10.0

_NUMBER = r"\s*(\d+(?:\.\d+)?|\.\d+)\s*"
_PIECE = r"((?:\([^()]*\)|[^\[\]():])*)"
_CHANGE = re.compile(rf"(?<!\\)\[{_PIECE}:{_PIECE}:{_NUMBER}\]")
_WEIGHT = re.compile(rf"(?<!\\)\(([^():]+)(?<!\d):{_NUMBER}\)")
_ESCAPED = re.compile(r"\\([()\[\]])")


@dataclass(frozen=True)
class PromptPart:
    """What is read from a scale on.

    Attributes:
        first_scale: from 0.
        text: without any syntax.
        weights: (first character, character behind the last, weight) of weighted pieces of ``text``.
    """

    first_scale: int
    text: str
    weights: tuple[tuple[int, int, float], ...] = ()


def parse(prompt: str, num_scales: int) -> tuple[PromptPart, ...]:
    """A prompt's parts in the order of their scales; the first begins at 0.

    Raises:
        RequestError: a weight above ``MOST_WEIGHT``, or a scale that the model does not have.
    """
    firsts = {0, *(_first_scale(found[3], num_scales) for found in _CHANGE.finditer(prompt))}
    parts = []
    for first in sorted(firsts):
        text = _CHANGE.sub(
            lambda found, first=first: found[1 + (first >= _first_scale(found[3], num_scales))],
            prompt,
        )
        parts.append(_weighted(first, text))
    return tuple(parts)


def words(prompt: str) -> str:
    """All that a prompt names, at whatever scale, without any syntax."""
    return _weighted(0, _CHANGE.sub(r"\1 \2", prompt)).text


def _first_scale(number: str, num_scales: int) -> int:
    """``"5"`` -> 4; ``"0.5"`` -> half of the scales."""
    value = float(number)
    first = round(value * num_scales) if 0 < value < 1 else int(value) - 1
    if (value > 1 and value != int(value)) or not 0 <= first < num_scales:
        raise RequestError(
            f"The prompt changes at scale {quoted(number)}; this picture has scales 1 to {num_scales}. "
            "For plain brackets write \\[."
        )
    return first


def _weighted(first_scale: int, text: str) -> PromptPart:
    """Raises RequestError for a weight above ``MOST_WEIGHT``."""
    plain, weights, position = "", [], 0
    for found in _WEIGHT.finditer(text):
        weight = float(found[2])
        if weight > MOST_WEIGHT:
            raise RequestError(
                f"The prompt has the weight {quoted(found[2])}; weights go from 0 to {MOST_WEIGHT:g}. "
                "For plain brackets write \\(."
            )
        plain += _plain(text[position : found.start()])
        piece = _plain(found[1])
        weights.append((len(plain), len(plain) + len(piece), weight))
        plain += piece
        position = found.end()
    return PromptPart(first_scale, plain + _plain(text[position:]), tuple(weights))


def _plain(text: str) -> str:
    return _ESCAPED.sub(r"\1", text)
