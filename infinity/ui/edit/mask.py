"""The canvas to brush on, and the mask in what it sends.

A canvas sends its layers as files each time that Gradio asks for its value, which it does of the inputs
of an event at every step of any run from then on. So a canvas is the input of one event only, which
stays in the browser and hands the files on.
"""

from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from PIL import Image, ImageChops

from infinity.errors import RequestError
from infinity.images import open_image
from infinity.packing import unpack_region
from infinity.ui.shared.files import own_file

BRUSH = (255, 64, 129)
OPACITY = 0.6
CANVAS_PIXELS = 460
FAINT = 32
"""Of 255: what is painted with less is none of the mask, such as the rim of a soft stroke."""
MOST_LAYERS = 16
SEND = "canvas => ({layers: (canvas?.layers ?? []).map(layer => layer.path), when: Date.now()})"
"""What the one event hands on: another value each time, so that it always counts as changed."""
BRUSH_TOKENS = 1.5
"""A stroke this wide covers at least half of some token wherever it is."""


def build_canvas(token_pixels: int) -> gr.ImageEditor:
    """The component, in the current column; pictures are put on it by the page alone.

    Args:
        token_pixels: side of a token in the pictures.
    """
    color = (f"rgb{BRUSH}", OPACITY)
    return gr.ImageEditor(
        sources=(),
        transforms=(),
        layers=False,
        buttons=[],
        brush=gr.Brush(
            default_size=round(BRUSH_TOKENS * token_pixels),
            colors=[color],
            default_color=color,
            color_mode="fixed",
        ),
        eraser=gr.Eraser(),
        height=CANVAS_PIXELS,
        placeholder="Open a picture, and brush over it here.",
        show_label=False,
        label="Picture: brush over what is to change",
        elem_id="canvas",
    )


def read_mask(sent: object) -> Image.Image | None:
    """What was brushed: gray, 255 inside, of the first layer's size; None where nothing was.

    Args:
        sent: by ``SEND``, from a browser that may be anybody's.

    Raises:
        RequestError: a layer is no picture of this page.
    """
    layers = sent.get("layers") if isinstance(sent, dict) else None
    mask: Image.Image | None = None
    for name in (layers if isinstance(layers, list) else [])[:MOST_LAYERS]:
        if (path := own_file(name)) is None:
            raise RequestError("The mask did not arrive; brush it again.")
        painted = open_image(path, "The mask").convert("RGBA").getchannel("A")
        painted = painted.point([255 * (alpha >= FAINT) for alpha in range(256)])
        mask = painted if mask is None else ImageChops.lighter(mask, painted.resize(mask.size))
    return mask if mask is not None and mask.getbbox() else None


def canvas_value(picture: Path, layer: Path | None = None) -> dict[str, Any]:
    """A picture on the canvas, with what is brushed already."""
    layers = [] if layer is None else [str(layer)]
    return {"background": str(picture), "layers": layers, "composite": None}


def region_layer(region: str, size: tuple[int, int]) -> Image.Image:
    """A packed region as if it had been brushed over a picture of ``size``: RGBA."""
    alpha = round(255 * OPACITY) * unpack_region(region).astype(np.uint8)
    layer = Image.new("RGBA", size, (*BRUSH, 0))
    layer.putalpha(Image.fromarray(alpha).resize(size, Image.Resampling.NEAREST))
    return layer
