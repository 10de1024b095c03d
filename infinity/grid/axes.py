"""One axis of a grid: a parameter of the request and the list of values a person typed for it.

Lists are separated by commas or lines. A value with a comma inside goes between double quotes, so
``"1,2,3"`` is one guidance that changes over the scales. Numbers may be ranges: ``1-5``, ``1-5 (+2)``
in steps of 2, ``1-10 [4]`` for four numbers evenly spread.
"""

import csv
import io
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Self

from infinity.errors import RequestError, quoted
from infinity.request import MAX_IMAGES, parse_per_scale

MAX_CELLS = MAX_IMAGES
MAX_LIST_CHARACTERS = 20_000
WORDS = "words"
STYLE = "style"
MODEL = "model"

_NUMBER = r"\d*\.?\d+"
_RANGE = re.compile(
    rf"(?P<low>{_NUMBER})\s*-\s*(?P<high>{_NUMBER})"
    rf"(?:\s*\(\s*\+?(?P<step>{_NUMBER})\s*\)|\s*\[\s*(?P<count>\d+)\s*\])?"
)

NUMBERS = (int, float, parse_per_scale)
"""What reads one value of a parameter whose list may have ranges."""

Value = str | int | float | tuple[int | float, ...]


@dataclass(frozen=True)
class Parameter:
    """What can stand on an axis: how it is called, how one value is read, and an example."""

    title: str
    read: Callable[[str], Value]
    example: str

    def refusal(self, reason: str) -> RequestError:
        return RequestError(f"{self.title}: {reason}; for example {self.example}.")


def parse_wholes(text: str) -> tuple[int, ...]:
    """``"0,-2"`` -> (0, -2). Raises ValueError."""
    return tuple(int(part) for part in text.split(","))


PARAMETERS: Mapping[str, Parameter] = {
    WORDS: Parameter("Prompt words", str, "red, blue, green"),
    "prompt": Parameter("Prompt", str, '"a cat, sitting", a dog'),
    "negative_prompt": Parameter("Negative prompt", str, "blurry, snow"),
    "seed": Parameter("Seed", int, "1-4"),
    "guidance": Parameter("Guidance", parse_per_scale, '1, 3, 5, "1,2,3"'),
    "temperature": Parameter("Temperature", parse_per_scale, "0.5-1 (+0.25)"),
    "confidence": Parameter("Confidence", parse_per_scale, '0.6-1 [5], "0.6,0.8"'),
    "top_p": Parameter("Top-p", float, "0.7-1 [4]"),
    "top_k": Parameter("Top-k", int, "0, 1"),
    "guided_scales": Parameter("Guided scales", int, "2-8 (+2)"),
    "pruning": Parameter("Token pruning", float, "0-0.6 (+0.2)"),
    "fp8_scales": Parameter("Scales in fp8", int, "0-3"),
    "guidance_layers": Parameter("Guidance layers", parse_wholes, '0, -1, "0,-2"'),
    STYLE: Parameter("Style", str, '"", watercolour, pencil sketch'),
    "aspect_ratio": Parameter("Aspect ratio", str, "1:1, 3:2"),
    MODEL: Parameter("Model", str, "default, infinity-2b"),
}
"""By the name of the request's field; prompt words, style (a phrase that ends the prompt) and model
are no fields of it."""


@dataclass(frozen=True, kw_only=True)
class Axis:
    """A parameter and its values, one a column (or a row).

    Of prompt words the first value is what is looked for in the prompts; every value, the first
    too, takes its place in turn.

    Raises:
        RequestError: on construction: no such parameter, no values, too many, or one twice.
    """

    parameter: str
    values: tuple[Value, ...]

    def __post_init__(self) -> None:
        kind = _known(self.parameter)
        if not self.values:
            raise kind.refusal("the list is empty")
        if len(self.values) > MAX_CELLS:
            raise _too_many(kind, len(self.values))
        for position, value in enumerate(self.values):
            if value in self.values[:position]:
                raise RequestError(f"{kind.title}: {show(value)} is in the list twice; keep one.")
        if self.parameter == WORDS and not self.values[0]:
            raise kind.refusal("the first word is the one to replace")

    def label(self, position: int) -> str:
        """The label of a column: ``Guidance 3``; for prompts, the text alone."""
        text = show(self.values[position])
        if self.parameter in (WORDS, STYLE, "prompt"):
            return text or "(nothing)"
        return f"{PARAMETERS[self.parameter].title} {text or '(nothing)'}"

    @property
    def text(self) -> str:
        """The list as a person would type it: ``parse(parameter, text)`` gives this axis."""
        return ", ".join(_quoted(show(value)) for value in self.values)

    @classmethod
    def parse(cls, parameter: str, text: str) -> Self:
        """An axis from what was typed. Raises RequestError, with a sentence about the list."""
        return cls(parameter=parameter, values=tuple(_read(_known(parameter), text)))

    @classmethod
    def from_dict(cls, data: object) -> Self:
        """Raises RequestError."""
        if not isinstance(data, dict) or not isinstance(data.get("values"), list):
            raise RequestError("The grid's recipe is damaged: an axis has no list of values.")
        values = tuple(tuple(v) if isinstance(v, list) else v for v in data["values"])
        if not all(isinstance(v, str | int | float | tuple) for v in values):
            raise RequestError("The grid's recipe is damaged: a value is neither text nor number.")
        return cls(parameter=str(data.get("parameter")), values=values)


def show(value: Value) -> str:
    """``3.0`` -> "3", ``(1.0, 2.5)`` -> "1,2.5"."""
    if isinstance(value, tuple):
        return ",".join(map(show, value))
    if isinstance(value, float) and abs(value) < 1e15 and value == int(value):
        return str(int(value))
    return str(value)


def _known(parameter: object) -> Parameter:
    if not isinstance(parameter, str) or parameter not in PARAMETERS:
        raise RequestError(
            f"A grid cannot vary {quoted(parameter)}; choose one of {', '.join(PARAMETERS)}."
        )
    return PARAMETERS[parameter]


def _read(kind: Parameter, text: str) -> Iterator[Value]:
    for item in _split(kind.title, text):
        spread = _RANGE.fullmatch(item) if kind.read in NUMBERS else None
        for part in (item,) if spread is None else _spread(kind, spread):
            if not part and kind.read is not str:
                raise kind.refusal("there is an empty place in the list")
            try:
                yield kind.read(part)
            except (ValueError, RequestError) as error:
                raise kind.refusal(f"{part[:40]!r} is not a value it can take") from error


def _split(title: str, text: str) -> list[str]:
    if not isinstance(text, str):
        raise RequestError(f"{title}: the list must be text, not {quoted(text)}.")
    if len(text) > MAX_LIST_CHARACTERS:
        raise RequestError(
            f"{title}: the list has {len(text):,} characters; shorten it to at most "
            f"{MAX_LIST_CHARACTERS:,}."
        )
    lines = io.StringIO(text.strip(), newline="")
    try:
        rows = list(csv.reader(lines, skipinitialspace=True, strict=True))
    except csv.Error as error:
        raise RequestError(
            f'{title}: the quotes in the list do not match; write "like, this" for a value with '
            "a comma."
        ) from error
    return [item.strip() for row in rows for item in row]


def _spread(kind: Parameter, match: re.Match[str]) -> list[str]:
    """The numbers of a range, its ends included."""
    title, low, high = kind.title, Decimal(match["low"]), Decimal(match["high"])
    if low > high:
        raise RequestError(f"{title}: the range {match[0]} runs backwards; put the smaller first.")
    if match["count"]:
        count = int(match["count"][:9])
        if count < 2:
            raise RequestError(f"{title}: {match[0]} asks for {count}; ask for 2 or more.")
        digits = Decimal(1) if kind.read is int else Decimal("0.0001")
        numbers = ((low + (high - low) * i / (count - 1)).quantize(digits) for i in range(count))
    else:
        step = Decimal(match["step"] or 1)
        if step == 0:
            raise RequestError(f"{title}: the range {match[0]} has no step; write (+1), say.")
        count = int((high - low) / step) + 1
        numbers = (low + i * step for i in range(count))
    if count > MAX_CELLS:
        raise _too_many(kind, count)
    return [f"{number:f}" for number in numbers]


def _too_many(kind: Parameter, count: int) -> RequestError:
    return RequestError(
        f"{kind.title}: {count:,} values are too many; a grid has at most {MAX_CELLS} pictures."
    )


def _quoted(text: str) -> str:
    if not text or re.search(r'[",\r\n]', text) or text != text.strip():
        return '"' + text.replace('"', '""') + '"'
    return text
