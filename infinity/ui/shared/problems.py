"""What a page says when something goes wrong: one sentence, and never what is inside the program."""

import logging
import re
from html import escape

logger = logging.getLogger(__name__)

UNEXPECTED = "Something unexpected went wrong; the log of the program has the details."
MOST_SAID = 1000
PLACE = re.compile(r"""(?<![\w:/.])(?:/|~/|[A-Za-z]:[\\/])[^\s'",;:)\\/]+[\\/][^\s'",;:)]*""")
"""An absolute path of two parts or more, of any system; no address of the web."""


def problem_html(sentence: str) -> str:
    """A sentence about what cannot be done, set apart on the page."""
    return f'<p class="page-note is-problem" role="alert">{escape(for_visitors(sentence))}</p>'


def for_visitors(error: Exception | str) -> str:
    """An error's sentence without places of the server, nor more than ``MOST_SAID`` characters."""
    said = PLACE.sub("a file of the server", str(error))
    if said != str(error):
        logger.warning("%s", error)
    return said if len(said) <= MOST_SAID else f"{said[:MOST_SAID]} …"
