"""Setup of every entry point: terminal encoding, logging, proxies and home folders."""

import argparse
import importlib.util
import io
import logging
import os
import sys
from pathlib import Path

logger = logging.getLogger(__name__)

LOOPBACK = ("localhost", "127.0.0.1", "::1")
PROXIES = ("all_proxy", "http_proxy", "https_proxy")


def tolerate_any_text() -> None:
    """Write a character that the terminal cannot encode as an escape sequence instead of failing, and
    to memory what a program started with a closed output says."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, io.StringIO())
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def log_to_terminal(level: int = logging.INFO, form: str = "%(message)s") -> None:
    """Log lines on standard error; see :func:`tolerate_any_text`."""
    tolerate_any_text()
    logging.basicConfig(level=level, format=form, stream=sys.stderr)


def home_path(text: str) -> Path:
    """See :func:`expand_home`."""
    return Path(expand_home(text))


def expand_home(text: str) -> str:
    """A name or path as it was given, with ~ for the home folder where no shell has put it in.

    Raises:
        argparse.ArgumentTypeError: there is no such user.
    """
    try:
        return str(Path(text).expanduser()) if text.startswith("~") else text
    except RuntimeError as error:
        raise argparse.ArgumentTypeError(f"{text!r} names nobody's home folder") from error


def bypass_proxies(host: str | None = None) -> None:
    """This machine's own addresses are asked directly, whatever proxies the environment names; one
    that cannot be used is named and left out. Call it before Gradio is imported.

    Args:
        host: another address of this machine, where the page is served.
    """
    own = dict.fromkeys((*LOOPBACK, *((host.strip("[]"),) if host else ())))
    for name in ("no_proxy", "NO_PROXY"):
        known = [part.strip() for part in os.environ.get(name, "").split(",") if part.strip()]
        os.environ[name] = ",".join([*known, *(host for host in own if host not in known)])
    if importlib.util.find_spec("socksio") is not None:
        return
    for name in (*PROXIES, *map(str.upper, PROXIES)):
        if os.environ.get(name, "").lower().startswith("socks"):
            del os.environ[name]
            logger.warning(
                "the proxy in $%s is not used: SOCKS needs the package socksio (pip install socksio)",
                name,
            )
