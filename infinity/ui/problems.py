"""What a page says when something goes wrong: one sentence, and never what is inside the program."""

from __future__ import annotations

from html import escape

UNEXPECTED = "Something unexpected went wrong; the log of the program has the details."


def problem_html(sentence: str) -> str:
    """A sentence about what cannot be done, set apart on the page."""
    return f'<p class="page-note is-problem" role="alert">{escape(sentence)}</p>'
