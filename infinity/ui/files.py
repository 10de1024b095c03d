"""Finished pictures as files the browser may fetch."""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from gradio.route_utils import API_PREFIX
from gradio.utils import get_upload_folder
from PIL import Image

from infinity.metadata import save_png


def save_pictures(images: Sequence[Image.Image], prompt: str, seeds: Sequence[int]) -> list[Path]:
    """Write PNGs that carry their records to a new, unguessable folder the page may serve.

    Raises:
        ResourceError: the folder cannot be written (a full disk, say).
    """
    folder = Path(get_upload_folder()) / secrets.token_hex(16)
    return [
        save_png(image, folder / file_name(prompt, seed))
        for image, seed in zip(images, seeds, strict=True)
    ]


def file_name(prompt: str, seed: int) -> str:
    """``infinity-a-red-apple-42.png``: plain ASCII, short, recognisable."""
    words = re.findall(r"[a-z0-9]+", prompt.lower())
    stem = "-".join(words)[:48].strip("-")
    return f"infinity-{stem}-{seed}.png" if stem else f"infinity-{seed}.png"


def address(path: Path) -> str:
    """The file's address relative to the page, so that it holds behind a proxy's path too."""
    return f"{API_PREFIX.lstrip('/')}/file={quote(str(path))}"
