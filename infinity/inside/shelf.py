"""Inspections kept for a while, so that a click is answered without reading the picture again."""

import threading
from collections import OrderedDict

from infinity.errors import RequestError
from infinity.inside.reading import Inspection

MOST_BYTES = 256 * 2**20
"""Of all arrays together: some five pictures of the released 2B, hundreds of the default model."""


class Shelf:
    """Holds at most ``most_bytes``; what was used longest ago goes first, never the newest. Safe to use
    from any thread."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self.most_bytes = most_bytes
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, Inspection] = OrderedDict()

    def put(self, key: str, inspection: Inspection) -> None:
        with self._lock:
            self._kept[key] = inspection
            self._kept.move_to_end(key)
            sizes = [each.nbytes for each in self._kept.values()]
            while len(sizes) > 1 and sum(sizes) > self.most_bytes:
                self._kept.popitem(last=False)
                sizes.pop(0)

    def get(self, key: str) -> Inspection:
        """Raises RequestError where it is not kept any more."""
        with self._lock:
            if key not in self._kept:
                raise RequestError("This picture's numbers are no longer kept; look inside again.")
            self._kept.move_to_end(key)
            return self._kept[key]
