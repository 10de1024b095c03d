"""Captions: which fields and files of a picture hold them, in any encoding, and which of them a sample is
trained with."""

import codecs
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from infinity.errors import suggestion
from training.config.settings import DataSettings
from training.data.errors import DataError, RecordError, printable

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
BESIDE = (*TEXT_SUFFIXES, SHORT_SUFFIX, RECORD_SUFFIX)
"""Of all files that may say what the picture of their name shows."""
LONGEST_TEXT = 1_000_000
"""Bytes that are read of a caption or a record."""

_LONGEST_CAPTION = 100_000
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"), (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"),
)  # fmt: skip
"""UTF-32's begins with UTF-16's, so it comes first."""
_NO_TEXT = re.compile("[\0\ud800-\udfff]")
_SIDES = re.compile(
    r"\b(left|right|(anti|counter)?-?clockwise|links|rechts|gauche|droite?|izquierd[ao]|derech[ao]|"
    r"sinistr[ao]|destr[ao]|esquerd[ao]|direit[ao])\w*\b|[左右]|лев|прав",
    re.IGNORECASE,
)
_LONG_SENTENCE = 15  # words; one such sentence says enough for a short caption, else it takes two


@dataclass(frozen=True, kw_only=True)
class Captions:
    """The texts of one picture.

    Attributes:
        long, short: alternatives of each kind, none of them empty; at least one in all.
        by_sentences: a long caption may be cut to its leading sentences, and to one or two of them
            where no short caption is given (upstream's layout, for captions that models wrote).
    """

    long: tuple[str, ...]
    short: tuple[str, ...] = ()
    by_sentences: bool = False

    @property
    def all(self) -> tuple[str, ...]:
        return self.long + self.short


NO_CAPTION = Captions(long=("",))
"""Of a picture that is used without one."""


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
        captions = Captions(long=long, short=short, by_sentences=by_sentences)
        return required(captions, self.needed, where)


def required(captions: Captions, needed: bool, detail: str) -> Captions:
    """Captions where there are any; raises RecordError where there are none but they are ``needed``."""
    if captions.all:
        return captions
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
    long = ""
    if settings.captions or settings.caption_field is not None or set(LONG_FIELDS) & set(known):
        long = _field(known, settings.caption_field, LONG_FIELDS, "caption", source)
    short = next((name for name in SHORT_FIELDS if name in known and name != long), None)
    if settings.short_caption_field is not None:
        short = _field(known, settings.short_caption_field, (), "short_caption", source)
    return Fields(picture=picture, long=long, short=short, needed=settings.captions)


def _field(
    known: tuple[str, ...], wanted: str | None, usual: tuple[str, ...], what: str, source: str
) -> str:
    if wanted is not None:
        if wanted in known:
            return wanted
        hint = suggestion(wanted, known)
        raise DataError(f"{source} has no field {wanted!r} (data.{what}_field){hint}")
    named = [name for name in known if what == "image" and name.endswith("_file_name")]
    found = [name for name in usual if name in known]
    if found or len(named) == 1:  # the latter as Hugging Face's picture folders may call it
        return (found or named)[0]
    raise DataError(
        f"{source} has no field that looks like the {what}; name it with data.{what}_field: it has "
        f"{', '.join(map(repr, known[:20])) or 'none'}."
    )


def captions_beside(files: Mapping[str, bytes], settings: DataSettings, name: str) -> Captions:
    """A picture's captions from the files of its name: suffix -> content. The text files count, else
    the fields of the JSON file.

    Raises:
        RecordError: a file is in no known encoding, or all captions are empty where
            they are needed.
        DataError: the JSON file lacks a field that settings name.
    """

    def line(suffix: str) -> tuple[str, ...]:
        text = decoded(files.get(suffix, b""), f"{name}{suffix}")
        return texts_of(" ".join(text.split()), f"{name}{suffix}")

    long = next(filter(None, map(line, TEXT_SUFFIXES)), ())
    wanted = settings.caption_field
    if (not long or wanted is not None) and RECORD_SUFFIX in files:
        record = _object(decoded(files[RECORD_SUFFIX], f"{name}{RECORD_SUFFIX}"))
        if wanted is not None or set(record) & set(LONG_FIELDS):
            settings = settings.model_copy(update={"image_field": None})
            where = f"{printable(name)}{RECORD_SUFFIX}"
            return find_fields(("jpg", *record), settings, where).captions(record, where)
    detail = "the file with its caption is missing or empty"
    return required(Captions(long=long, short=line(SHORT_SUFFIX)), settings.captions, detail)


def _object(text: str) -> dict[str, Any]:
    try:
        record = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return record if isinstance(record, dict) else {}


def texts_of(value: Any, where: str) -> tuple[str, ...]:
    """One caption or a list of them -> those with something in them, without outer blanks.

    Raises:
        RecordError: zero bytes, or surrogates, which stand for bytes that are no UTF-8.
    """
    values = value if isinstance(value, list | tuple) else (value,)
    texts = [text.strip()[:_LONGEST_CAPTION] for text in values if isinstance(text, str)]
    if any(map(_NO_TEXT.search, texts)):
        detail = f"{where} holds bytes that are no text; save it as UTF-8."
        raise RecordError("unreadable text", detail)
    return tuple(filter(None, texts))


def encoding_of(head: bytes) -> str:
    """The encoding that the first bytes of a file name; UTF-8 without a mark."""
    return next((name for mark, name in _MARKS if head.startswith(mark)), "utf-8")


def decoded(data: bytes, name: str) -> str:
    """The first ``LONGEST_TEXT`` bytes of a file's content as text.

    Raises:
        RecordError: not in the encoding of its byte-order mark, without one not in UTF-8.
    """
    encoding = encoding_of(data)
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        return decoder.decode(data[:LONGEST_TEXT], final=len(data) <= LONGEST_TEXT)
    except UnicodeDecodeError as error:
        label = encoding.removesuffix("-sig").upper()
        detail = f"{name} is not text in {label}; save it as UTF-8."
        raise RecordError("unreadable text", detail) from error


def draw_caption(
    captions: Captions, short_probability: float, random: np.random.Generator
) -> tuple[int, str]:
    """One of the captions: its index in ``captions.all`` and the text to train with.

    Parity: upstream's rule of section 6 of its notes, tests/training/data/test_captions.py.
    """
    takes_short = bool(random.random() < short_probability)
    options = (captions.short if takes_short else captions.long) or captions.all
    choice = int(random.integers(len(options)))
    index = choice + (len(captions.long) if options is captions.short else 0)
    text = options[choice]
    if captions.by_sentences and index < len(captions.long):
        sentences, few = _sentences(text)
        if takes_short:
            text = ".".join(sentences[:few]) or text
        elif len(sentences) > few:
            text = ".".join(sentences[: int(random.integers(few + 1, len(sentences) + 1))])
    return index, text


def names_a_side(caption: str) -> bool:
    """Whether a caption may be wrong of the mirrored picture: it says left, right or the like."""
    return _SIDES.search(caption) is not None


def fixed(captions: Captions) -> Captions:
    """Captions that are not cut any more: each whole, and as short ones their first sentences."""
    if not captions.by_sentences or captions.short:
        return replace(captions, by_sentences=False)
    parts = [(text, *_sentences(text)) for text in captions.long]
    short = tuple(".".join(sentences[:few]) or text for text, sentences, few in parts)
    return Captions(long=captions.long, short=short)


def _sentences(text: str) -> tuple[list[str], int]:
    """A text's sentences, and how many of them make a short caption."""
    sentences = [sentence for sentence in text.split(".") if sentence]
    return sentences, 1 if sentences and len(sentences[0].split()) >= _LONG_SENTENCE else 2
