"""From what was drawn to pictures with their records."""

from collections.abc import Sequence
from dataclasses import replace

from infinity.events import Done
from infinity.generation.drawing import Drawn
from infinity.generation.inputs import PictureInputs
from infinity.generation.selection import Selection
from infinity.metadata import PictureRecord, attach
from infinity.packing import pack_bits
from infinity.request import GenerationRequest


def finished(
    record: PictureRecord,
    pictures: Sequence[GenerationRequest],
    drawn: Drawn,
    text_seconds: float,
    notes: tuple[str, ...],
    inputs: Sequence[PictureInputs],
    first: int = 0,
    batch: GenerationRequest | None = None,
    selection: Selection | None = None,
) -> Done:
    """Of the drawn pictures those from ``first`` on, each with its record.

    Args:
        record: of the whole request.
        pictures: a request each.
        inputs: of each, what it was drawn from.
        batch: the request whose pictures were drawn in one pass; None where each was drawn by itself.
        selection: which candidate each picture is.
    """
    request, images = record.request, drawn.images[first : first + len(pictures)]
    captions = tuple(one.caption for one in inputs)
    for number, (image, picture) in enumerate(zip(images, pictures, strict=True)):
        template = request.prompt if picture.prompt != request.prompt else ""
        place = 0 if batch is None else batch.seeds.index(picture.seed)
        own = replace(record, request=picture, template=template, drawn_as=captions[number])
        own = replace(own, batch=batch, place=place)
        if selection is not None:
            alone, chosen = selection.chosen(number, picture)
            own = replace(own, request=alone, chosen=chosen)
            if captions[number]:  # which a candidate's own seed would complete otherwise
                own = replace(own, request=own.as_drawn, template=request.prompt)
        attach(image, own)
    if selection is not None:
        notes += (selection.note,)
    if len(pictures) == 1:
        (request,) = pictures
    seconds = {
        "text_seconds": text_seconds,
        "model_seconds": drawn.model_seconds,
        "decode_seconds": drawn.decode_seconds,
        "preview_seconds": drawn.preview_seconds,
    }
    bits = tuple(
        pack_bits([bits_BlD[first + number] for bits_BlD in drawn.bits])
        for number in range(len(images))
    )
    total = sum(seconds.values())
    return Done(
        images=images,
        request=request,
        notes=notes,
        bits=bits,
        captions=captions,
        seconds=total,
        **seconds,
    )
