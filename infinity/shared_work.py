"""One piece of work that several callers wait for, ended only once none of them wants it."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager
from typing import Generic, TypeVar

from infinity.errors import StoppedError

Result = TypeVar("Result")
Progress = Callable[[str, float], None]
"""Called with what is being done, and the part done from 0 to 1; may raise to stop."""

POLL_SECONDS = 0.1
"""How soon a caller notices its own stop, and new progress."""


class SharedWork(Generic[Result]):
    """Work in a separate thread.

    Args:
        work: given a function to call with its progress, which raises StoppedError once no
            caller is left; callers get whatever it raises.
    """

    def __init__(self, name: str, work: Callable[[Progress], Result]) -> None:
        self._work = work
        self._lock = threading.Lock()
        self._callers = 0
        self._is_abandoned = False
        self._report: tuple[str, float] | None = None
        self._end: Future[Result] = Future()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    @property
    def is_over(self) -> bool:
        """Whether it has ended, or has no caller left."""
        return self._is_abandoned or self._end.done()

    def join(self) -> bool:
        """Become a caller, who must then ask for :meth:`result`; False when it is over."""
        with self._lock:
            if self.is_over:
                return False
            self._callers += 1
            if self._callers == 1 and not self._thread.is_alive():
                self._thread.start()
            return True

    def result(
        self, progress: Progress | None = None, cancel: threading.Event | None = None
    ) -> Result:
        """Wait for the end, as one of the callers.

        Args:
            progress: called in this thread.
            cancel: set it to wait no longer.

        Raises:
            StoppedError: cancelled. Otherwise as the work.
        """
        shown = None
        try:
            while wait((self._end,), POLL_SECONDS).not_done or self._report is not shown:
                if cancel is not None and cancel.is_set() and not self._end.done():
                    raise StoppedError
                if self._report is not None and self._report is not shown:
                    shown = self._report
                    if progress is not None:
                        progress(*shown)
            return self._end.result()
        finally:
            with self._lock:
                self._callers -= 1
                self._is_abandoned = self._callers == 0

    def _run(self) -> None:
        try:
            self._end.set_result(self._work(self._record))
        except BaseException as error:  # noqa: BLE001 - raised again in the callers' threads
            self._end.set_exception(error)

    def _record(self, what: str, fraction: float) -> None:
        if self._is_abandoned:
            raise StoppedError
        self._report = what, fraction


@contextmanager
def held(lock: threading.Lock | threading.Semaphore, progress: Progress) -> Iterator[None]:
    """Hold a lock during the block; ``progress`` is called while waiting, and may raise to stop."""
    while not lock.acquire(timeout=POLL_SECONDS):
        progress("Waiting for another model to load", 0.0)
    try:
        yield
    finally:
        lock.release()


def forget_frames(error: BaseException | None) -> None:
    """Free what the frames of an error refer to, such as half a model."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__
