"""Which fields of a record hold the picture and its captions, in every format that has fields."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from infinity.errors import suggestion
from training.config.settings import DataSettings
from training.data.captions import NO_CAPTION, Captions
from training.data.errors import DataError, RecordError
from training.data.text import decoded, printable, readable

PICTURE_FIELDS = (
    "image_path", "image", "file_name", "filename", "file", "path", "img_path", "img", "filepath",
    "image_file", "picture", "jpg", "png", "webp", "jpeg",
)  # fmt: skip
LONG_FIELDS = ("long_caption", "caption", "captions", "prompt", "description", "text", "txt")
SHORT_FIELDS = ("short_caption", "text", "short_text")
TEXT_SUFFIXES = (".txt", ".caption", ".text", ".cls")
"""Of files that hold a picture's caption, the first that says something first."""
SHORT_SUFFIX = ".short.txt"
RECORD_SUFFIX = ".json"
LONGEST_TEXT = 1_000_000
"""Bytes that are read of a caption or a record."""

_LONGEST_CAPTION = 100_000


@dataclass(frozen=True, kw_only=True)
class Fields:
    """Names of a source's fields."""

    picture: str
    long: str
    short: str | None
    needed: bool = True

    def captions(self, record: Mapping[str, Any], where: str) -> Captions:
        """A record's captions, upstream's kind if it says who wrote them.

        Raises:
            RecordError: bytes that are no text, or all are empty where they are needed; ``where``
                says of which record.
        """
        kind = record.get("long_caption_type")
        by_sentences = isinstance(kind, str) and kind != "user_prompt"
        long = texts_of(record.get(self.long), where)
        short = texts_of(record.get(self.short), where) if self.short is not None else ()
        if long or short:
            return Captions(long=long, short=short, by_sentences=by_sentences)
        return no_caption(self.needed, where)


def no_caption(needed: bool, detail: str) -> Captions:
    """Of a picture without one; raises RecordError where captions are ``needed``."""
    if needed:
        raise RecordError("empty caption", detail)
    return NO_CAPTION


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
        hint = suggestion(wanted, known)
        raise DataError(f"{source} has no field {wanted!r} (data.{what}_field){hint}")
    for name in usual:
        if name in known:
            return name
    named = [name for name in known if what == "image" and name.endswith("_file_name")]
    if len(named) == 1:  # as Hugging Face's picture folders may call it
        return named[0]
    raise DataError(
        f"{source} has no field that looks like the {what}; name it with data.{what}_field: it has "
        f"{', '.join(map(repr, known[:20])) or 'none'}."
    )


def texts_of(value: Any, where: str) -> tuple[str, ...]:
    """One caption or a list of them -> those with something in them, without outer blanks.

    Raises:
        TextError: bytes that are no text.
    """
    values = value if isinstance(value, list | tuple) else (value,)
    texts = (text.strip()[:_LONGEST_CAPTION] for text in values if isinstance(text, str))
    return tuple(readable(text, where) for text in texts if text)


def captions_beside(files: Mapping[str, bytes], settings: DataSettings, name: str) -> Captions:
    """A picture's captions from the files of its name: suffix -> content. The text files count, else
    the fields of the JSON file.

    Raises:
        RecordError: a file is in no known encoding, or all captions are empty where
            they are needed.
        DataError: the JSON file lacks a field that settings name.
    """
    long: tuple[str, ...] = ()
    for suffix in TEXT_SUFFIXES:
        long = long or _line(files, suffix, name)
    short = _line(files, SHORT_SUFFIX, name)
    wanted = settings.caption_field
    if (not long or wanted is not None) and RECORD_SUFFIX in files:
        record = _object(decoded(files[RECORD_SUFFIX], f"{name}{RECORD_SUFFIX}", LONGEST_TEXT))
        if wanted is not None or set(record) & set(LONG_FIELDS):
            names: Iterable[str] = ("jpg", *record)
            settings = settings.model_copy(update={"image_field": None})
            where = f"{printable(name)}{RECORD_SUFFIX}"
            return find_fields(names, settings, where).captions(record, where)
    if long or short:
        return Captions(long=long, short=short)
    return no_caption(settings.captions, "the file with its caption is missing or empty")


def _line(files: Mapping[str, bytes], suffix: str, name: str) -> tuple[str, ...]:
    """A text file's lines, joined."""
    text = decoded(files.get(suffix, b""), f"{name}{suffix}", LONGEST_TEXT)
    return texts_of(" ".join(text.split()), f"{name}{suffix}")


def _object(text: str) -> dict[str, Any]:
    try:
        record = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return record if isinstance(record, dict) else {}
