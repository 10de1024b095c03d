"""Where the page keeps files of its visitors: a folder of its own, gone when the page is gone.

Whatever ends the program, the folder does not outlive the next start: a running page holds a lock in
its folder, and a page that starts removes the folders whose lock nobody holds.
"""

import logging
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir

from filelock import FileLock, Timeout

from infinity.files import disk_errors

logger = logging.getLogger(__name__)

PREFIX = "infinity-page-"
LOCK = ".lock"
VARIABLE = "GRADIO_TEMP_DIR"
"""Where Gradio looks for the folder of its files."""
SECONDS_BETWEEN = 5.0


class Storage:
    """A folder of files with a ceiling.

    Args:
        ceiling: bytes that all files may take together; None for no limit.
        clock: seconds that only go forward; for tests.
    """

    def __init__(
        self, folder: Path, ceiling: int | None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.folder = folder
        self.ceiling = ceiling
        self._clock = clock
        self._next = 0.0

    def tidy(self) -> None:
        """Remove the oldest files above the ceiling; looks at most every ``SECONDS_BETWEEN``. Two
        threads may do so at once."""
        if self.ceiling is None or self._clock() < self._next:
            return
        self._next = self._clock() + SECONDS_BETWEEN
        files = sorted(self._files())
        total = sum(size for _, size, _ in files)
        for _, size, path in files:
            if total <= self.ceiling:
                return
            path.unlink(missing_ok=True)
            total -= size

    def _files(self) -> Iterator[tuple[float, int, Path]]:
        for path in self.folder.rglob("*"):
            try:
                if path.name != LOCK and path.is_file() and not path.is_symlink():
                    state = path.stat()
                    yield state.st_mtime, state.st_size, path
            except FileNotFoundError:
                continue  # removed by its own visitor meanwhile


@contextmanager
def opened_storage() -> Iterator[Storage]:
    """The page's folder, which Gradio uses too, while this lasts.

    Raises:
        ResourceError: no folder can be made (a full or read-only disk).
    """
    parent = Path(os.environ.get(VARIABLE) or gettempdir())
    with disk_errors(parent):
        parent.mkdir(parents=True, exist_ok=True)
        remove_abandoned(parent)
        folder = TemporaryDirectory(prefix=PREFIX, dir=parent, ignore_cleanup_errors=True)
    with folder, FileLock(Path(folder.name) / LOCK):
        os.environ[VARIABLE] = folder.name
        try:
            yield Storage(Path(folder.name), None)
        finally:
            os.environ[VARIABLE] = str(parent)


def remove_abandoned(parent: Path) -> None:
    """Remove the folders of pages that were killed."""
    for folder in parent.glob(f"{PREFIX}*"):
        if folder.is_symlink() or not (folder / LOCK).is_file():
            continue
        try:
            with FileLock(folder / LOCK, timeout=0):
                pass
        except Timeout:
            continue  # its page is alive
        except OSError as error:  # somebody else's
            logger.info("%s is left as it is: %s", folder, error)
            continue
        logger.info("removing %s, left by a page that was killed", folder)
        shutil.rmtree(folder, ignore_errors=True)
