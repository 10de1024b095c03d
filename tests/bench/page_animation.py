"""An animated picture of the page: ``python -m tests.bench.page_animation OUT.gif``.

Opens the real page over a real model in Chromium, draws one picture with the scales let through one
by one, photographs each, and writes a GIF or WebP (by the name) that stays below ``MAX_BYTES``.
"""

from __future__ import annotations

import argparse
import io
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

from infinity.pipeline import InfinityPipeline
from tests.e2e.conftest import CHROMIUM, FLAGS
from tests.e2e.steps import Server, ask, choose_seed, finished, status
from tests.ui.fakes import Gate, GatedManager

MAX_BYTES = 1_500_000
SCALE_MS, LAST_MS = 550, 2600
SETTLE_MS = 400
WIDTHS = (1100, 960, 840, 720, 600, 480)


def photograph(page: Page, gate: Gate, prompt: str, seed: int) -> list[Image.Image]:
    """The empty page, every scale, the finished picture."""
    page.locator(".strip li").first.wait_for()
    scales = page.locator(".strip li").count()
    choose_seed(page, seed)
    frames = [_shot(page)]
    ask(page, prompt)
    for scale in range(1, scales):
        gate.let(1)
        status(page, f"Scale {scale} of {scales}")
        page.locator(".strip li.drawn").nth(scale - 1).wait_for()
        frames.append(_shot(page))
    gate.open()
    finished(page)
    page.locator(".strip .fact").filter(has_not_text="rough").wait_for()
    return [*frames, _shot(page)]


def _shot(page: Page) -> Image.Image:
    page.wait_for_timeout(SETTLE_MS)
    return Image.open(io.BytesIO(page.screenshot(animations="disabled"))).convert("RGB")


def write(frames: list[Image.Image], path: Path) -> int:
    """As wide as fits into ``MAX_BYTES``; returns the width."""
    durations = [SCALE_MS] * (len(frames) - 1) + [LAST_MS]
    for width in WIDTHS:
        height = round(frames[0].height * width / frames[0].width)
        small = [frame.resize((width, height), Image.Resampling.LANCZOS) for frame in frames]
        if path.suffix == ".gif":
            small = _with_one_palette(small)
        small[0].save(
            path, save_all=True, append_images=small[1:], duration=durations, loop=0, optimize=True
        )
        if path.stat().st_size <= MAX_BYTES:
            return width
    raise SystemExit(f"{path} stays larger than {MAX_BYTES:,} bytes; name a .webp file.")


def _with_one_palette(frames: list[Image.Image]) -> list[Image.Image]:
    """256 colours for all frames, so that what does not move is stored once."""
    width, height = frames[0].size
    sheet = Image.new("RGB", (width, height * len(frames)))
    for index, frame in enumerate(frames):
        sheet.paste(frame, (0, index * height))
    palette = sheet.quantize(256)
    return [frame.quantize(palette=palette) for frame in frames]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path, help="a .gif or .webp file")
    parser.add_argument("--model", default="default")
    parser.add_argument("--prompt", default="a red apple on a sandy beach")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--dark", action="store_true")
    options = parser.parse_args()
    gate = Gate()
    pipeline = InfinityPipeline.from_pretrained(options.model)
    server = Server(GatedManager(pipeline, gate))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        page = browser.new_page(
            viewport={"width": 1200, "height": 1080},
            color_scheme="dark" if options.dark else "light",
        )
        page.goto(server.url)
        page.locator("#prompt textarea").wait_for()
        frames = photograph(page, gate, options.prompt, options.seed)
        browser.close()
    server.app.close()
    width = write(frames, options.output)
    sys.stdout.write(
        f"{options.output}: {len(frames)} frames, {width} pixels wide, "
        f"{options.output.stat().st_size:,} bytes\n"
    )


if __name__ == "__main__":
    main()
