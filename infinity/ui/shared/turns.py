"""Whose turn it is to draw: one at a time, in the order they came, whichever way they came in."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from infinity.errors import StoppedError

POLL_SECONDS = 0.2
"""How soon a stop is noticed while somebody waits."""


class Turn:
    """A place in the line; it belongs to no thread, as generators resume on any."""

    def __init__(self, line: list[Turn], lock: threading.Lock) -> None:
        self._line = line
        self._lock = lock
        self.came = threading.Event()

    @property
    def before(self) -> int:
        """How many draw or wait before this one; 0 when the turn has come."""
        with self._lock:
            return self._line.index(self)

    def wait(self, cancel: threading.Event) -> Iterator[int]:
        """:attr:`before`, at first and whenever it changes, until the turn comes or is cancelled."""
        said = 0
        while not cancel.is_set() and not self.came.wait(POLL_SECONDS if said else 0):
            if (before := self.before) and before != said:
                yield (said := before)


class Turns:
    """The line of all who draw, the first of whom draws now. Safe to use from any thread.

    Take a place only once the model is loaded, so that nobody waits for another's download.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()  # held for moments only, never while somebody draws
        self._line: list[Turn] = []

    @contextmanager
    def place(self) -> Iterator[Turn]:
        """A place at the end of the line, left however the block ends; wait in it before drawing."""
        turn = Turn(self._line, self._lock)
        with self._lock:
            self._line.append(turn)
            self._line[0].came.set()
        try:
            yield turn
        finally:
            with self._lock:
                self._line.remove(turn)
                if self._line:
                    self._line[0].came.set()

    @contextmanager
    def turn(self, cancel: threading.Event) -> Iterator[None]:
        """Wait, then draw inside the block.

        Raises:
            StoppedError: cancelled before the turn came.
        """
        with self.place() as turn:
            for _ in turn.wait(cancel):
                pass
            if cancel.is_set():
                raise StoppedError
            yield

    @property
    def is_anyone_waiting(self) -> bool:
        """Whether anyone waits behind whoever draws."""
        with self._lock:
            return len(self._line) > 1
