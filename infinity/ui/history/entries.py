"""The history: what is kept of every finished picture, by the browser that asked for it.

The list lives in that browser alone (``keeper.js``); the server has only the PNG files, under
addresses nobody can guess, for a day. So an entry carries all that is needed once the file is gone:
the request and a small picture. Entries come back from the browser and are not trusted.
"""

import io
import json
import time
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Annotated, Any, Self

from gradio.utils import get_upload_folder
from PIL import Image
from pydantic import Field

from infinity.checks import Checked, text
from infinity.errors import RequestError
from infinity.files import disk_errors
from infinity.grid.axes import PARAMETERS, show
from infinity.images import open_image
from infinity.metadata import KEY, read_record, weights_note
from infinity.request import MAX_PROMPT_CHARACTERS, GenerationRequest, recorded
from infinity.ui.shared.files import FinishedRun, address, data_uri, new_folder

THUMBNAIL_PIXELS = 160
MOST_IN_A_ZIP = 500
ZIP_NAME = "infinity-pictures.zip"

SHOWN = "id", "words", "source"
"""What an entry has besides, for the lists in the browser."""
DAMAGED = "This entry of the history is damaged; remove it."
_FILE = r"[0-9a-f]{32}/infinity-[a-z0-9-]{1,80}\.png"


@dataclass(frozen=True, kw_only=True)
class Entry(Checked):
    """One finished picture.

    Attributes:
        model, request: ask for exactly this picture.
        file: below the folder the page's files are in; gone after a day.
        thumbnail: a small WebP inside its own address.
        when: its end, in seconds since 1970.
        weights: fingerprint of those that drew it; "" where it is not known.
        drawn_as: the caption that its prompt was completed to; "" where it was drawn as it is.
    """

    refusal = RequestError

    model: Annotated[str, text()]
    request: GenerationRequest
    file: Annotated[str, Field(pattern=rf"\A{_FILE}\z")]
    thumbnail: Annotated[
        str, Field(pattern=r"\Adata:image/webp;base64,[A-Za-z0-9+/=]+\z", max_length=60_000)
    ]
    when: Annotated[float, Field(ge=0, le=2**33)]
    weights: Annotated[str, Field(pattern=r"\A[0-9a-f]{0,64}\z")] = ""
    drawn_as: Annotated[str, text(MAX_PROMPT_CHARACTERS)] = ""

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready, with what the lists in the browser need."""
        source = address(Path(get_upload_folder(), self.file))
        return super().to_dict() | dict(zip(SHOWN, (self.file, self.words, source), strict=True))

    @classmethod
    def from_dict(cls, data: object) -> Self:
        """Raises RequestError for anything that :meth:`to_dict` did not make."""
        if not isinstance(data, dict):
            raise RequestError(DAMAGED)
        try:
            if not isinstance(data.get("request"), dict):
                raise RequestError(DAMAGED)
            own = {k: v for k, v in data.items() if k not in SHOWN}
            return super().from_dict(own | {"request": recorded(data["request"])})
        except RequestError as error:
            raise RequestError(DAMAGED) from error

    @property
    def words(self) -> str:
        """The prompt as it was drawn."""
        return self.request.prompts[0]


def entries_of(run: FinishedRun) -> list[Entry]:
    """One entry a picture, the last one first. Raises RequestError when a file is gone already."""
    pictures = [*zip(run.request.pictures(), run.files, strict=True)]
    return [
        Entry(
            model=run.model,
            request=request,
            file=f"{path.parent.name}/{path.name}",
            thumbnail=_thumbnail(image := open_image(path, "The picture")),
            when=run.when,
            **_recorded(image),
        )
        for request, path in reversed(pictures)
    ]


def _recorded(image: Image.Image) -> dict[str, str]:
    if KEY not in image.info:
        return {}
    record = read_record(image)
    return {"weights": record.weights, "drawn_as": record.drawn_as}


def details_html(entry: Entry, path: Path | None, title: str, here: str = "") -> str:
    """The chosen picture, as large as it is still there, and what made it.

    Args:
        path: its file, None when that is gone.
        title: the model's.
        here: fingerprint of the weights that the model has here.
    """
    source = address(path) if path is not None else entry.thumbnail
    words = escape(entry.words)
    gone = (
        '<p class="gone">The full picture is no longer on the server, where pictures stay for a day. '
        "Its settings are all here: draw it again.</p>"
    )
    shown = {"source": source, "words": entry.words, "seed": entry.request.seed}
    if path is not None:
        shown["download"] = path.name
    facts = {"Drawn as": entry.drawn_as} if entry.drawn_as else {}
    facts["Model"] = title
    for name, parameter in PARAMETERS.items():
        value = getattr(entry.request, name, None)
        if name != "prompt" and value not in (None, ""):
            facts[parameter.title] = show(value)
    if entry.request.candidates > 1:
        facts["Best of"] = (
            f"{entry.request.candidates} candidates, chosen by {entry.request.scorer}"
        )
    if entry.weights:
        facts["Weights"] = f"{entry.weights} {weights_note(entry.weights, here)}".rstrip()
    facts["Drawn"] = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(entry.when))
    listed = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>"
        for name, value in facts.items()
    )
    return (
        f'<article class="picture-details" data-picture="{escape(json.dumps(shown), quote=True)}">'
        f'<button type="button" class="open" aria-label="Open large: {words}">'
        f'<img src="{escape(source, quote=True)}" alt="{words}"></button>'
        f'<h2>{words}</h2><div class="slot">{gone if path is None else ""}</div><dl>{listed}</dl></article>'
    )


def zip_pictures(paths: Sequence[Path]) -> Path:
    """All files in one archive the page may serve, numbered so that equal names do not meet.

    Raises:
        ResourceError: the disk is full.
    """
    target = new_folder() / ZIP_NAME
    with disk_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
            for number, path in enumerate(paths, 1):
                archive.write(path, f"{number:03d}-{path.name}")
    return target


def _thumbnail(image: Image.Image) -> str:
    small = image.convert("RGB")
    small.thumbnail((THUMBNAIL_PIXELS, THUMBNAIL_PIXELS), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    small.save(buffer, "WEBP", quality=80)
    return data_uri(buffer.getvalue(), "webp")
