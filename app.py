"""Start the page: ``python app.py --model NAME_OR_FOLDER --port 7860``."""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

from infinity.checkpoints.adapter import read_adapter
from infinity.checkpoints.load import adapted_name
from infinity.devices import DTYPES, resolve_device
from infinity.errors import InfinityError
from infinity.manager import ModelManager
from infinity.registry import DEFAULT_MODEL
from infinity.spec import CONFIG_FILE, read_spec
from infinity.ui.app import build_app, launch_options


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
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
    parser.add_argument("--share", action="store_true", help="open a public link through Gradio")
    parser.add_argument("--open", action="store_true", help="open the page in a browser")
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> int:
    """Serve until interrupted. Returns the exit status: 0, or 1 with a line on what went wrong."""
    options = parse(arguments)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    try:
        resolve_device(options.device)
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
            device=options.device, dtype=options.dtype, models=folders, adapted=adapted
        )
        app = build_app(manager, name)
        app.launch(
            server_name=options.host,
            server_port=options.port,
            share=options.share,
            inbrowser=options.open,
            **launch_options(),
        )
    except (InfinityError, OSError) as error:
        # Gradio raises OSError, with a sentence, when the port is taken.
        sys.stderr.write(f"app.py: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
