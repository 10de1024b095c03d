"""Start the page: ``python app.py --model NAME_OR_FOLDER --port 7860``.

``gradio app.py`` serves it too and builds it anew as files change; the page itself is ``app.demo``.
"""

import argparse
import atexit
import logging
import os
import signal
import socket
import sys
import threading
from contextlib import closing
from typing import Any, NoReturn

from infinity.console import bypass_proxies, expand_home, log_to_terminal
from infinity.devices import DTYPES
from infinity.errors import InfinityError, RequestError, quoted
from infinity.memory_modes import BUDGETS, MEMORY_MODES, PARTS
from infinity.registry import DEFAULT_MODEL
from infinity.ui.server.storage import opened_storage
from infinity.version import __version__

HOST_VARIABLE = "GRADIO_SERVER_NAME"
PORT_VARIABLES = ("GRADIO_SERVER_PORT", "GRADIO_NUM_PORTS")


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--version", action="version", version=f"infinity {__version__}")
    parser.add_argument(
        "--model",
        type=expand_home,
        default=DEFAULT_MODEL,
        metavar="NAME_OR_FOLDER",
        help="the model to begin with: a name from `python -m infinity models`, or a model's folder",
    )
    parser.add_argument(
        "--adapter",
        type=expand_home,
        metavar="PATH",
        help="a fine-tuned adapter for the model to begin with",
    )
    parser.add_argument("--host", help="address to listen on (else $GRADIO_SERVER_NAME, 127.0.0.1)")
    parser.add_argument(
        "--port", type=port, help="port (else $GRADIO_SERVER_PORT, the first free from 7860)"
    )
    parser.add_argument("--device", help="cpu, cuda, cuda:1, mps (the best there is by default)")
    parser.add_argument("--dtype", choices=sorted(DTYPES), help="precision (default: by device)")
    parser.add_argument(
        "--memory",
        "--memory-mode",
        "--saving",
        dest="memory_mode",
        default="none",
        metavar="MODE",
        help=f"memory to save: {', '.join((*MEMORY_MODES, *BUDGETS))}: a card's size takes what fits it at "
        f"least cost; or parts with commas between: {', '.join(PARTS)}",
    )
    parser.add_argument(
        "--hosting",
        type=expand_home,
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
    log_to_terminal(form="%(levelname)s %(name)s: %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    # Gradio looks for a free port at the address in this variable, which it takes for one of IPv4.
    options.host = options.host or os.environ.pop(HOST_VARIABLE, None)
    bypass_proxies(options.host)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # as an interrupt: files are removed
    try:
        check_address(options.host)
        with opened_storage() as storage:
            from infinity.ui.serve import Page, within_loop

            page = within_loop(Page, options, storage)
            globals()["demo"] = page.demo  # where Gradio's reload mode and a Space look for it
            with closing(page.runs):  # before the folder goes, where they would write
                within_loop(page.launch)
                page.demo.block_thread()
    except (InfinityError, OSError) as error:
        sys.stderr.write(f"app.py: {error}\n")
        return 1
    return 0


def check_address(host: str | None) -> None:
    """Raises RequestError for where no server can listen, which Gradio would be told of too late."""
    for name in PORT_VARIABLES:
        if not os.environ.get(name, "0").isdecimal():
            raise RequestError(f"${name} must be a whole number, not {quoted(os.environ[name])}.")
    try:
        socket.getaddrinfo(host and host.strip("[]"), 0)
    except (OSError, UnicodeError) as error:
        raise RequestError(
            f"There is no address {quoted(host)} to listen on ({error}); give one of this machine."
        ) from error


def port(text: str) -> int:
    """Raises ValueError."""
    if not 0 <= (number := int(text)) <= 65535:
        raise ValueError
    return number


def run() -> NoReturn:
    """:func:`main`, then the end of the process. Python's own end would unwind the threads that still
    draw or load in the middle of native code, which aborts."""
    try:
        status = main(sys.argv[1:])
    except SystemExit as end:
        status = int(end.code or 0)
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def __getattr__(name: str) -> Any:
    """``demo``: the page of no options, a Gradio Blocks, built when it is first asked for."""
    if name != "demo":
        raise AttributeError(name)
    from infinity.ui.serve import Page

    return globals().setdefault(name, Page(parse([])).demo)


if __name__ == "__main__":
    if threading.current_thread() is threading.main_thread():
        run()
    else:  # Gradio's reload mode runs this file again as files change, and takes its ``demo``
        from infinity.ui.serve import Page, within_loop

        demo = within_loop(Page, parse(sys.argv[1:])).demo
