"""What the browser tests of all tabs do and look at."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from infinity.metadata import read_record
from infinity.pipeline import InfinityPipeline
from infinity.ui.app import build_app, launch_options
from infinity.ui.serve import bracketed
from infinity.ui.shared.runs import Runs
from tests.ui.fakes import Gate

ROOT = Path(__file__).resolve().parent.parent.parent
ARTIFACTS = ROOT / "tests" / "artefacts"
PATIENCE_MS = 90_000
SETTLE_MS = 250
DESKTOP, PHONE = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
WIDE = {"width": 1920, "height": 1080}
PROMPT = "a red apple on a sandy beach"
KEPT = (
    "(() => { try { return JSON.parse(sessionStorage.getItem('infinity-page:/')) || {} }"
    " catch { return {} } })()"
)
HISTORY = "JSON.parse(localStorage.getItem('infinity-history:/') || '[]').length"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for_server(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(PATIENCE_MS // 200):
        assert process.poll() is None, log.read_text()
        try:
            urllib.request.urlopen(url, timeout=5).close()
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.2)
        else:
            return
    raise AssertionError(f"the page did not open:\n{log.read_text()}")


@contextmanager
def started(
    model: Path, log: Path, *options: str, host: str = "127.0.0.1", **variables: str
) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """``python app.py --model MODEL OPTIONS`` as a user starts it: its address and its process, which
    does not outlive the block."""
    port = free_port()
    fixed = {"GRADIO_SERVER_PORT": str(port), "OMP_NUM_THREADS": "1"}
    environment = {**os.environ, **fixed, **variables}
    command = [sys.executable, "app.py", "--model", str(model), "--device", "cpu", "--host", host]
    with log.open("w") as stream:
        process = subprocess.Popen(
            [*command, *options], cwd=ROOT, env=environment, stdout=stream, stderr=subprocess.STDOUT
        )
    try:
        url = f"http://{bracketed(host)}:{port}/"
        wait_for_server(url, process, log)
        yield url, process
    finally:
        process.terminate()
        try:
            process.wait(30)
        finally:
            process.kill()


@contextmanager
def served(model: Path, log: Path, *, host: str = "127.0.0.1", **variables: str) -> Iterator[str]:
    """The address of :func:`started`."""
    with started(model, log, host=host, **variables) as (url, _):
        yield url


class Server:
    """The page in this process, over a manager whose scales the test lets through one by one."""

    def __init__(self, manager: Any, runs: Runs | None = None) -> None:
        self.manager = manager
        self.runs = runs if runs is not None else Runs()
        self.app = build_app(manager, "default", self.runs)
        _, self.url, _ = self.app.launch(
            **launch_options(self.app, self.runs),
            server_name="127.0.0.1",
            prevent_thread_lock=True,
            quiet=True,
        )

    @property
    def gate(self) -> Gate:
        return self.manager.gate

    def forget_pages(self) -> None:
        """What happens to pages some time after their browsers went away, now."""
        pages = self.runs.pages
        for page in list(pages._pages.values()):
            pages._give_up(page, page.heard)

    def wait_until_idle(self) -> None:
        """No run is left, of any browser that came and went."""
        for _ in range(PATIENCE_MS // 50):
            if len(self.runs) == 0:
                return
            time.sleep(0.05)
        raise AssertionError(f"{len(self.runs)} runs never end")


def open_tab(page: Any, name: str) -> None:
    """Through the menu of further tabs, where the window is too narrow for all."""
    shown = page.get_by_role("tab", name=name, exact=True)
    if not shown.first.is_visible():
        page.locator("#tabs .overflow-menu > button").first.click()
        shown = page.locator("#tabs .overflow-dropdown button").filter(has_text=name)
    shown.first.click()


def opened(page: Any, tab: str) -> None:
    page.locator(f"[role=tab][aria-selected=true]:has-text('{tab}')").wait_for()


def kept(page: Any) -> None:
    """Wait until the page keeps what is changed, and knows its key."""
    page.wait_for_function(f"Boolean({KEPT}.key)")


def reload(page: Any) -> None:
    page.reload()
    page.locator("#prompt textarea").wait_for(state="attached")
    kept(page)


def ask(page: Any, prompt: str = PROMPT) -> None:
    page.locator("#prompt textarea").fill(prompt)
    page.locator("#prompt textarea").press("Enter")


def choose_seed(page: Any, seed: int) -> None:
    """Typing a seed keeps it: nobody has to press Keep."""
    page.locator("#seed input").fill(str(seed))
    page.locator("#seed-mode label.selected").filter(has_text="Keep").wait_for()


def status(page: Any, text: str) -> None:
    """Wait until the status line says ``text``."""
    page.locator("#status .message").filter(has_text=text).wait_for()


def finished(page: Any) -> None:
    page.locator("#status .run-status.is-done").wait_for()
    page.locator("#generate").wait_for(state="visible")


def shot(page: Any, name: str) -> None:
    """A picture for people to look at, where somebody wants one."""
    if "INFINITY_SCREENSHOTS" not in os.environ:
        return
    ARTIFACTS.mkdir(exist_ok=True)
    page.screenshot(path=ARTIFACTS / f"{name}.png", full_page=True, animations="disabled")


def box(page: Any, selector: str) -> dict[str, float]:
    return page.locator(selector).bounding_box()


def settled(page: Any, selectors: Sequence[str]) -> list[dict[str, float]]:
    """The boxes once the page has stopped moving as it opens."""
    boxes: list[dict[str, float]] = []
    for _ in range(PATIENCE_MS // SETTLE_MS):
        before, boxes = boxes, [box(page, selector) for selector in selectors]
        if boxes == before:
            return boxes
        page.wait_for_timeout(SETTLE_MS)
    raise AssertionError(f"the page never stops moving: {boxes}")


def replay(model_folder: Path, path: Path) -> bytes:
    """The pixels that the request inside a PNG gives when drawn again, in this process."""
    record = read_record(path)
    threads = torch.get_num_threads()
    torch.set_num_threads(record.threads)
    try:
        pipeline = InfinityPipeline.from_pretrained(model_folder, device="cpu", dtype=record.dtype)
        return pipeline.generate(record.request).images[0].tobytes()
    finally:
        torch.set_num_threads(threads)


def brush(page: Any, *points: tuple[float, float]) -> None:
    """A stroke over the canvas of the Edit tab; points are shares of it."""
    places = _on_canvas(page, points)
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=10)
    page.mouse.up()


def finger(page: Any, *points: tuple[float, float]) -> None:
    """As :func:`brush`, with a finger."""
    session = page.context.new_cdp_session(page)
    session.send("Emulation.setTouchEmulationEnabled", {"enabled": True})
    kinds = ["touchStart", *["touchMove"] * (len(points) - 1)]
    for kind, (x, y) in zip(kinds, _on_canvas(page, points), strict=True):
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y}]})
    session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})


def _on_canvas(page: Any, points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    page.locator("#canvas canvas").first.scroll_into_view_if_needed()
    found = box(page, "#canvas canvas >> nth=0")
    return [
        (found["x"] + found["width"] * across, found["y"] + found["height"] * down)
        for across, down in points
    ]


def draw_edit(page: Any) -> None:
    """Draw on the Edit tab, to the end."""
    page.locator("#draw-edit").click()
    page.locator("#stop-edit").wait_for()
    page.locator("#edit-status .run-status.is-done").wait_for()
    page.locator("#draw-edit").wait_for()
