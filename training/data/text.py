"""Text from files: its encoding, found by the byte-order mark, and characters that cannot be text."""

import codecs
import re

from training.data.errors import RecordError

_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"), (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"),
)  # fmt: skip
"""UTF-32's begins with UTF-16's, so it comes first."""

_CONTROLS = re.compile("[\0-\x1f\x7f\u2028\u2029]")
_NO_TEXT = re.compile("[\0\ud800-\udfff]")


class TextError(RecordError):
    """A text is in no known encoding, or holds zero bytes or surrogates."""

    def __init__(self, detail: str) -> None:
        super().__init__("unreadable text", detail)


def encoding_of(head: bytes) -> str:
    """The encoding that the first bytes of a file name; UTF-8 without a mark."""
    return next((name for mark, name in _MARKS if head.startswith(mark)), "utf-8")


def decoded(data: bytes, name: str, limit: int) -> str:
    """The first ``limit`` bytes of a file's content as text.

    Raises:
        TextError: not in the encoding of its byte-order mark, without one not in UTF-8.
    """
    encoding = encoding_of(data)
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        return readable(decoder.decode(data[:limit], final=len(data) <= limit), name)
    except UnicodeDecodeError as error:
        label = encoding.removesuffix("-sig").upper()
        raise TextError(f"{name} is not text in {label}; save it as UTF-8.") from error


def readable(text: str, name: str) -> str:
    """A text as it is.

    Raises:
        TextError: it holds zero bytes, or surrogates, which stand for bytes that are no UTF-8.
    """
    if _NO_TEXT.search(text):
        raise TextError(f"{name} holds bytes that are no text; save it as UTF-8.")
    return text


def printable(text: str) -> str:
    """A name as it can be written anywhere, on one line: bytes that are no UTF-8 as ``\\x..``, whatever
    the locale."""
    try:
        data = text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # surrogates that stand for no byte
        data = text.encode("utf-8", "backslashreplace")
    shown = data.decode("utf-8", "backslashreplace")
    return _CONTROLS.sub(lambda match: match[0].encode("unicode_escape").decode(), shown)
