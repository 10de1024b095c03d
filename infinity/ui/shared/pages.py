"""Pages that outlive a reload: whose run is whose, and what a run has to show to whoever comes back.

A browser's tab has a page here, known by a secret key that only this tab keeps. Gradio's session is new
after every reload; the key brings the page back to it, and with the page its runs. A page that nobody
comes back to has its runs stopped after ``GRACE_SECONDS``.
"""

import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

GRACE_SECONDS = 10.0
"""How long a page that went away may take to come back before its runs are stopped."""
MOST_PAGES, MOST_DRAWN = 1000, 64
"""Pages remembered, and those of them with pictures (some megabytes each); the one used longest ago is
forgotten first, but none in the middle of a run."""
POLL_SECONDS = 0.2
"""How soon a follower notices that another has taken its place."""

KINDS = ("generate", "edit", "inside", "grid", "tokenizer")
GENERATE, EDIT, INSIDE, GRID, TOKENIZER = KINDS
"""What a page runs: one of each at a time."""

View = TypeVar("View")


class Relay(Generic[View]):
    """The views of one run. Whoever follows it makes the next one; while nobody does, it pauses.

    Attributes:
        newest: what the run has to show now.
        has_ended: nothing follows ``newest``.
        is_handed_on: a page was given the finished pictures, so that no other adds them to its history.
    """

    def __init__(self, views: Iterator[View]) -> None:
        self._views = views
        self._lock = threading.Lock()  # held while a view is made
        self._follower: object = None
        self.newest: View | None = None
        self.has_ended = False
        self.is_handed_on = False

    def follow(self) -> Generator[View, None, None]:
        """The newest view, then every one that follows, until the end or until another follows."""
        me = self._follower = object()
        seen: View | None = None
        while self._follower is me:
            newest = self.newest
            if newest is not None and newest is not seen:
                seen = newest
                yield newest
            elif self.has_ended:
                return
            elif self._lock.acquire(timeout=POLL_SECONDS):
                try:
                    if self.newest is seen:
                        self._advance()
                finally:
                    self._lock.release()

    def finish(self) -> None:
        """Make the last views for nobody; of a run that was cancelled, there are few."""
        self._follower = None
        with self._lock:
            while not self.has_ended:
                self._advance()

    def _advance(self) -> None:
        view = next(self._views, None)
        if view is None:
            self.has_ended = True
        else:
            self.newest = view


@dataclass(eq=False)
class Page:
    """A tab of a browser. ``key`` is its secret, which its runs are called by too; ``owner`` is who was
    logged in, empty where nobody logs in; ``kept`` is what tabs remember for it, by kind; ``heard`` counts
    the page's acts."""

    session: str
    owner: str = ""
    key: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    relays: dict[str, Relay[Any]] = field(default_factory=dict)
    kept: dict[str, Any] = field(default_factory=dict)
    is_left: bool = False
    heard: int = 0

    def runs_of(self, kind: str) -> str:
        """By what name the page's runs of one kind are known."""
        return f"{self.key}/{kind}"


class Pages:
    """All pages. Safe to use from any thread.

    Args:
        stop: ends the runs that go by a name.
        grace_s: seconds; see ``GRACE_SECONDS``.
    """

    def __init__(self, stop: Callable[[str], Any], grace_s: float = GRACE_SECONDS) -> None:
        self.grace_s = grace_s
        self._stop = stop
        self._lock = threading.RLock()  # a generator may be closed wherever memory is tidied
        self._pages: OrderedDict[str, Page] = OrderedDict()  # by key, the one used last at the end

    def claim(
        self, session: str, key: object = None, owner: str = "", *, left: bool = False
    ) -> Page:
        """The page of a tab that was loaded (again), now the session's: that of ``key``, or a new one.

        Args:
            key: what the tab has kept, if anything.
            owner: who is logged in; a page of somebody else is not given.
            left: the tab says that it was left before, so that a copy of a tab that is still open
                gets a page of its own.
        """
        with self._lock:
            page = self._pages.get(key) if isinstance(key, str) else None
            if page is None or page.owner != owner or not (left or page.is_left):
                page = self._newest(session)
                if page is None or page.owner not in ("", owner):
                    return self._add(session, owner)
                page.owner = owner  # it drew something before it was claimed
                return self._hear(page)
            page.session = session
            self._hear(page)
        self._watch(page)  # what it runs is paused until the tab follows it
        return page

    def of(self, session: str) -> Page:
        """The session's page, which acts now. One that was never claimed is given up sooner."""
        with self._lock:
            if (page := self._newest(session)) is not None:
                return self._hear(page)
            page = self._hear(self._add(session))
        self._watch(page)
        return page

    def follow(self, session: str, relay: Relay[View]) -> Generator[View, None, None]:
        """As :meth:`Relay.follow`; a follower that is closed has left."""
        try:
            yield from relay.follow()
        except GeneratorExit:
            self.leave(session)
            raise

    def leave(self, session: str) -> None:
        """The session's browser went away, perhaps to come back with the page's key."""
        with self._lock:
            page = self._newest(session)
            if page is None:
                return
            page.is_left = True
            if not page.heard:
                del self._pages[page.key]
                return
        self._watch(page)

    def _watch(self, page: Page) -> None:
        """Stop what the page runs unless it is heard of in time."""
        timer = threading.Timer(self.grace_s, self._give_up, (page, page.heard))
        timer.daemon = True
        timer.start()

    def _give_up(self, page: Page, heard: int) -> None:
        with self._lock:
            if page.heard != heard:
                return
            page.is_left = True
            if not (page.relays or page.kept):
                self._pages.pop(page.key, None)
        for kind in KINDS:
            self._stop(page.runs_of(kind))
        for relay in list(page.relays.values()):
            relay.finish()

    def _hear(self, page: Page) -> Page:
        page.heard += 1
        page.is_left = False
        self._pages.move_to_end(page.key)
        return page

    def _newest(self, session: str) -> Page | None:
        return next((p for p in reversed(self._pages.values()) if p.session == session), None)

    def _add(self, session: str, owner: str = "") -> Page:
        page = Page(session, owner)
        self._pages[page.key] = page
        idle = [p for p in self._pages.values() if all(r.has_ended for r in p.relays.values())]
        drawn = [p for p in idle if p.relays or p.kept]
        for pages, most in ((idle, MOST_PAGES), (drawn, MOST_DRAWN)):
            for oldest in pages[: max(0, len(pages) - most)]:
                self._pages.pop(oldest.key, None)
        return page
