"""How quick the page is: ``python -m tests.bench.page_speed [--runs N]``, JSON out.

First paint and what is loaded for it, from a browser without a cache; then, in real runs of the
default model, the time from the click to the first preview and to the picture.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

from infinity.manager import ModelManager
from tests.e2e.conftest import CHROMIUM, FLAGS
from tests.e2e.steps import DESKTOP, PROMPT, Server, finished

PAINTS = """() => Object.fromEntries(
    performance.getEntriesByType('paint').map((entry) => [entry.name, Math.round(entry.startTime)]))"""
LOADED = """() => performance.getEntriesByType('resource').map(
    (entry) => [entry.transferSize, entry.name.split('/').pop().split('?')[0], entry.initiatorType])"""
WATCH = """() => {
    window.firstPreview = window.lastPicture = null;
    const started = performance.now();
    if (window.watcher) window.watcher.disconnect();
    window.watcher = new MutationObserver(() => {
        const image = document.querySelector('#stage img');
        if (!image) return;
        if (image.src.startsWith('data:') && !window.firstPreview)
            window.firstPreview = performance.now() - started;
        if (!image.src.startsWith('data:')) window.lastPicture ??= performance.now() - started;
    });
    window.watcher.observe(document.querySelector('#stage'),
        {subtree: true, childList: true, attributes: true, attributeFilter: ['src']});
    document.querySelector('#generate').click();
}"""


def open_page(browser: Browser, url: str) -> Page:
    page = browser.new_context(viewport=DESKTOP).new_page()
    page.goto(url)
    page.locator(".strip li").first.wait_for()
    return page


def paint(browser: Browser, url: str) -> dict[str, Any]:
    page = open_page(browser, url)
    loaded = page.evaluate(LOADED)
    figures = {
        **page.evaluate(PAINTS),
        "usable_ms": page.evaluate("() => Math.round(performance.now())"),
        "requests": len(loaded),
        "bytes": sum(size for size, *_ in loaded),
        "fonts": sum(name.endswith((".woff2", ".woff", ".ttf")) for _, name, _ in loaded),
        "largest": {name: size for size, name, _ in sorted(loaded, reverse=True)[:5]},
    }
    page.context.close()
    return figures


def run(page: Page) -> dict[str, int]:
    page.locator("#prompt textarea").fill(PROMPT)
    page.evaluate(WATCH)
    page.wait_for_function("() => window.lastPicture")
    finished(page)
    times = page.evaluate("() => [window.firstPreview, window.lastPicture]")
    return {"first_preview_ms": round(times[0] or 0), "picture_ms": round(times[1])}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    server = Server(ModelManager())
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        figures: dict[str, Any] = {
            "machine": platform.processor() or platform.machine(),
            "page": paint(browser, server.url),
        }
        page = open_page(browser, server.url)
        figures["first run, model loaded from disk"] = run(page)
        figures["runs"] = [run(page) for _ in range(options.runs)]
        browser.close()
    server.app.close()
    sys.stdout.write(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
