"""Exam prompts in GenEval's metadata form (Ghosh et al., 2023), one JSON object a line.

Keys: ``tag`` (the category), ``prompt``, ``include``: objects that must be seen, each with ``class``
and optionally ``count`` (1), ``color`` and ``position`` (``["left of", 0]``: left of the first
entry's object; ``["between", 0]``: between those of the first and the second); optional ``exclude``,
which must not be seen in that number; and of our own ``style``, ``scene`` (a place, a color for a plain
background, or two: "red to blue"), of objects ``size``, ``spot`` and ``facing``, the picture's
``ratio`` and ``unseen`` (what training never showed). Other keys, such as a number of the prompt, are
passed over.

The shipped exam has GenEval's six categories and more, in this world's things. Its wordings are not
those of the training captions; half of the pairs and colors were never shown in training.
"""

from collections.abc import Mapping
from itertools import permutations
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictInt, ValidationError
from pydantic import model_validator as check

from infinity.errors import RequestError, nearest
from infinity.world.scene import RELATIONS, Facing, Size, Spot
from training.world.captions import STYLE_ENDINGS, STYLE_OPENINGS
from training.world.color import BACKGROUNDS, HUES
from training.world.concepts import CONCEPTS, STYLES, plural_of
from training.world.places import PLACES

EXAM = Path(__file__).parent.parent / "prompts" / "exam_v4.jsonl"
FIRST_EXAM = EXAM.with_name("exam.jsonl")
"""Of the world of version 3."""
POSITIONS = tuple(relation for relation in RELATIONS if relation != "and")
COLORS = tuple(
    dict.fromkeys((*HUES, *(c.natural for c in CONCEPTS.values() if c.natural is not None)))
)
CLASSES = {
    word.lower(): concept.name
    for concept in CONCEPTS.values()
    for noun in (concept.name, *concept.synonyms)
    for word in (plural_of(noun), noun)
}
SCENE_PHRASES = {
    **{phrase: name for name, place in PLACES.items() for phrase in (*place.phrases, name)},
    **{f"{color}{ending}": color for color in BACKGROUNDS for ending in ("", " background")},
}
GRADIENTS = {" to ".join(pair): " to ".join(pair) for pair in permutations(BACKGROUNDS, 2)}
STYLE_PHRASES = {
    phrase: style
    for style in STYLES
    for phrase in (style, *STYLE_ENDINGS[style], *STYLE_OPENINGS[style])
}


class UnknownToJudgeError(RequestError):
    """A prompt about a thing, color, style or scene that the judge does not know."""


def _known(what: str, names: Mapping[str, str]) -> BeforeValidator:
    """Any of ``names`` in any case -> what the judge calls it.

    Raises:
        UnknownToJudgeError: none of them (pydantic lets it through).
    """

    def find(value: Any) -> str:
        name = str(value).strip().lower()
        if name not in names:
            near = nearest(name, names)
            hint = f"; did you mean {near!r}?" if near else "."
            raise UnknownToJudgeError(f"the judge knows no {what} {value!r}{hint}")
        return names[name]

    return BeforeValidator(lambda value: find(value) if value else None)


Text = Annotated[str, Field(pattern=r"\S")]
Position = Annotated[str, _known("position", {name: name for name in POSITIONS})]


class Wanted(BaseModel):
    """One entry of ``include`` or ``exclude``; ``position`` is (relation, index of the other)."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    concept: Annotated[str, _known("class", CLASSES)] = Field(validation_alias="class")
    count: StrictInt = Field(default=1, ge=1)
    color: Annotated[str | None, _known("color", {name: name for name in COLORS})] = None
    position: tuple[Position, StrictInt] | None = None
    size: Size | None = None
    spot: Spot | None = None
    facing: Facing | None = None


class ExamPrompt(BaseModel):
    """One question and its answer."""

    model_config = ConfigDict(frozen=True)

    tag: Text
    include: Annotated[tuple[Wanted, ...], BeforeValidator(lambda value: value or ())] = ()
    exclude: Annotated[tuple[Wanted, ...], BeforeValidator(lambda value: value or ())] = ()
    style: Annotated[str | None, _known("style", STYLE_PHRASES)] = None
    scene: Annotated[str | None, _known("scene", SCENE_PHRASES | GRADIENTS)] = None
    ratio: str = "1:1"
    unseen: tuple[str, ...] = ()
    prompt: Text

    @check(mode="before")
    @classmethod
    def _no_misspelled_keys(cls, data: Any) -> Any:
        for key in data if isinstance(data, dict) else ():
            near = nearest(key, cls.model_fields, cutoff=0.75)
            if key not in cls.model_fields and near:
                raise ValueError(f"unknown key {key!r}; did you mean {near!r}?")
        return data

    @check(mode="after")
    def _has_an_answer(self) -> Self:
        for place, item in enumerate(self.include):
            if item.position is None:
                continue
            relation, other = item.position
            if not 0 <= other < place - (relation == "between"):
                raise ValueError(f"position refers to object {other}: name one listed before it")
        if not (self.include or self.style or self.scene or self.exclude):
            raise ValueError("an exam prompt needs an answer: include, exclude, style or scene")
        return self


def read_prompts(path: Path) -> tuple[list[ExamPrompt], list[str]]:
    """The prompts that the judge can mark, and a sentence for each that it cannot.

    Raises:
        RequestError: the file is missing, a line is not a prompt (names the line), or the judge can
            mark none.
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
            prompts.append(ExamPrompt.model_validate_json(line))
        except UnknownToJudgeError as error:
            unknown.append(f"line {number}: {error}")
        except ValidationError as error:
            first = error.errors()[0]
            where = "".join(f"{part}: " for part in first["loc"])
            raise RequestError(f"{path}, line {number}: {where}{first['msg']}.") from error
    if not prompts:
        why = f"; {unknown[0]}" if unknown else "."
        raise RequestError(f"{path} holds no prompts that the judge can mark{why}")
    return prompts, unknown
