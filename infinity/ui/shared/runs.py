"""Who is generating: one cancel flag a run, so that Stop, a reload and a second tab never mix.

Every run of the page and of the API passes here, so this is also where the host's limits are asked.

A page's run begins outside the queue (checked at once, shown as waiting) and is taken up inside it.
Between the two it can be stopped, replaced by nobody, and closed when its browser goes away.
"""

import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import gradio as gr

from infinity.errors import RequestError
from infinity.hosting import SPACE_USER, Allowance, address_of
from infinity.request import GenerationRequest
from infinity.ui.shared.pages import Pages
from infinity.ui.shared.turns import Turns


@dataclass(eq=False)
class Run:
    """One request of one session; setting ``cancel`` ends it within a scale.

    ``visitor`` is whom the host's limits count it for (see :func:`visitor_of`), as so many ``requests``;
    ``session`` whose it is once admitted. It waits until it is taken up; once ``is_drawn``, it is over but
    for its timeline, and the session may begin another.
    """

    model: str
    request: GenerationRequest
    visitor: str = ""
    requests: int = 1
    cancel: threading.Event = field(default_factory=threading.Event)
    session: str = ""
    is_waiting: bool = False
    is_drawn: bool = False
    name: str = field(default_factory=lambda: secrets.token_hex(4))


class Runs:
    """The runs of all sessions. Every method is safe to call from any thread.

    Args:
        allowance: what the host allows; everything by default.

    Attributes:
        turns: whose turn it is to draw.
        pages: whose runs are whose, over reloads; a page's runs go by its key.
    """

    def __init__(self, allowance: Allowance | None = None) -> None:
        self.allowance = allowance if allowance is not None else Allowance()
        self.turns = Turns()
        self.pages = Pages(self.stop)
        self._lock = threading.RLock()
        self._runs: list[Run] = []
        self._loads: list[tuple[str, threading.Event]] = []
        self._is_closed = False

    def begin(self, session: str, run: Run) -> bool:
        """Put a page's run in line; False when that page is busy already.

        Raises:
            RequestError: the host does not allow it, or not yet.
        """
        with self._lock:
            if self.is_busy(session):
                return False
            self._admit(session, run)
            run.is_waiting = True
            return True

    def is_waiting(self, session: str) -> bool:
        """Whether the session has a run that nothing has taken up yet."""
        with self._lock:
            return any(run.is_waiting for run in self._of(session))

    def is_busy(self, session: str) -> bool:
        """Whether the session has a run that waits or is drawn."""
        with self._lock:
            return any(not run.is_drawn for run in self._of(session))

    def is_stopping(self, session: str) -> bool:
        """Whether the session's run is to stop after its scale."""
        with self._lock:
            return any(run.cancel.is_set() and not run.is_drawn for run in self._of(session))

    @property
    def is_anyone_waiting(self) -> bool:
        with self._lock:
            return any(run.is_waiting for run in self._runs) or self.turns.is_anyone_waiting

    @contextmanager
    def taken(self, session: str) -> Iterator[Run | None]:
        """The session's waiting run, under way while this lasts; None when there is none.

        Holds no lock meanwhile: generators yield inside, and resume on other threads.
        """
        with self._lock:
            run = next((run for run in self._of(session) if run.is_waiting), None)
            if run is not None:
                run.is_waiting = False
        try:
            yield run
        finally:
            if run is not None:
                self._finish(run)

    @contextmanager
    def running(self, session: str, run: Run) -> Iterator[Run]:
        """``run`` is under way while this lasts, beside whatever else the session has.

        Raises:
            RequestError: the host does not allow it, or not yet.
        """
        self._admit(session, run)
        try:
            yield run
        finally:
            self._finish(run)

    @contextmanager
    def loading(self, session: str) -> Iterator[threading.Event]:
        """The cancel flag of a load that :meth:`stop` ends as it ends runs."""
        load = session, cancel = session, threading.Event()
        with self._lock:
            self._loads.append(load)
        try:
            yield cancel
        finally:
            cancel.set()
            with self._lock:
                self._loads.remove(load)

    def stop(self, session: str) -> bool:
        """Cancel all the session has; True when something was running and will end by itself."""
        with self._lock:
            runs = self._of(session)
            loads = [cancel for owner, cancel in self._loads if owner == session]
            for cancel in (*loads, *(run.cancel for run in runs)):
                cancel.set()
            for run in runs:
                if run.is_waiting:
                    self._runs.remove(run)
            return bool(loads) or any(not (run.is_waiting or run.is_drawn) for run in runs)

    def close(self, patience_s: float = 3.0) -> None:
        """Stop everybody, let nobody begin, and wait for those who draw to end, which each does
        after its scale."""
        with self._lock:
            self._is_closed = True
            sessions = {run.session for run in self._runs} | {owner for owner, _ in self._loads}
            for session in sessions:
                self.stop(session)
        ends = time.monotonic() + patience_s
        while len(self) and time.monotonic() < ends:
            time.sleep(0.05)

    def __len__(self) -> int:
        """Runs waiting or under way, of all sessions."""
        return len(self._runs)

    def _of(self, session: str) -> list[Run]:
        return [run for run in self._runs if run.session == session]

    def _admit(self, session: str, run: Run) -> None:
        """Raises RequestError: the host does not allow it, or not yet."""
        with self._lock:
            if self._is_closed:
                raise RequestError("This page is about to end; try again in a minute.")
            self.allowance.check_waiting(len(self))
            self.allowance.admit(run.visitor, run.request, run.requests)
            run.session = session
            self._runs.append(run)

    def _finish(self, run: Run) -> None:
        """However a run ended: it is cancelled, should anything still draw it, and gone."""
        run.cancel.set()
        with self._lock:
            self._runs.remove(run)


def visitor_of(request: gr.Request) -> str:
    """Whom a request counts for: who is logged in, else the address it came from, else its session."""
    scope = getattr(getattr(request, "request", None), "scope", {})
    profile = (scope.get("session") or {}).get("oauth_info", {}).get("userinfo", {})
    if name := profile.get("preferred_username"):
        return f"{SPACE_USER}{name}"
    if name := getattr(request, "username", None):
        return f"user:{name}"
    client = getattr(request, "client", None)
    return address_of(client.host) if client else f"session:{request.session_hash or ''}"


def caller_of(request: gr.Request) -> str:
    """Whose runs and pictures a call of the API may stop or list: a visitor's session, so that a
    guessed one is of no use elsewhere; a new one for a call that names none."""
    return f"{visitor_of(request)} {request.session_hash or secrets.token_hex(16)}"


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
