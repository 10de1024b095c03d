"""From files to pictures of the tree: one that was opened, and those that a run drew."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from infinity.edit.files import Picture, open_picture
from infinity.errors import RequestError
from infinity.images import covering, open_image, rgb
from infinity.metadata import KEY, PictureRecord, read_record, save_png
from infinity.packing import kept_share
from infinity.request import GenerationRequest
from infinity.schedule import nearest_aspect_ratio
from infinity.ui.edit.mask import region_layer
from infinity.ui.edit.tree import Node
from infinity.ui.generate.view import preview_uri
from infinity.ui.shared.context import Context
from infinity.ui.shared.files import FinishedRun, new_folder, own_file

THUMBNAIL_PIXELS = 96
OPENED_NAME = "infinity-opened.png"


def opened(context: Context, path: Path, model: str) -> Node:
    """A file as a picture to go on from. One that a model on offer drew keeps its bits; any other is
    turned upright and cut to the nearest aspect ratio, so that it is seen as the model sees it.

    Args:
        model: for pictures that none on offer drew.

    Raises:
        RequestError: not a picture.
        ResourceError: the disk is full.
    """
    image = open_image(path, "The picture")
    record = _record_of(image)
    if record is not None and record.model in context.models:
        model = record.model
        if context.manager.fingerprint(model) in ("", record.weights):
            ratio, prompt = record.request.aspect_ratio, record.as_drawn.prompt
            return _node(path, image, model, ratio, prompt, "Opened")
    spec, upright = context.spec(model), rgb(image)
    ratio = nearest_aspect_ratio(upright.height, upright.width, spec.schedules)
    fitted = covering(upright, *spec.image_size(ratio))
    file = save_png(fitted, new_folder() / OPENED_NAME)
    context.keep(file)
    return _node(file, fitted, model, ratio, record.as_drawn.prompt if record else "", "Opened")


def drawn(
    run: FinishedRun, request: GenerationRequest, bits: Sequence[str], title: str
) -> list[Node]:
    """The pictures of a run that went on from bits.

    Args:
        request: what was drawn; its start has the bits.
        bits: of every picture.
    """
    start = request.start
    assert start is not None, "whatever is drawn here goes on from bits"
    return [
        _node(
            file,
            open_image(file, "The picture"),
            run.model,
            request.aspect_ratio,
            prompt,
            title,
            region=start.region,
            kept=kept_share(start.bits, each),
        )
        for file, prompt, each in zip(run.files, request.prompts, bits, strict=True)
    ]


def second_picture(name: object) -> Picture | None:
    """What was chosen to mix with, a picture or its bits; None where nothing was.

    Raises:
        RequestError: it is no picture of this page.
    """
    if not name:
        return None
    if (path := own_file(name)) is None:
        raise RequestError("The second picture did not arrive; choose it again.")
    return open_picture(path, "The second picture")


def brushed(context: Context, region: str, picture: Path) -> Path:
    """A packed region as it would be brushed over a picture, as a file for the canvas.

    Raises:
        ResourceError: the disk is full.
    """
    layer = region_layer(region, open_image(picture, "The picture").size)
    file = save_png(layer, new_folder() / "mask.png")
    context.keep(file)
    return file


def _node(
    file: Path,
    image: Image.Image,
    model: str,
    aspect_ratio: str,
    prompt: str,
    title: str,
    **more: Any,
) -> Node:
    return Node(
        file=file,
        model=model,
        aspect_ratio=aspect_ratio,
        prompt=prompt,
        title=title,
        thumbnail=preview_uri(image, THUMBNAIL_PIXELS),
        **more,
    )


def _record_of(image: Image.Image) -> PictureRecord | None:
    """None where there is none, or a damaged one: the picture itself is still there."""
    try:
        return read_record(image) if KEY in image.info else None
    except RequestError:
        return None
