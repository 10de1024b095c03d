"""Sections of settings, and the kinds of values that they have beyond the plain ones."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
)

from infinity.console import expand_home
from infinity.schedule import ScaleSchedule


class Settings(BaseModel):
    """Frozen; unknown settings are errors."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        validate_default=True,
        allow_inf_nan=False,
        protected_namespaces=(),
    )


Share = Annotated[float, Field(ge=0, le=1)]
Below1 = Annotated[float, Field(ge=0, lt=1)]
Texts = Annotated[
    tuple[str, ...], BeforeValidator(lambda text: (text,) if isinstance(text, str) else text)
]
"""A list of texts; one alone may be written without brackets."""


def from_home(text: str) -> str:
    """A name or path with ~ for the home folder: no shell puts it into files and lists.

    Raises:
        ValueError: nobody is called that.
    """
    try:
        return expand_home(text)
    except argparse.ArgumentTypeError as error:
        raise ValueError(str(error)) from error


Place = Annotated[str, AfterValidator(from_home)]
Places = Annotated[
    tuple[Place, ...], BeforeValidator(lambda text: (text,) if isinstance(text, str) else text)
]
Folder = Annotated[Path, AfterValidator(lambda path: Path(from_home(str(path))))]
LoraTarget = Literal[
    "attention.qkv", "attention.output", "cross_attention.query", "cross_attention.key_value",
    "cross_attention.output", "feed_forward.up", "feed_forward.down",
]  # fmt: skip


def _schedule(value: Any) -> ScaleSchedule:
    """A schedule, its dict, or a plain list of [height, width]."""
    if isinstance(value, ScaleSchedule):
        return value
    try:
        if isinstance(value, Mapping):
            return ScaleSchedule.from_dict(dict(value))
        return ScaleSchedule([tuple(scale) for scale in value])
    except (TypeError, ValueError, KeyError, IndexError) as error:
        raise ValueError("a list of [height, width] in tokens, from coarse to fine") from error


Schedule = Annotated[
    ScaleSchedule, PlainValidator(_schedule), PlainSerializer(lambda schedule: schedule.to_dict())
]
