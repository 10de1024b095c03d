"""What a grid is made of: a base request, one or two axes, and the request of every cell.

A cell's picture is exactly the one its request gives alone: the plan only decides which requests are
drawn, and in which order. The plan is also the recipe inside the finished PNG.
"""

import json
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, replace
from itertools import groupby, product
from typing import Any, Self

from PIL import Image

from infinity.errors import RequestError
from infinity.events import Event
from infinity.generation.sampling import check_layers
from infinity.grid.axes import MAX_CELLS, MODEL, PARAMETERS, STYLE, WORDS, Axis
from infinity.pipeline import InfinityPipeline
from infinity.request import GenerationRequest, read_recipe
from infinity.spec import ModelSpec
from infinity.version import __version__
from infinity.world.vocabulary import styled

KEY = "infinity-grid"
"""Key of the recipe in the PNG's text, and in ``Image.info`` in memory."""


@dataclass(frozen=True)
class Cell:
    """One picture of the grid: its place, and what draws it."""

    row: int
    column: int
    model: str
    request: GenerationRequest


@dataclass(frozen=True, kw_only=True)
class GridPlan:
    """A base request varied along ``x`` (columns) and, where there is one, ``y`` (rows).

    Args:
        model: for all cells, unless an axis names models.
        request: its number of pictures is taken as one.

    Raises:
        RequestError: on construction: too many cells, axes that contradict each other, words that
            are not in the prompts, a value out of range.
    """

    model: str
    request: GenerationRequest
    x: Axis
    y: Axis | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "request", replace(self.request, num_images=1))
        rows, columns = self.shape
        if rows * columns > MAX_CELLS:
            raise RequestError(
                f"{columns} × {rows} are {rows * columns} pictures; a grid has at most {MAX_CELLS}, "
                "so shorten a list."
            )
        if self.y is not None and self.x.parameter == self.y.parameter != WORDS:
            title = PARAMETERS[self.x.parameter].title.lower()
            raise RequestError(f"Both axes vary {title}; choose another parameter for one.")
        self._check_words()
        self.cells()

    @property
    def axes(self) -> tuple[Axis, ...]:
        return (self.x,) if self.y is None else (self.x, self.y)

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns)."""
        return (len(self.y.values) if self.y is not None else 1), len(self.x.values)

    def cells(self) -> tuple[Cell, ...]:
        """All cells in the order they are drawn: row by row, one model after the other."""
        cells = [self._cell(row, column) for row, column in product(*map(range, self.shape))]
        models = list(dict.fromkeys(cell.model for cell in cells))
        return tuple(sorted(cells, key=lambda cell: models.index(cell.model)))

    def check(self, spec_of: Callable[[str], ModelSpec]) -> None:
        """Before anything is loaded: raises RequestError where a cell's model is unknown, or lacks the
        aspect ratio or the layer."""
        for cell in self.cells():
            spec = spec_of(cell.model)
            spec.schedule(cell.request.aspect_ratio)
            check_layers(cell.request.sampling(spec.sampling), spec.transformer.depth)

    def to_json(self) -> str:
        data = {
            "model": self.model,
            "request": self.request.to_dict(),
            "x": asdict(self.x),
            "y": None if self.y is None else asdict(self.y),
            "versions": {"infinity": __version__},
        }
        return json.dumps(data, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Raises RequestError, saying what is wrong with the recipe."""
        data, model, request = read_recipe(text, "The grid's recipe")
        x, y = Axis.from_dict(data.get("x")), data.get("y")
        return cls(model=model, request=request, x=x, y=None if y is None else Axis.from_dict(y))

    def _cell(self, row: int, column: int) -> Cell:
        named: dict[str, Any] = {}
        words: dict[str, str] = {}
        for axis, position in zip(self.axes, (column, row), strict=False):
            if axis.parameter == WORDS:
                words[str(axis.values[0])] = str(axis.values[position])
            else:
                named[axis.parameter] = axis.values[position]
        model, style = str(named.pop(MODEL, self.model)), str(named.pop(STYLE, ""))
        request = replace(self.request, **named)
        prompts = (_reworded(text, words) for text in (request.prompt, request.negative_prompt))
        prompt, negative_prompt = prompts
        request = replace(request, prompt=styled(prompt, style), negative_prompt=negative_prompt)
        return Cell(row, column, model, request)

    def _check_words(self) -> None:
        """Every searched word is in some cell's prompts, and no two searches overlap."""
        searched = [str(axis.values[0]) for axis in self.axes if axis.parameter == WORDS]
        prompts = [self.request.prompt, self.request.negative_prompt]
        for axis in self.axes:
            if axis.parameter in ("prompt", "negative_prompt"):
                prompts += [str(value) for value in axis.values]
        for word in searched:
            if not any(word in prompt for prompt in prompts):
                raise RequestError(
                    f"Prompt words: “{word[:60]}” is not in the prompt; the first word of the list "
                    "is the one that the others replace."
                )
        if len(searched) == 2 and (searched[0] in searched[1] or searched[1] in searched[0]):
            raise RequestError(
                f"Both axes replace “{min(searched, key=len)[:60]}”; choose words that do not "
                "overlap."
            )


def draw_cells(
    pipeline: InfinityPipeline, cells: Iterable[Cell], cancel: threading.Event
) -> Iterator[tuple[Cell, Event]]:
    """Draw cells of one model one after another, until ``cancel`` is set. Raises as ``stream``."""
    for cell in cells:
        if cancel.is_set():
            return
        for event in pipeline.stream(cell.request, cancel=cancel, previews="off"):
            yield cell, event


def draw_plan(
    plan: GridPlan,
    pipeline_of: Callable[[str], InfinityPipeline],
    cancel: threading.Event,
    turn: Callable[[threading.Event], AbstractContextManager[Any]] = nullcontext,
) -> Iterator[tuple[Cell, Event]]:
    """Draw every cell, one model after the other; a ``Cancelled`` event is the last.

    Args:
        pipeline_of: loads a model, by its name.
        turn: entered, once a model is loaded, for as long as its cells are drawn.

    Raises:
        InfinityError: as ``pipeline_of`` and ``InfinityPipeline.stream``.
    """
    for model, cells in by_model(plan):
        pipeline = pipeline_of(model)
        with turn(cancel):
            yield from draw_cells(pipeline, cells, cancel)
        if cancel.is_set():
            return
        del pipeline  # not kept in memory for as long as the next one loads


def read_plan(image: Image.Image) -> GridPlan | None:
    """The recipe of a grid's PNG; None where a picture carries none. Raises RequestError."""
    text = image.info.get(KEY)
    return GridPlan.from_json(text) if isinstance(text, str) else None


def by_model(plan: GridPlan) -> Iterator[tuple[str, Iterator[Cell]]]:
    """The models that draw a plan, one after the other, each with its cells."""
    return groupby(plan.cells(), key=lambda cell: cell.model)


def _reworded(text: str, words: Mapping[str, str]) -> str:
    """All words replaced at once, so that no replacement is replaced again."""
    if not words:
        return text
    pattern = "|".join(map(re.escape, words))
    return re.sub(pattern, lambda match: words[match[0]], text)
