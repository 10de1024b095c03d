"""The page in a real browser, as a person uses it. Skipped only where no Chromium is installed.

Two kinds of server: ``app.py`` itself, started as a user starts it, with the shipped model (or a tiny
one where none is shipped); and the same page over a pipeline whose scales wait for the test, for all
that happens in the middle of a run. With INFINITY_SCREENSHOTS set, pictures of it go to
tests/artefacts/. One test file a tab.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infinity.pipeline import InfinityPipeline
from infinity.registry import DEFAULT_MODEL_FOLDER
from tests.e2e.steps import DESKTOP, PATIENCE_MS, Server, served
from tests.tiny import tiny_folder
from tests.ui.fakes import FakeManager, Gate, GatedManager

BROWSERS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, BROWSERS)), "")
"""The first starts no window of its own, so a page costs it half as much."""
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update",
)  # fmt: skip

# Notes every address the first picture on the stage has had, as the page changes it.
WATCH_STAGE = """
window.seen = [];
new MutationObserver(() => {
  const image = document.querySelector('#stage img');
  if (image && image.src !== window.seen.at(-1)) window.seen.push(image.src);
}).observe(document, {subtree: true, childList: true, attributes: true, attributeFilter: ['src']});
"""


@pytest.fixture(scope="package", autouse=True)
def browser() -> Iterator[Any]:
    """Before every other fixture, so that nothing starts in vain where there is no browser."""
    if not CHROMIUM:
        pytest.skip("no Chromium is installed")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        flags = [*FLAGS, "--js-flags=--no-opt"]  # a page lives for seconds here
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield browser
        browser.close()


class Tabs:
    """Opens pages, each in a browser of its own that has never been there.

    A test's first page, its second and so on are used again by the next test, everything they kept
    forgotten: where Gradio's scripts are loaded and compiled, a page costs two thirds.

    Attributes:
        foreign: addresses of other hosts that pages asked for.
        errors: that pages logged.
    """

    def __init__(self, browser: Any) -> None:
        self._browser = browser
        self._addresses: set[str] = set()
        self._kept: list[Any] = []
        self._opened: list[Any] = []
        self.foreign: list[str] = []
        self.errors: list[str] = []

    def open(
        self, url: str, viewport: dict[str, int] = DESKTOP, scheme: str = "light", script: str = ""
    ) -> Any:
        """``script`` runs before those of the page, whenever it is loaded."""
        self._addresses.add(url.partition("?")[0])
        page = self._new(script) if script else self._next()
        self._opened.append(page)
        page.set_viewport_size(viewport)
        page.emulate_media(color_scheme=scheme)
        page.goto(url)
        page.locator("#prompt textarea").wait_for()
        return page

    def close(self) -> None:
        """All pages of a test; what they kept goes."""
        for page in self._opened:
            context = page.context
            if page not in self._kept or page.is_closed():
                context.close()
                continue
            for copy in context.pages[1:]:
                copy.close()
            page.evaluate("() => addEventListener('pagehide', () => sessionStorage.clear())")
            page.goto("about:blank")
            context.clear_cookies()
            session = context.new_cdp_session(page)
            for url in self._addresses:
                session.send("Storage.clearDataForOrigin", {"origin": url, "storageTypes": "all"})
            session.detach()
        self._kept = [page for page in self._kept if not page.is_closed()]
        for seen in (self._opened, self._addresses, self.foreign, self.errors):
            seen.clear()

    def _next(self) -> Any:
        free = [page for page in self._kept if page not in self._opened]
        if not free:
            self._kept += (free := [self._new()])
        return free[0]

    def _new(self, script: str = "") -> Any:
        context = self._browser.new_context()
        context.set_default_timeout(PATIENCE_MS)
        page = context.new_page()
        page.add_init_script(WATCH_STAGE + script)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("request", lambda request: self._asked(request.url))
        return page

    def _asked(self, address: str) -> None:
        if not address.startswith((*self._addresses, "data:", "blob:", "about:")):
            self.foreign.append(address)


@pytest.fixture(scope="package")
def tabs(browser: Any) -> Tabs:
    return Tabs(browser)


@pytest.fixture
def new_page(tabs: Tabs) -> Iterator[Any]:
    """Opens pages; afterwards checks that none asked a foreign host or logged an error."""
    yield tabs.open
    foreign, errors = [*tabs.foreign], [*tabs.errors]
    tabs.close()
    assert foreign == []
    assert errors == []


@pytest.fixture(scope="package")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if (DEFAULT_MODEL_FOLDER / "config.json").is_file():
        return DEFAULT_MODEL_FOLDER
    return tiny_folder(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture(scope="package")
def app_url(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """``python app.py``; nothing in it may fail unforeseen."""
    folder = tmp_path_factory.mktemp("app")
    log = folder / "log.txt"
    with served(model_folder, log, GRADIO_TEMP_DIR=str(folder / "gradio")) as url:
        yield url
        text = log.read_text()
        assert "Traceback" not in text, text


@pytest.fixture(scope="package")
def files_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Where the servers of this process put their pictures."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(tmp_path_factory.mktemp("pictures")))
        yield


@pytest.fixture(scope="package")
def shared_server(files_folder: None) -> Iterator[Server]:
    server = Server(FakeManager())
    yield server
    server.app.close()


@pytest.fixture
def server(shared_server: Server) -> Iterator[Server]:
    """One for all tests, with a model nobody has used and a gate of the test's own."""
    shared_server.manager.reset(Gate())
    yield shared_server
    shared_server.gate.open()
    shared_server.forget_pages()
    shared_server.wait_until_idle()


@pytest.fixture(scope="package")
def shared_real_server(model_folder: Path, files_folder: None) -> Iterator[Server]:
    pipeline = InfinityPipeline.from_pretrained(model_folder, device="cpu", dtype="float32")
    server = Server(GatedManager(pipeline, Gate()))
    yield server
    server.app.close()


@pytest.fixture
def real_server(shared_real_server: Server) -> Iterator[Server]:
    """The page over a real model whose scales wait at a gate of the test's own."""
    shared_real_server.manager.gate = Gate()
    yield shared_real_server
    shared_real_server.gate.open()
    shared_real_server.forget_pages()
    shared_real_server.wait_until_idle()
