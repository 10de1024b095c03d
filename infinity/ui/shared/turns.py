"""Before a run draws: its model is loaded without freezing the page, then its turn comes.

One draws at a time, in the order they came, whichever way they came in.
"""

import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from infinity.errors import StoppedError
from infinity.manager import ModelManager
from infinity.pipeline import InfinityPipeline
from infinity.ui.shared.status import Status, loading, waiting

POLL_SECONDS = 0.2
"""How soon a stop is noticed while a model loads or somebody waits."""


def load(
    manager: ModelManager, name: str, cancel: threading.Event, memory_mode: str | None = None
) -> Iterator[Status | InfinityPipeline]:
    """Progress, at most every ``POLL_SECONDS``, then the pipeline, last.

    Cancelled or closed, it ends without a pipeline, and so does the load or download itself unless
    somebody else waits for the same.

    Args:
        memory_mode: as ``ModelManager.get`` takes it.

    Raises:
        InfinityError: from the manager.
    """
    reports: queue.Queue[Status | InfinityPipeline | Exception] = queue.Queue()
    left = threading.Event()

    def work() -> None:
        try:
            pipeline = manager.get(
                name,
                lambda what, fraction: reports.put(loading(what, fraction)),
                left,
                memory_mode=memory_mode,
            )
            pipeline.prepare_previews()
            reports.put(pipeline)
            pipeline.warm_up()
        except Exception as error:  # noqa: BLE001 - raised again in the caller's thread
            reports.put(error)

    threading.Thread(target=work, name=f"wait-{name}", daemon=True).start()
    try:
        while not cancel.is_set():
            try:
                report = reports.get(timeout=POLL_SECONDS)
            except queue.Empty:
                continue
            while isinstance(report, Status) and not reports.empty():
                report = reports.get()
            if isinstance(report, Exception):
                raise report
            yield report
            if not isinstance(report, Status):
                return
    finally:
        left.set()


class Turns:
    """The line of all who draw, the first of whom draws now. Safe to use from any thread.

    Take a place only once the model is loaded, so that nobody waits for another's download.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._line: list[object] = []

    @contextmanager
    def place(self, cancel: threading.Event) -> Iterator[Iterator[int]]:
        """A place at the end of the line, left however the block ends: how many are before it, told at
        first and whenever that changes, until the turn has come or is cancelled. It belongs to no
        thread, as generators resume on any."""
        place = object()
        with self._changed:
            self._line.append(place)
        try:
            yield self._before(place, cancel)
        finally:
            with self._changed:
                self._line.remove(place)
                self._changed.notify_all()

    def _before(self, place: object, cancel: threading.Event) -> Iterator[int]:
        said = 0
        while not cancel.is_set():
            with self._changed:
                if said and said == self._line.index(place):
                    self._changed.wait(POLL_SECONDS)
                before = self._line.index(place)
            if not before:
                return
            if before != said:
                yield (said := before)

    @contextmanager
    def turn(self, cancel: threading.Event) -> Iterator[None]:
        """Wait, then draw inside the block.

        Raises:
            StoppedError: cancelled before the turn came.
        """
        with self.place(cancel) as line:
            for _ in line:
                pass
            if cancel.is_set():
                raise StoppedError
            yield

    @property
    def is_anyone_waiting(self) -> bool:
        """Whether anyone waits behind whoever draws."""
        with self._changed:
            return len(self._line) > 1

    def ready(
        self, manager: ModelManager, name: str, cancel: threading.Event
    ) -> Iterator[Status | InfinityPipeline]:
        """:func:`load`, then how the line goes; the pipeline comes with the turn, which is over when
        this is closed or goes on. Cancelled, it ends without a pipeline."""
        for report in load(manager, name, cancel):
            if isinstance(report, Status):
                yield report
                continue
            with self.place(cancel) as line:
                yield from map(waiting, line)
                if not cancel.is_set():
                    yield report
