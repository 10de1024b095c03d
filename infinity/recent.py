"""The bits of what was drawn lately, so that going on from a picture does not draw it again."""

import hashlib
import threading
from collections import OrderedDict

from infinity.events import Done
from infinity.metadata import KEY

MOST_BYTES = 16 * 2**20
"""Of all bits together: some 300 pictures of the released 2B, thousands of the default model."""


class RecentBits:
    """Holds at most ``most_bytes``; what was used longest ago goes first. Safe to use from any thread.

    A picture is known by its whole record, as its PNG has it: the same record draws the same bits.
    """

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self.most_bytes = most_bytes
        self._lock = threading.Lock()
        self._kept: OrderedDict[bytes, str] = OrderedDict()
        self._nbytes = 0

    def put(self, done: Done) -> None:
        """Keep the bits of finished pictures."""
        with self._lock:
            for image, bits in zip(done.images, done.bits, strict=False):
                key = _key(image.info[KEY])
                self._nbytes += len(bits) - len(self._kept.pop(key, ""))
                self._kept[key] = bits
            while self._nbytes > self.most_bytes:
                self._nbytes -= len(self._kept.popitem(last=False)[1])

    def get(self, record: str) -> str | None:
        """The bits (``infinity.packing``) of the picture with this record; None where they are not kept."""
        with self._lock:
            if (key := _key(record)) in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)


def _key(record: str) -> bytes:
    return hashlib.sha256(record.encode("utf-8", "surrogatepass")).digest()
