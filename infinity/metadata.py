"""A picture's record: model, settings and seed, stored in the PNG so that it can be drawn again.

The record is JSON under the key ``infinity`` of the PNG's text, and of ``Image.info`` in memory.
"""

import json
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from infinity.errors import RequestError, quoted
from infinity.files import disk_errors
from infinity.images import open_image
from infinity.request import MAX_PROMPT_CHARACTERS, MAX_THREADS, GenerationRequest, read_recipe
from infinity.wildcards import escape

KEY = "infinity"
MAX_VERSIONS = 20
MOST_CHOSEN = 300


@dataclass(frozen=True, kw_only=True)
class PictureRecord:
    """What made one picture.

    Attributes:
        request: asks for exactly this picture: every setting spelled out, this picture's own seed,
            one picture.
        model: name of the model.
        weights: their fingerprint (``infinity.checkpoints.fingerprint``); "" in older pictures.
        chosen: which of several candidates it is, and who chose; "" where it was the only one.
        drawn_as: the caption that the prompt was read and completed to; "" where it was drawn as it is.
        template: the prompt as it was written, where it had wildcards; the request's has none.
        batch: the request whose pictures were drawn in one pass (as a GPU does), of which ``request`` is
            number ``place``, from 0; None where the picture was drawn by itself. Only all of it gives the
            same pixels again.
        device, dtype, threads: where and how it was computed; another device, precision or number
            of CPU threads may round differently and so flip bits.
        memory: the parts of the memory mode (``infinity.memory_modes``), some of which round.
        versions: of this package and of torch.
    """

    request: GenerationRequest
    model: str
    weights: str = ""
    device: str = ""
    dtype: str = ""
    memory: str = ""
    threads: int = 0
    versions: Mapping[str, str] = field(default_factory=dict)
    template: str = ""
    chosen: str = ""
    drawn_as: str = ""
    batch: GenerationRequest | None = None
    place: int = 0

    @property
    def only(self) -> int | None:
        """Which picture of ``batch or request`` is this one; None for all there is."""
        return None if self.batch is None else self.place

    @property
    def as_drawn(self) -> GenerationRequest:
        """The request for the same picture under the caption that its prompt was completed to: what is
        drawn on keeps the choices made there."""
        if not self.drawn_as:
            return self.request
        return replace(self.request, prompt=escape(self.drawn_as), complete_prompt=False)

    def to_json(self) -> str:
        own = self.request.to_dict()
        batch = {} if self.batch is None else self.batch.to_dict()
        batch = {name: value for name, value in batch.items() if own.get(name) != value}
        data = asdict(self) | {"request": own, "batch": batch}
        return json.dumps(data, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Raises RequestError, saying what is wrong with the record."""
        data, model, request = read_recipe(text, "The picture's record")
        if request.num_images != 1:
            raise RequestError(
                f"The picture's record is damaged: it asks for {request.num_images} pictures, not one."
            )
        batch, place = _batch(data, request)
        threads = data.get("threads")
        if type(threads) is not int or not 0 < threads <= MAX_THREADS:
            threads = 0
        return cls(
            request=request,
            model=model,
            threads=threads,
            batch=batch,
            place=place,
            versions=_texts(data.get("versions")),
            template=_text(data.get("template"), MAX_PROMPT_CHARACTERS),
            chosen=_text(data.get("chosen"), MOST_CHOSEN),
            drawn_as=_text(data.get("drawn_as"), MAX_PROMPT_CHARACTERS),
            **{name: _text(data.get(name)) for name in ("weights", "device", "dtype", "memory")},
        )


def _batch(
    data: Mapping[str, Any], request: GenerationRequest
) -> tuple[GenerationRequest | None, int]:
    """The request of the pass in which a picture was drawn, and its place there. Raises RequestError."""
    given, place = data.get("batch"), data.get("place")
    if not given:
        return None, 0
    if isinstance(given, dict) and type(place) is int:
        batch = GenerationRequest.from_dict(request.to_dict() | given)
        if 0 <= place < batch.num_images and batch.pictures()[place] == request:
            return batch, place
    raise RequestError("The picture's record is damaged: its batch has no such picture.")


def weights_note(weights: str, here: str) -> str:
    """What to say before a picture is drawn again with other weights than it was; "" for the same.

    Args:
        weights, here: fingerprints, of what drew it and of what would; "" where unknown.
    """
    if not weights or not here or weights == here:
        return ""
    return (
        f"It was drawn with other weights ({quoted(weights)}) than the model has here ({here}), so it "
        "will come out differently."
    )


def _text(value: object, most: int = 100) -> str:
    return value[:most] if isinstance(value, str) else ""


def _texts(value: object) -> dict[str, str]:
    pairs = list(value.items())[:MAX_VERSIONS] if isinstance(value, dict) else ()
    return {_text(key): _text(one) for key, one in pairs}


def attach(image: Image.Image, record: PictureRecord) -> Image.Image:
    """Put the record into the picture's ``info``, from where PNG writers take it."""
    image.info[KEY] = record.to_json()
    return image


def save_png(image: Image.Image, path: str | Path) -> Path:
    """Write a PNG with the picture's record, whole or not at all. Missing folders are made.

    Raises:
        ResourceError: the disk is full, or the place may not be written.
    """
    path = Path(path)
    info = PngInfo()
    for key, value in image.info.items():
        if isinstance(key, str) and isinstance(value, str):
            info.add_itxt(key, value)
    temporary = path.with_name(f".{uuid.uuid4().hex}")  # short: the name may be as long as any
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            image.save(temporary, format="PNG", pnginfo=info)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    return path


def read_record(source: str | Path | Image.Image) -> PictureRecord:
    """The record of a picture file, or of a picture in memory.

    Raises:
        RequestError: not a picture, made elsewhere, or a damaged record.
    """
    image = source if isinstance(source, Image.Image) else open_image(source)
    text = image.info.get(KEY)
    if not isinstance(text, str):
        name = "This picture" if isinstance(source, Image.Image) else str(source)
        raise RequestError(
            f"{name} has no Infinity record: it was made elsewhere, or saved by a program that "
            "drops it; use the PNG as it was first saved."
        )
    return PictureRecord.from_json(text)


def read_request(source: str | Path | Image.Image) -> tuple[GenerationRequest, str]:
    """(request, model name) that draw this picture again. Raises as :func:`read_record`."""
    record = read_record(source)
    return record.request, record.model
