"""Loading a model without freezing the page: the work in a thread, its progress as a stream."""

import queue
import threading
from collections.abc import Iterator
from dataclasses import dataclass

from infinity.manager import ModelManager
from infinity.pipeline import InfinityPipeline

POLL_SECONDS = 0.2
"""How soon a stop is noticed while a model loads."""


@dataclass(frozen=True)
class Loading:
    """What is being done, and how far it is."""

    what: str
    fraction: float | None = None


def load(
    manager: ModelManager, name: str, cancel: threading.Event, memory_mode: str | None = None
) -> Iterator[Loading | InfinityPipeline]:
    """Progress, at most every ``POLL_SECONDS``, then the pipeline, last.

    Cancelled or closed, it ends without a pipeline, and so does the load or download itself unless
    somebody else waits for the same.

    Args:
        memory_mode: as ``ModelManager.get`` takes it.

    Raises:
        InfinityError: from the manager.
    """
    reports: queue.Queue[Loading | InfinityPipeline | Exception] = queue.Queue()
    left = threading.Event()

    def work() -> None:
        try:
            pipeline = manager.get(
                name,
                lambda what, fraction: reports.put(Loading(what, fraction)),
                left,
                memory_mode=memory_mode,
            )
            pipeline.prepare_previews()
            reports.put(pipeline)
        except Exception as error:  # noqa: BLE001 - raised again in the caller's thread
            reports.put(error)

    threading.Thread(target=work, name=f"wait-{name}", daemon=True).start()
    try:
        while not cancel.is_set():
            try:
                report = reports.get(timeout=POLL_SECONDS)
            except queue.Empty:
                continue
            while isinstance(report, Loading) and not reports.empty():
                report = reports.get()
            if isinstance(report, Exception):
                raise report
            yield report
            if not isinstance(report, Loading):
                return
    finally:
        left.set()
