"""Start the page: ``python app.py --model NAME_OR_FOLDER --port 7860``."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
from contextlib import ExitStack
from pathlib import Path

import torch

import infinity
from infinity.checkpoints.adapter import read_adapter
from infinity.checkpoints.load import adapted_name
from infinity.console import bypass_proxies, tolerate_any_text
from infinity.devices import DTYPES, memory_of, resolve_device
from infinity.errors import InfinityError
from infinity.hosting import Allowance, Hosting
from infinity.manager import ModelManager
from infinity.pipeline import InfinityPipeline
from infinity.registry import DEFAULT_MODEL
from infinity.saving import SAVINGS
from infinity.spec import CONFIG_FILE, read_spec
from infinity.ui.app import build_app, launch_options
from infinity.ui.hosted import Health, trust_proxies
from infinity.ui.runs import Runs
from infinity.ui.spaces import SharedGpuLoader, shared_gpu
from infinity.ui.storage import opened_storage

SPACE_SETTINGS = Path(__file__).parent / "assets" / "hosting.toml"
MOST_OF_MEMORY = 0.8


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--version", action="version", version=f"infinity {infinity.__version__}")
    parser.add_argument(
        "--model",
        default=DEFAULT_MODEL,
        metavar="NAME_OR_FOLDER",
        help="the model to begin with: a name from `python -m infinity models`, or a model's folder",
    )
    parser.add_argument(
        "--adapter", metavar="FOLDER", help="a fine-tuned adapter for the model to begin with"
    )
    parser.add_argument("--host", help="address to listen on (else $GRADIO_SERVER_NAME, 127.0.0.1)")
    parser.add_argument(
        "--port", type=int, help="port (else $GRADIO_SERVER_PORT, the first free from 7860)"
    )
    parser.add_argument("--device", help="cpu, cuda, cuda:1, mps (the best there is by default)")
    parser.add_argument("--dtype", choices=sorted(DTYPES), help="precision (default: by device)")
    parser.add_argument(
        "--saving",
        choices=tuple(SAVINGS),
        default="none",
        help="memory to save: some (text encoder on the CPU), most (and decode in strips)",
    )
    parser.add_argument(
        "--hosting",
        metavar="FILE",
        help="settings of a public page (default: assets/hosting.toml on a Space, none elsewhere)",
    )
    parser.add_argument("--mcp", action="store_true", help="serve the endpoints as MCP tools too")
    parser.add_argument("--share", action="store_true", help="open a public link through Gradio")
    parser.add_argument("--open", action="store_true", help="open the page in a browser")
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> int:
    """Serve until interrupted. Returns the exit status: 0, or 1 with a line on what went wrong."""
    options = parse(arguments)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    tolerate_any_text()
    bypass_proxies()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # as an interrupt: files are removed
    with ExitStack() as stack:
        return serve(options, stack)


def serve(options: argparse.Namespace, stack: ExitStack) -> int:
    """As :func:`main`; what must be put away at the end goes on ``stack``."""
    try:
        gpu = shared_gpu()  # before anything asks for CUDA
        device = resolve_device(options.device)
        hosting = read_hosting(options.hosting)
        ceiling = hosting.disk_megabytes * 1_000_000 or None
        storage = stack.enter_context(opened_storage(ceiling))
        name, folders = options.model, {}
        if (Path(name) / CONFIG_FILE).is_file():
            folders = {(spec_name := read_spec(name).name): name}
            name = spec_name
        adapted = {}
        if options.adapter is not None:
            read_adapter(options.adapter)
            base, name = name, adapted_name(name, options.adapter)
            adapted = {name: (base, options.adapter)}
        manager = ModelManager(
            memory_budget(hosting, device),
            options.device,
            options.dtype,
            models=folders,
            adapted=adapted,
            saving=options.saving,
            loader=InfinityPipeline.from_pretrained if gpu is None else SharedGpuLoader(gpu),
        )
        runs = Runs(Allowance(hosting))
        app = build_app(manager, name, runs)
        health = Health(manager, runs)
        if hosting.warm_up:
            health.warm_up(name)
        trust_proxies(hosting)
        app.launch(
            server_name=bracketed(options.host),
            server_port=options.port,
            share=options.share,
            inbrowser=options.open,
            mcp_server=options.mcp or None,
            **launch_options(app, runs, health, storage),
        )
    except (InfinityError, OSError) as error:
        # Gradio raises OSError, with a sentence, when the port is taken.
        sys.stderr.write(f"app.py: {error}\n")
        return 1
    return 0


def read_hosting(path: str | None) -> Hosting:
    """The settings in ``path``; by default the shipped ones on a Space, and no limits elsewhere.

    Raises:
        RequestError: the file cannot be read, or a setting in it is out of range.
    """
    if path is not None:
        return Hosting.from_file(path)
    return Hosting.from_file(SPACE_SETTINGS) if os.environ.get("SPACE_ID") else Hosting()


def bracketed(host: str | None) -> str | None:
    """An IPv6 address as it stands in a link, which is how Gradio wants it."""
    return f"[{host}]" if host and ":" in host and not host.startswith("[") else host


def memory_budget(hosting: Hosting, device: torch.device) -> int | None:
    """Bytes for all models together: what the host set, else most of what the device has."""
    if hosting.memory_gigabytes:
        return round(hosting.memory_gigabytes * 1e9)
    memory = memory_of(device)
    return None if memory is None else round(MOST_OF_MEMORY * memory[1])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
