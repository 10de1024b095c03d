"""Does the page's memory grow? Many generations in a row through the running page, as JSON.

``python -m tests.bench.page_memory --generations 200 --output memory.json``

Growth is the resident memory after the last generation over that after the tenth: until then caches
and allocators fill up. The figure to keep under is 1.02.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import json
import platform
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from gradio_client import Client

from infinity.manager import ModelManager
from infinity.registry import DEFAULT_MODEL
from infinity.ui.app import build_app, launch_options
from infinity.ui.shared.runs import Runs

SETTLED = 10
PROMPTS = ("a red apple on a sandy beach", "a penguin in the snow", "a castle at sunset")


def resident_bytes() -> int:
    """This process's resident memory, garbage collected and free blocks given back first. Linux."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


def measure(generations: int, model: str, manager: ModelManager | None = None) -> dict[str, Any]:
    """Resident bytes after every generation through ``/generate``, and their growth."""
    manager = manager or ModelManager(device="cpu")
    runs = Runs()
    app = build_app(manager, model, runs)
    _, url, _ = app.launch(
        **launch_options(app, runs), server_name="127.0.0.1", prevent_thread_lock=True, quiet=True
    )
    with tempfile.TemporaryDirectory() as folder:
        client = Client(url, verbose=False, download_files=folder)
        seen: list[int] = []
        for index in range(generations):
            client.predict(PROMPTS[index % len(PROMPTS)], seed=index, api_name="/generate")
            seen.append(resident_bytes())
        client.close()
    app.close()
    settled = seen[min(SETTLED, len(seen)) - 1]
    return {
        "generations": generations,
        "model": model,
        "after_tenth_bytes": settled,
        "after_last_bytes": seen[-1],
        "growth": seen[-1] / settled,
        "bytes": seen,
        "machine": platform.processor() or platform.machine(),
        "torch": torch.__version__,
        "commit": subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
        ).stdout.strip(),
    }


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--generations", type=int, default=200)
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--output", type=Path, help="JSON file; standard output by default")
    options = parser.parse_args(arguments)
    text = json.dumps(measure(options.generations, options.model), indent=1)
    if options.output is None:
        sys.stdout.write(text + "\n")
    else:
        options.output.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
