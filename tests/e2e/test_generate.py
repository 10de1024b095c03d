"""The page in a real browser, as a person uses it. Skipped only where no Chromium is installed.

Two kinds of server: ``app.py`` itself, started as a user starts it, with the shipped model (or a tiny
one where none is shipped); and the same page over a pipeline whose scales wait for the test, for all
that happens in the middle of a run. Screenshots go to tests/artefacts/.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from infinity.errors import ResourceError
from infinity.metadata import read_record
from infinity.pipeline import InfinityPipeline
from infinity.registry import DEFAULT_MODEL_FOLDER
from infinity.ui.app import build_app, launch_options
from infinity.ui.controls import EXAMPLES
from infinity.ui.runs import Runs
from tests.tiny import tiny_folder
from tests.ui.fakes import SCALES, FakeManager, Gate, GatedManager

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), ""
)
pytestmark = pytest.mark.skipif(not CHROMIUM, reason="no Chromium is installed")

ROOT = Path(__file__).resolve().parent.parent
ARTEFACTS = ROOT / "tests" / "artefacts"
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update",
)  # fmt: skip
PATIENCE_MS = 90_000
DESKTOP, PHONE = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
PROMPT = "a red apple on a sandy beach"

# Notes every address the first picture on the stage has had, as the page changes it.
WATCH_STAGE = """
window.seen = [];
new MutationObserver(() => {
  const image = document.querySelector('#stage img');
  if (image && image.src !== window.seen.at(-1)) window.seen.push(image.src);
}).observe(document, {subtree: true, childList: true, attributes: true, attributeFilter: ['src']});
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture
def new_page(browser: Any) -> Iterator[Any]:
    """Opens pages; afterwards checks that none asked a foreign host or logged an error."""
    contexts: list[Any] = []
    foreign: list[str] = []
    errors: list[str] = []

    def open_page(url: str, viewport: dict[str, int] = DESKTOP, scheme: str = "light") -> Any:
        context = browser.new_context(viewport=viewport, color_scheme=scheme, accept_downloads=True)
        contexts.append(context)
        context.set_default_timeout(PATIENCE_MS)
        page = context.new_page()
        page.add_init_script(WATCH_STAGE)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on(
            "request",
            lambda request: (
                None
                if request.url.startswith((url, "data:", "blob:"))
                else foreign.append(request.url)
            ),
        )
        page.goto(url)
        page.locator("#prompt textarea").wait_for()
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert foreign == []
    assert errors == []


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if (DEFAULT_MODEL_FOLDER / "config.json").is_file():
        return DEFAULT_MODEL_FOLDER
    return tiny_folder(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture(scope="module")
def app_url(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """``python app.py``, started and stopped as a user does."""
    folder = tmp_path_factory.mktemp("app")
    port = free_port()
    command = [sys.executable, "app.py", "--model", str(model_folder), "--device", "cpu"]
    environment = {
        **os.environ,
        "GRADIO_SERVER_PORT": str(port),
        "GRADIO_TEMP_DIR": str(folder / "gradio"),
        "OMP_NUM_THREADS": "1",
    }
    log = folder / "log.txt"
    with log.open("w") as stream:
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=stream, stderr=subprocess.STDOUT
        )
    try:
        url = f"http://127.0.0.1:{port}/"
        wait_for_server(url, process, log)
        yield url
        text = log.read_text()
        assert "Traceback" not in text, text
    finally:
        process.terminate()
        process.wait(30)


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


class Server:
    """The page in this process, over a manager whose scales the test lets through one by one."""

    def __init__(self, manager: Any) -> None:
        self.manager = manager
        self.runs = Runs()
        self.app = build_app(manager, "default", self.runs)
        _, self.url, _ = self.app.launch(
            **launch_options(), server_name="127.0.0.1", prevent_thread_lock=True, quiet=True
        )

    @property
    def gate(self) -> Gate:
        return self.manager.gate


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    server = Server(FakeManager(gate=Gate()))
    yield server
    server.gate.open()
    server.app.close()
    assert len(server.runs) == 0


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
    page.locator(".run-status.is-done").wait_for()
    page.locator("#generate").wait_for(state="visible")


def shot(page: Any, name: str) -> None:
    ARTEFACTS.mkdir(exist_ok=True)
    page.screenshot(path=ARTEFACTS / f"{name}.png", full_page=True, animations="disabled")


def box(page: Any, selector: str) -> dict[str, float]:
    return page.locator(selector).bounding_box()


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


def test_prompt_grows_into_a_picture_whose_download_replays_to_its_pixels(
    app_url, new_page, model_folder, tmp_path
):
    page = new_page(app_url)
    choose_seed(page, 7)
    ask(page)
    finished(page)

    addresses = page.evaluate("window.seen")
    assert addresses[0].startswith("data:image/"), "a preview comes first"
    assert len(set(addresses)) >= 2, "the picture changes over the scales"
    assert "/gradio_api/file=" in addresses[-1]
    drawn = page.locator(".strip li.drawn")
    assert drawn.count() == page.locator(".strip li").count() >= 4
    for fact in ("bits", "ms"):
        assert fact in drawn.last.inner_text()

    with page.expect_download() as download:
        page.get_by_role("link", name="Download PNG").click()
    path = tmp_path / "picture.png"
    download.value.save_as(path)
    assert download.value.suggested_filename == "infinity-a-red-apple-on-a-sandy-beach-7.png"
    record = read_record(path)
    assert (record.request.prompt, record.request.seed) == (PROMPT, 7)
    with Image.open(path) as image:
        assert image.format == "PNG"
        assert image.tobytes() == replay(model_folder, path)


def test_every_scale_is_seen_as_it_is_drawn(server, new_page):
    page = new_page(server.url)
    ask(page)
    for scale in range(1, len(SCALES)):
        server.gate.let(1)
        status(page, f"Scale {scale} of {len(SCALES)}")
        page.wait_for_function("count => new Set(window.seen).size === count", arg=scale)
        assert page.locator(".strip li.drawn").count() == scale
    server.gate.let(1)
    finished(page)
    assert page.locator(".strip li.drawn").count() == len(SCALES)
    assert "/gradio_api/file=" in page.evaluate("window.seen").pop()


def test_page_and_api_give_the_same_pixels(app_url, new_page, tmp_path):
    from gradio_client import Client

    page = new_page(app_url)
    choose_seed(page, 11)
    ask(page, "a blue castle")
    finished(page)
    with page.expect_download() as download:
        page.get_by_role("link", name="Download PNG").click()
    download.value.save_as(tmp_path / "page.png")
    client = Client(app_url, verbose=False, download_files=str(tmp_path))
    (path,) = client.predict("a blue castle", seed=11, api_name="/generate")
    client.close()
    assert read_record(path).request == read_record(tmp_path / "page.png").request
    with Image.open(path) as api, Image.open(tmp_path / "page.png") as page_picture:
        assert api.tobytes() == page_picture.tobytes()


def test_settings_reach_the_picture(app_url, new_page, tmp_path):
    page = new_page(app_url)
    page.get_by_role("button", name="More settings").click()
    page.locator("#negative-prompt textarea").fill("snow")
    for name, value in (("guidance", "4.5"), ("temperature", "0.7"), ("num-images", "2")):
        page.locator(f"#{name} input[type=number]").fill(value)
        page.locator(f"#{name} input[type=number]").blur()
    page.locator("#top-k input").fill("1")
    ask(page)
    finished(page)
    assert page.locator("#stage img").count() == 2
    with page.expect_download() as download:
        page.get_by_role("link", name="Download PNG").nth(1).click()
    download.value.save_as(tmp_path / "second.png")
    request = read_record(tmp_path / "second.png").request
    shown = int(page.locator("#seed input").input_value())
    assert request.seed == (shown + 1) % 2**32
    assert (request.negative_prompt, request.guidance, request.temperature, request.top_k) == (
        "snow",
        4.5,
        0.7,
        1,
    )


def test_example_is_drawn_at_a_click(app_url, new_page):
    page = new_page(app_url)
    page.locator("#examples button").filter(has_text=EXAMPLES[1]).click()
    finished(page)
    assert page.locator("#prompt textarea").input_value() == EXAMPLES[1]
    assert page.locator("#stage img").get_attribute("alt") == EXAMPLES[1]


def test_empty_prompt_is_answered_at_once_and_loses_nothing(server, new_page):
    page = new_page(server.url)
    page.locator("#guidance input[type=number]").fill("4")
    ask(page, "   ")
    page.locator("#status [role=alert]").wait_for()
    assert "The prompt is empty" in page.locator("#status").inner_text()
    assert page.locator("#guidance input[type=number]").input_value() == "4"
    assert page.locator("#generate").is_visible()
    server.gate.open()
    ask(page)
    finished(page)


def test_stop_ends_within_one_scale_and_the_next_run_works(server, new_page):
    page = new_page(server.url)
    ask(page)
    for scale in range(3):
        server.gate.let(1)
        status(page, f"Scale {scale + 1} of {len(SCALES)}")
    page.locator("#stop").click()
    page.locator("#stop").filter(has_text="Stopping").wait_for()
    server.gate.let(1)
    status(page, "Stopped after scale 3 of 7.")
    assert page.locator("#stage img").count() == 1, "what was drawn stays"
    assert page.locator("#generate").is_visible()
    server.gate.open()
    ask(page, "two cute penguins")
    finished(page)


def test_second_enter_while_drawing_changes_nothing(server, new_page):
    page = new_page(server.url)
    ask(page)
    server.gate.let(1)
    status(page, "Scale 1 of 7")
    with page.expect_response(lambda response: "/run/predict" in response.url):
        ask(page, "something else")
    server.gate.open()
    finished(page)
    assert [r.prompt for r in server.manager.pipelines["default"].requests] == [PROMPT]
    assert page.locator("#stage img").get_attribute("alt") == PROMPT


def test_nothing_jumps_while_the_picture_grows(server, new_page):
    page = new_page(server.url)
    watched = ("#stage", "#strip", "#settings", "#prompt")
    before = [box(page, selector) for selector in watched]
    ask(page)
    for scale in (1, 2, 3):
        server.gate.let(1)
        status(page, f"Scale {scale} of 7")
        assert [box(page, selector) for selector in watched] == before
    server.gate.open()
    finished(page)
    assert [box(page, selector) for selector in watched] == before


def test_reload_in_the_middle_frees_the_model(server, new_page):
    page = new_page(server.url)
    ask(page)
    server.gate.let(1)
    status(page, "Scale 1 of 7")
    page.reload()
    page.locator("#prompt textarea").wait_for()
    server.gate.open()
    ask(page, "after the reload")
    finished(page)
    assert page.locator("#stage img").get_attribute("alt") == "after the reload"


def test_second_browser_waits_its_turn_and_may_give_up(server, new_page):
    first, second, third = (new_page(server.url) for _ in range(3))
    ask(first, "the first")
    server.gate.let(1)
    status(first, "Scale 1 of 7")
    ask(second, "the second")
    status(second, "Waiting for a turn")
    ask(third, "the third")
    status(third, "Waiting for a turn")
    second.locator("#stop").click()
    status(second, "Stopped.")
    assert second.locator("#generate").is_visible()
    server.gate.open()
    finished(first)
    finished(third)
    prompts = [request.prompt for request in server.manager.pipelines["default"].requests]
    assert prompts == ["the first", "the third"]


def test_failure_in_the_middle_is_one_sentence(server, new_page):
    page = new_page(server.url)
    server.manager.pipelines["default"].error = ResourceError(
        "Out of memory while drawing; choose fewer pictures."
    )
    server.gate.open()
    ask(page)
    page.locator("#status [role=alert]").wait_for()
    status(page, "Out of memory while drawing; choose fewer pictures.")
    assert page.locator("#stage img").count() == 1
    server.manager.pipelines["default"].error = None
    ask(page)
    finished(page)


def test_another_model_brings_its_ratios_and_shows_its_loading(server, new_page):
    page = new_page(server.url)
    page.locator("#model input").click()
    page.get_by_role("option", name="Another model").click()
    page.locator("#aspect-ratio input").click()
    page.get_by_role("option", name="1:2 · 96 × 192 px").click()
    assert page.get_by_role("option", name="2:1").count() == 0
    server.manager.load_seconds = 2.0
    server.gate.open()
    ask(page)
    status(page, "Reading the transformer · ")
    finished(page)
    assert server.manager.pipelines["other"].requests[0].aspect_ratio == "1:2"
    size = box(page, "#stage img")
    assert size["height"] == pytest.approx(2 * size["width"], rel=0.02)


def test_keyboard_alone_is_enough(server, new_page):
    page = new_page(server.url)
    page.locator("#prompt textarea").focus()
    page.keyboard.type("a castle at sunset")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "generate"
    server.gate.let(1)
    page.keyboard.press("Enter")
    status(page, "Scale 1 of 7")
    page.locator("#stop").focus()
    page.keyboard.press("Enter")
    page.locator("#stop").filter(has_text="Stopping").wait_for()
    server.gate.open()
    status(page, "Stopped after scale 1 of 7.")


@pytest.mark.parametrize(
    ("name", "viewport", "scheme"),
    [("desktop", DESKTOP, "light"), ("dark", DESKTOP, "dark"), ("phone", PHONE, "light")],
)
def test_page_fits_and_is_photographed(
    name, viewport, scheme, model_folder, new_page, tmp_path, monkeypatch
):
    """Screenshots of the shipped model's page: idle, in the middle, at the end."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    pipeline = InfinityPipeline.from_pretrained(model_folder, device="cpu", dtype="float32")
    server = Server(GatedManager(pipeline, Gate()))
    try:
        page = new_page(server.url, viewport, scheme)
        shot(page, f"{name}-idle")
        ask(page)
        scales = page.locator(".strip li").count()
        server.gate.let(scales - 2)
        status(page, f"Scale {scales - 2} of {scales}")
        shot(page, f"{name}-drawing")
        server.gate.open()
        finished(page)
        page.wait_for_function("document.querySelector('#stage img').complete")
        shot(page, f"{name}-done")
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width <= viewport["width"], "nothing sticks out sideways"
    finally:
        server.gate.open()
        server.app.close()
