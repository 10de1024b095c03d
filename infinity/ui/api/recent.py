"""What each caller of the API has drawn, as a browser keeps it for the page: in memory, for a while."""

import threading
from collections import OrderedDict, deque

from infinity.ui.shared.finished import FinishedRun

MOST_SESSIONS = 1000
MOST_RUNS = 200


class RecentRuns:
    """Finished runs by session, the newest first; the session used longest ago goes first. Every
    method is safe to call from any thread.

    Args:
        is_kept: whether anything is kept at all.
    """

    def __init__(self, *, is_kept: bool = True) -> None:
        self._is_kept = is_kept
        self._lock = threading.Lock()
        self._sessions: OrderedDict[str, deque[FinishedRun]] = OrderedDict()

    def add(self, session: str, run: FinishedRun) -> None:
        if not self._is_kept:
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
