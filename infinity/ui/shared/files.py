"""Finished pictures, as files the browser may fetch."""

import base64
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast
from urllib.parse import quote

from gradio import FileData
from gradio.route_utils import API_PREFIX
from gradio.utils import get_upload_folder
from PIL import Image

from infinity.files import is_there
from infinity.metadata import save_png
from infinity.prompt import words
from infinity.request import GenerationRequest

MOST_CHARACTERS = 4096
"""No path of a system is longer."""
BITS_FILE = "bits.npz"
NOT_OURS = "Send the PNG itself: upload it, and name the file you were given."


@dataclass(frozen=True)
class FinishedRun:
    """What was drawn, with what, and where it lies.

    Attributes:
        model: the name the manager knows it by.
        request: every setting spelled out; ``request.seeds[i]`` is the seed of ``files[i]``.
        files: PNGs the page may serve, each carrying its own record; deleted after a day.
        seconds: the whole run took.
        when: the end of the run, in seconds since 1970.
        captions: what each was drawn from where its prompt was completed, else "".
    """

    model: str
    request: GenerationRequest
    files: tuple[Path, ...]
    seconds: float
    when: float
    captions: tuple[str, ...] = ()


def save_pictures(images: Sequence[Image.Image], request: GenerationRequest) -> list[Path]:
    """Write a request's PNGs, which carry their records, to a new folder.

    Raises:
        ResourceError: the folder cannot be written (a full disk, say).
    """
    folder = new_folder()
    return [
        save_png(image, folder / file_name(prompt, seed))
        for image, prompt, seed in zip(images, request.prompts, request.seeds, strict=True)
    ]


def new_folder() -> Path:
    """A folder that the page may serve, under a name nobody can guess; not made yet."""
    return Path(get_upload_folder()) / secrets.token_hex(16)


def file_name(prompt: str, seed: int) -> str:
    """``infinity-a-red-apple-42.png``: plain ASCII, short, recognisable."""
    named = re.findall(r"[a-z0-9]+", words(prompt).lower())
    stem = "-".join(named)[:48].strip("-")
    return f"infinity-{stem}-{seed}.png" if stem else f"infinity-{seed}.png"


def data_uri(data: bytes, kind: str) -> str:
    """A small picture inside its own address; ``kind`` is webp, png or jpeg."""
    return f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}"


def address(path: Path) -> str:
    """The file's address relative to the page, so that it holds behind a proxy's path too."""
    return f"{API_PREFIX.lstrip('/')}/file={quote(str(path))}"


def file_data(path: Path) -> FileData:
    """A file as an endpoint returns it: Gradio wants a plain dictionary, and this type only for the
    endpoint's description."""
    return cast(FileData, FileData(path=str(path)).model_dump())


def own_file(name: object) -> Path | None:
    """The file of a name that was uploaded or drawn here; None for anything else."""
    if not isinstance(name, str) or "\0" in name or len(name) > MOST_CHARACTERS:
        return None
    folder = Path(get_upload_folder()).resolve()
    path = (folder / name).resolve()
    is_ours = path.is_relative_to(folder) and is_there(path) and path.is_file()
    return path if is_ours else None
