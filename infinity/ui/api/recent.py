"""What each caller of the API has drawn, as a browser keeps it for the page: in memory, for a while."""

from __future__ import annotations

import threading
from collections import OrderedDict, deque

from infinity.ui.shared.finished import FinishedRun

MOST_SESSIONS = 1000
MOST_RUNS = 200


class Drawn:
    """Finished runs by session, the newest first; the session used longest ago goes first. Every
    method is safe to call from any thread.

    Args:
        keeps: whether anything is kept at all.
    """

    def __init__(self, *, keeps: bool = True) -> None:
        self._keeps = keeps
        self._lock = threading.Lock()
        self._sessions: OrderedDict[str, deque[FinishedRun]] = OrderedDict()

    def add(self, session: str, run: FinishedRun) -> None:
        if not self._keeps:
            return
        with self._lock:
            self._sessions.setdefault(session, deque(maxlen=MOST_RUNS)).appendleft(run)
            self._sessions.move_to_end(session)
            if len(self._sessions) > MOST_SESSIONS:
                self._sessions.popitem(last=False)

    def of(self, session: str) -> tuple[FinishedRun, ...]:
        with self._lock:
            return tuple(self._sessions.get(session, ()))

    def forget(self, session: str) -> None:
        with self._lock:
            self._sessions.pop(session, None)
