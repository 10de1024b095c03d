"""The pictures of docs/page.md: ``python -m tests.bench.page_screenshots docs/images``.

Opens the real page over a real model in Chromium, uses every tab as a person would, and writes one
WebP a tab and look. Run it again whenever the page or the default model changes.
"""

from __future__ import annotations

import argparse
import io
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from infinity.manager import ModelManager
from tests.e2e.conftest import CHROMIUM, FLAGS
from tests.e2e.steps import (
    DESKTOP,
    PATIENCE_MS,
    PHONE,
    SETTLE_MS,
    WIDE,
    Server,
    ask,
    brush,
    choose_seed,
    draw_edit,
    finished,
    open_tab,
)

MAX_BYTES = 2_000_000
QUALITY = 42
PROMPTS = (
    "a panda on a green background",
    "a castle at sunset",
    "a penguin in the snow",
    "a yellow star in space",
    "a red apple on a sandy beach",
)


@dataclass(frozen=True)
class Look:
    """A window; pictures are cut off at ``tallest`` pixels."""

    viewport: dict[str, int]
    scheme: str
    tallest: int


LOOKS = {
    "desktop": Look(DESKTOP, "light", 1500),
    "phone": Look(PHONE, "light", 1700),
    "dark": Look(DESKTOP, "dark", 1500),
    "wide": Look(WIDE, "light", 1500),
}
SHIPPED = ("desktop", "phone", "dark")


def use_every_tab(page: Page) -> Any:
    """Yields a tab's name when there is something to photograph in it."""
    for seed, prompt in enumerate(PROMPTS):
        choose_seed(page, seed)
        ask(page, prompt)
        page.wait_for_function("seed => window.infinityHistory.read().length > seed", arg=seed)
    finished(page)
    page.locator("#strip .fact").filter(has_not_text="rough").wait_for()
    yield "generate"
    open_tab(page, "Edit")
    page.locator("#edit-latest").click()
    page.locator("#edit-tree [data-number]").wait_for()
    page.locator("#edit-prompt textarea").fill("a green apple on a sandy beach")
    page.wait_for_timeout(SETTLE_MS)  # the canvas has put its picture in place
    brush(page, (0.3, 0.4), (0.7, 0.4), (0.7, 0.6), (0.3, 0.6), (0.3, 0.75), (0.7, 0.75))
    draw_edit(page)
    page.locator("#edit-tree footer p").filter(has_text="bits kept").wait_for()
    yield "edit"
    open_tab(page, "Inside")
    page.locator("#inside-latest").click()
    page.locator("#inside-status .message").filter(has_text="Read in").wait_for()
    page.locator("#inside-viewer .steps button").nth(3).click()
    page.locator("#inside-viewer .field").nth(1).click()
    page.locator("#inside-token .bit").nth(2).click()
    page.locator("#inside-flip .figures").wait_for()
    yield "inside"
    open_tab(page, "Grid")
    page.locator("#grid-x input").click()
    page.get_by_role("option", name="Prompt words").click()
    page.locator("#grid-x-values textarea").fill("red, blue, green, yellow")
    page.locator("#grid-y-values textarea").fill("1, 3, 5")
    page.locator("#draw-grid").click()
    page.locator("#grid-status .is-done").wait_for()
    yield "grid"
    open_tab(page, "History")
    page.locator(".cards button").nth(1).click()
    page.locator(".picture-details").wait_for()
    yield "history"
    open_tab(page, "Tokenizer")
    page.locator("#tokenizer-latest").click()
    page.locator("#tokenizer-status .is-done").wait_for()
    yield "tokenizer"
    open_tab(page, "Models")
    page.locator("#models-plan dl").wait_for()
    yield "models"
    open_tab(page, "API")
    page.locator("#api-page h1").wait_for()
    yield "api"


def photograph(browser: Browser, url: str, look: Look) -> dict[str, Image.Image]:
    """Every tab in use, by its name."""
    context = browser.new_context(viewport=look.viewport, color_scheme=look.scheme)  # type: ignore[arg-type]
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    page.goto(url)
    page.locator(".strip li").first.wait_for()
    pictures: dict[str, Image.Image] = {}
    for tab in use_every_tab(page):
        page.evaluate("scrollTo(0, 0)")
        page.wait_for_timeout(600)
        taken = page.screenshot(full_page=True, animations="disabled")
        picture = Image.open(io.BytesIO(taken)).convert("RGB")
        tallest = look.viewport["height"] if tab == "api" else look.tallest
        pictures[tab] = picture.crop((0, 0, picture.width, min(picture.height, tallest)))
    context.close()
    return pictures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--looks", nargs="+", choices=tuple(LOOKS), default=SHIPPED)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    server = Server(ModelManager())
    total = 0
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        for name in options.looks:
            for tab, picture in photograph(browser, server.url, LOOKS[name]).items():
                path = options.folder / f"page-{tab}-{name}.webp"
                picture.save(path, quality=QUALITY, method=6)
                total += path.stat().st_size
                sys.stdout.write(f"{path}: {picture.width} x {picture.height}\n")
        browser.close()
    server.app.close()
    sys.stdout.write(f"{total:,} bytes altogether\n")
    if total > MAX_BYTES:
        raise SystemExit(f"This is more than {MAX_BYTES:,} bytes; lower QUALITY.")


if __name__ == "__main__":
    main()
