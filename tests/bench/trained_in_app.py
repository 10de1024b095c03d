"""A run on two processes, killed, continued, exported and shown by app.py, with a screenshot.

    python -m tests.bench.trained_in_app docs/images/trained.webp

Two gloo processes with the model split over them (FSDP2) go on from the shipped model on a few
pictures; both are killed (SIGKILL) after the first checkpoint; the same run is started again and
ends; ``training.export`` writes the folder that ``app.py --model`` opens in a browser. Prints JSON.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw
from playwright.sync_api import sync_playwright

from tests.e2e.conftest import CHROMIUM, FLAGS
from tests.e2e.steps import DESKTOP, PATIENCE_MS, ask, finished, served
from tests.training.engine.tiny_run import finish, start_training
from training.config import TrainingConfig, load_config
from training.engine.checkpoints import whole_steps
from training.engine.journal import read_metrics
from training.export import export

PROCESSES = 2
PATIENCE_S = 600
COLORS = ("red", "blue", "green", "yellow", "orange", "purple")
SIDE = 192


def write_pictures(folder: Path) -> None:
    """A ball in every colour, with its caption."""
    folder.mkdir(parents=True)
    for color in COLORS:
        picture = Image.new("RGB", (SIDE, SIDE), "white")
        ImageDraw.Draw(picture).ellipse((40, 40, SIDE - 40, SIDE - 40), fill=color)
        picture.save(folder / f"{color}.png")
        (folder / f"{color}.txt").write_text(f"a {color} ball on a white background")


def settings(folder: Path, start_from: str, steps: int) -> TrainingConfig:
    """Of a run in ``folder`` on ``folder/pictures``, split over all processes."""
    return load_config(
        overrides={
            "start_from": start_from,
            "output": str(folder / "run"),
            "data": {"sources": [str(folder / "pictures")], "workers": 0},
            "optimization": {"steps": steps, "batch_size": 4, "learning_rate": 1e-5},
            "parallel": {"shard": "full"},
            "logging": {"log_every": 1, "save_every": 2, "curves": False, "tensorboard": False},
        }
    )


def kill_and_continue(config: TrainingConfig) -> dict[str, Any]:
    """Train on two processes with a kill after the first checkpoint; what happened."""
    checkpoints = config.output / "checkpoints"
    running = start_training(config, PROCESSES)
    until = time.monotonic() + PATIENCE_S
    while not whole_steps(checkpoints) and all(p.exitcode is None for p in running):
        assert time.monotonic() < until, "no checkpoint came"
        time.sleep(0.02)
    for process in running:
        process.kill()
    for process in running:
        process.join()
    killed_at = whole_steps(checkpoints)
    problems = finish(start_training(config, PROCESSES))
    assert not problems, problems
    return {
        "processes": PROCESSES,
        "exit_codes_after_the_kill": [process.exitcode for process in running],
        "continued_from_step": killed_at[-1],
        "steps": [int(line["step"]) for line in read_metrics(config.output)],
    }


def draw_on_page(browser: Any, url: str, prompt: str, path: Path) -> None:
    """A screenshot of the page once the picture is there."""
    context = browser.new_context(viewport=DESKTOP)
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    page.goto(url)
    page.locator("#prompt textarea").wait_for()
    ask(page, prompt)
    finished(page)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.open(io.BytesIO(page.screenshot(animations="disabled"))).save(path)
    context.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("screenshot", type=Path)
    parser.add_argument("--start-from", default="default")
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--prompt", default="a red apple on a sandy beach")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        folder = Path(name)
        write_pictures(folder / "pictures")
        config = settings(folder, given.start_from, given.steps)
        told = kill_and_continue(config)
        exported = export(config.output, name="trained-on-two-processes")
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        with served(exported, folder / "log.txt") as url:
            draw_on_page(browser, url, given.prompt, given.screenshot)
        browser.close()
    sys.stdout.write(json.dumps({**told, "screenshot": str(given.screenshot)}) + "\n")


if __name__ == "__main__":
    main()
