"""Which fields of a record hold the picture and its captions, in every format that has fields."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from training.config.settings import DataSettings
from training.data.captions import NO_CAPTION, Captions
from training.data.errors import DataError

PICTURE_FIELDS = (
    "image_path", "image", "file_name", "filename", "file", "path", "img_path", "img", "filepath",
    "image_file", "picture", "jpg", "png", "webp", "jpeg",
)  # fmt: skip
LONG_FIELDS = ("long_caption", "caption", "captions", "prompt", "description", "text", "txt")
SHORT_FIELDS = ("short_caption", "text", "short_text")

_LONGEST_CAPTION = 100_000


@dataclass(frozen=True, kw_only=True)
class Fields:
    """Names of a source's fields."""

    picture: str
    long: str
    short: str | None
    needed: bool = True

    def captions(self, record: Mapping[str, Any]) -> Captions | None:
        """A record's captions, upstream's kind if it says who wrote them.

        None where all are empty, but they are needed.
        """
        kind = record.get("long_caption_type")
        by_sentences = isinstance(kind, str) and kind != "user_prompt"
        long = texts_of(record.get(self.long))
        short = texts_of(record.get(self.short)) if self.short is not None else ()
        if long or short:
            return Captions(long=long, short=short, by_sentences=by_sentences)
        return None if self.needed else NO_CAPTION


def find_fields(names: Iterable[str], settings: DataSettings, source: str) -> Fields:
    """The fields to use of a source with these names.

    Raises:
        DataError: a field that settings name is not there, or none looks like picture or caption.
    """
    known = tuple(names)
    picture = _field(known, settings.image_field, PICTURE_FIELDS, "image", source)
    if settings.captions or settings.caption_field is not None or set(LONG_FIELDS) & set(known):
        long = _field(known, settings.caption_field, LONG_FIELDS, "caption", source)
    else:
        long = ""
    wanted = settings.short_caption_field
    if wanted is not None:
        short = _field(known, wanted, (), "short_caption", source)
    else:
        short = next((name for name in SHORT_FIELDS if name in known and name != long), None)
    return Fields(picture=picture, long=long, short=short, needed=settings.captions)


def _field(
    known: tuple[str, ...], wanted: str | None, usual: tuple[str, ...], what: str, source: str
) -> str:
    if wanted is not None:
        if wanted in known:
            return wanted
        near = difflib.get_close_matches(wanted, known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(known)}."
        raise DataError(f"{source} has no field {wanted!r} (data.{what}_field); {hint}")
    for name in usual:
        if name in known:
            return name
    raise DataError(
        f"{source} has no field that looks like the {what}; name it with data.{what}_field: it has "
        f"{', '.join(map(repr, known[:20])) or 'none'}."
    )


def texts_of(value: Any) -> tuple[str, ...]:
    """One caption or a list of them -> those with something in them, without outer blanks."""
    values = value if isinstance(value, list | tuple) else (value,)
    texts = (text.strip()[:_LONGEST_CAPTION] for text in values if isinstance(text, str))
    return tuple(text for text in texts if text)
