"""Prompts to begin with, each with a small picture that the default model made of it."""

import json
from dataclasses import dataclass
from html import escape
from pathlib import Path

from infinity.shipped import shipped
from infinity.ui.shared.files import data_uri

EXAMPLES_FOLDER = shipped("assets/examples")
"""Written by ``python -m training.pages examples``."""
INDEX = "examples.json"


@dataclass(frozen=True)
class Example:
    """A prompt, a seed, and the picture they gave, a WebP of a few kilobytes."""

    prompt: str
    seed: int
    picture: bytes

    @property
    def html(self) -> str:
        return (
            f'<img src="{data_uri(self.picture, "webp")}" alt="" width="72" height="72">'
            f"<span>{escape(self.prompt)}</span>"
        )


def read_examples(folder: Path = EXAMPLES_FOLDER) -> tuple[Example, ...]:
    """The examples in a folder; none where there is no such folder."""
    if not (folder / INDEX).is_file():
        return ()
    entries = json.loads((folder / INDEX).read_text(encoding="utf-8"))
    return tuple(
        Example(entry["prompt"], entry["seed"], (folder / entry["file"]).read_bytes())
        for entry in entries
    )
