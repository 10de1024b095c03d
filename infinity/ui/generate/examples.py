"""Prompts to begin with: a model's own, with the pictures that it made of them where they are shipped."""

import json
from dataclasses import dataclass
from functools import lru_cache
from html import escape
from pathlib import Path

from infinity.registry import DEFAULT_MODEL
from infinity.shipped import shipped
from infinity.spec import ModelSpec
from infinity.ui.shared.files import data_uri

EXAMPLES_FOLDER = shipped("assets/examples")
"""Written by ``python -m training.pages examples``."""
OF_ALL_KINDS = (
    "a lighthouse on a cliff in a storm, huge waves, dramatic light, oil painting",
    "a tabby cat asleep on a pile of old books by a window, soft morning light, photograph",
    "a street market in Marrakesh at dusk, lanterns, spices in the foreground, film still",
    "a glass greenhouse full of ferns in the snow, seen from above, isometric illustration",
)


@dataclass(frozen=True)
class Example:
    """A prompt, a seed, and the picture that the default model made of them, a WebP of a few
    kilobytes; of another model there is none."""

    prompt: str
    seed: int
    picture: bytes = b""

    @property
    def html(self) -> str:
        words = f"<span>{escape(self.prompt)}</span>"
        if not self.picture:
            return words
        return f'<img src="{data_uri(self.picture, "webp")}" alt="" width="72" height="72">{words}'


@lru_cache(maxsize=2)
def read_examples(folder: Path = EXAMPLES_FOLDER) -> tuple[Example, ...]:
    """The examples in a folder; none where there is no such folder."""
    index = folder / "examples.json"
    entries = json.loads(index.read_text(encoding="utf-8")) if index.is_file() else ()
    return tuple(
        Example(entry["prompt"], entry["seed"], (folder / entry["file"]).read_bytes())
        for entry in entries
    )


def examples_of(spec: ModelSpec) -> tuple[Example, ...]:
    """A model's examples: none for a small world that is not the default's."""
    if spec.name == DEFAULT_MODEL:
        return read_examples()
    return () if spec.vocabulary else tuple(Example(prompt, 0) for prompt in OF_ALL_KINDS)


def samples(examples: tuple[Example, ...]) -> list[list[str]]:
    """As ``gr.Dataset`` takes them."""
    return [[example.html] for example in examples]
