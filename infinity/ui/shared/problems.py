"""What a page says when something goes wrong: one sentence, and never what is inside the program."""

from __future__ import annotations

import logging
import re
import tempfile
from html import escape
from pathlib import Path

from gradio.utils import get_upload_folder

logger = logging.getLogger(__name__)

UNEXPECTED = "Something unexpected went wrong; the log of the program has the details."
MOST_SAID = 1000


def problem_html(sentence: str) -> str:
    """A sentence about what cannot be done, set apart on the page."""
    return f'<p class="page-note is-problem" role="alert">{escape(for_visitors(sentence))}</p>'


def for_visitors(error: Exception | str) -> str:
    """An error's sentence without places of the server, nor more than ``MOST_SAID`` characters."""
    roots = {get_upload_folder(), tempfile.gettempdir(), str(Path.home()), str(Path.cwd())}
    roots |= {str(Path(root).resolve()) for root in roots} | {str(_checkout())}
    pattern = "|".join(
        re.escape(root) for root in sorted(roots, key=len, reverse=True) if len(root) > 1
    )
    said = re.sub(rf"(?:{pattern})[^\s'\",;:)]*", "a file of the server", str(error))
    if said != str(error):
        logger.warning("%s", error)
    return said if len(said) <= MOST_SAID else f"{said[:MOST_SAID]} …"


def _checkout() -> Path:
    return Path(__file__).resolve().parents[3]
