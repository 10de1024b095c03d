"""Who calls an endpoint, and what each caller has drawn."""

import threading
from collections import OrderedDict, deque

import gradio as gr

from infinity.errors import RequestError
from infinity.ui.shared.files import FinishedRun
from infinity.ui.shared.runs import caller_of

MOST_SESSIONS = 1000
MOST_RUNS = 200


class RecentRuns:
    """Finished runs by session, the newest first, in memory; the session used longest ago goes first.
    Every method is safe to call from any thread.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sessions: OrderedDict[str, deque[FinishedRun]] = OrderedDict()

    def add(self, session: str, run: FinishedRun) -> None:
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


def own_session(request: gr.Request) -> str:
    """The session whose runs and pictures a caller may stop or list.

    Raises:
        RequestError: a caller without one. Over MCP Gradio gives all callers the same.
    """
    if (getattr(request, "headers", None) or {}).get("x-gradio-user") == "mcp":
        raise RequestError(
            "This cannot be asked over MCP, where callers are not told apart; use the page, or its "
            "HTTP API."
        )
    if not request.session_hash:
        raise RequestError(
            "This call has no session, so nothing here is its own: send the session_hash of the calls "
            "that it is about."
        )
    return caller_of(request)
