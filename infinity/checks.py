"""Frozen dataclasses that validate their fields against annotated types when they are made.

``width: Annotated[int, whole(1, 100)]`` is all that a class declares. pydantic validates it, and a wrong
value raises an error of one sentence.
"""

from collections.abc import Mapping
from dataclasses import MISSING, asdict, fields
from functools import cache
from typing import Annotated, Any, ClassVar, Self, get_args, get_origin, get_type_hints

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, create_model
from pydantic.fields import FieldInfo

from infinity.errors import CheckpointError, InfinityError, quoted, suggestion

MOST, MOST_BLOCKS = 1_000_000, 1000
"""No sizes beyond these are ever meant: a file that has them is refused before anything is built."""


def whole(low: int, high: int = MOST) -> Any:
    """The range of an ``int``, ends included."""
    return Field(ge=low, le=high, description=f"a whole number from {low} to {high}")


def text(most: int | None = None) -> Any:
    return Field(max_length=most, description="text")


Size = Annotated[int, whole(1)]
Blocks = Annotated[int, whole(1, MOST_BLOCKS)]
WholeFloats = BeforeValidator(
    lambda value: int(value) if isinstance(value, float) and value.is_integer() else value
)
"""For an ``int`` that may come as 7.0, as pages and JSON have it."""
Lists = BeforeValidator(lambda value: tuple(value) if isinstance(value, list) else value)
"""For a ``tuple`` that may come as a list."""


class Checked:
    """Base of frozen dataclasses whose values are checked when one is made.

    Attributes:
        refusal: the error that a wrong value raises.
        called: what it is called in messages; "" for the class's own name.
    """

    refusal: ClassVar[type[InfinityError]] = CheckpointError
    called: ClassVar[str] = ""

    def __post_init__(self) -> None:
        given = {field.name: getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type]
        try:
            checked = _model(type(self)).model_validate(given)
        except ValidationError as error:
            detail = error.errors(include_url=False)[0]
            name = str(detail["loc"][0])
            wanted = _description(get_type_hints(type(self), include_extras=True)[name])
            wanted = wanted or detail["msg"].removeprefix("Input should be ")
            place = f"{self._called()}: " if self.refusal is CheckpointError else ""
            raise self.refusal(
                f"{place}{name} must be {wanted}, not {quoted(given[name])}."
            ) from error
        for name in given:
            object.__setattr__(self, name, getattr(checked, name))

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)  # type: ignore[call-overload]

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """An object from what JSON or TOML has of it; the parts that are objects too likewise.

        Raises:
            InfinityError: ``refusal``, on unknown (naming the nearest), missing and wrong entries.
        """
        known = {field.name: field for field in fields(cls)}  # type: ignore[arg-type]
        for key in data:
            if key not in known:
                raise cls.refusal(
                    f"{cls._called()} has no setting {quoted(key)}{suggestion(str(key), known)}"
                )
        for name, field in known.items():
            if name not in data and field.default is MISSING and field.default_factory is MISSING:
                raise cls.refusal(f"{cls._called()} is incomplete: it has no {name!r}.")
        hints = get_type_hints(cls)
        return cls(**{name: _read(hints[name], value) for name, value in data.items()})

    @classmethod
    def _called(cls) -> str:
        return cls.called or cls.__name__


def _read(hint: Any, value: Any) -> Any:
    kinds = [kind for kind in (hint, *get_args(hint)) if isinstance(kind, type)]
    part = next((kind for kind in kinds if issubclass(kind, Checked)), None)
    if part is not None and isinstance(value, Mapping):
        return part.from_dict(value)
    if isinstance(value, Mapping):
        return {key: tuple(one) if isinstance(one, list) else one for key, one in value.items()}
    return tuple(value) if isinstance(value, list) else value


def _description(hint: Any) -> str:
    """The description in an annotation, also of a type that may be None."""
    parts = () if get_origin(hint) is tuple else get_args(hint)
    own = (part.description for part in parts if isinstance(part, FieldInfo) and part.description)
    return next(own, "") or next(filter(None, map(_description, parts)), "")


@cache
def _model(cls: type) -> type[BaseModel]:
    hints = get_type_hints(cls, include_extras=True)
    config = ConfigDict(strict=True, allow_inf_nan=False, arbitrary_types_allowed=True)
    members: Any = {field.name: (hints[field.name], ...) for field in fields(cls)}
    return create_model(cls.__name__, __config__=config, **members)
