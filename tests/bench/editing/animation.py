"""The README's animated picture: ``python -m tests.bench.editing.animation OUT.webp``.

A picture grows scale by scale, then parts of it are drawn anew, each as it was asked for: one by a box,
one by its words alone.
"""

import argparse
from pathlib import Path

from PIL import Image

from infinity.edit import tasks
from infinity.events import Preview
from infinity.packing import unpack_region
from infinity.pipeline import InfinityPipeline
from infinity.request import GenerationRequest
from tests.bench.editing.sheets import outlined
from training.drawing import sheet

FIRST = "a robot left of a cactus in the desert"
STEPS = (
    ("a robot left of a rocket in the desert", (0.5, 0.0, 1.0, 1.0)),
    ("a robot left of a rocket in space", None),
    ("a penguin left of a rocket in space", (0.0, 0.0, 0.5, 1.0)),
)
SEED, SIDE, QUALITY = 0, 256, 70
SCALE_MS, PAUSE_MS = 220, 1400


def frames(pipeline: InfinityPipeline) -> tuple[list[Image.Image], list[int]]:
    """The pictures, each with what is asked for below it, and how long each is shown, in ms."""
    shown: list[Image.Image] = []
    lasting: list[int] = []

    def grow(request: GenerationRequest) -> Image.Image:
        for event in pipeline.stream(request, previews="full"):
            if isinstance(event, Preview):
                assert event.images is not None
                (image,) = event.images
                shown.append(sheet([image], [request.prompt], columns=1, size=(SIDE, SIDE)))
                lasting.append(SCALE_MS)
        lasting[-1] = PAUSE_MS
        return image

    image = grow(GenerationRequest(prompt=FIRST, seed=SEED))
    for prompt, area in STEPS:
        request = tasks.edit(pipeline, image, area, prompt=prompt)
        assert request.start is not None
        marked = outlined(image, unpack_region(request.start.region))
        shown.append(sheet([marked], [prompt], columns=1, size=(SIDE, SIDE)))
        lasting.append(PAUSE_MS)
        image = grow(request)
    return shown, lasting


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path, help="a .webp file")
    options = parser.parse_args()
    (first, *rest), durations = frames(InfinityPipeline.from_pretrained("default", device="cpu"))
    how = {"save_all": True, "append_images": rest, "duration": durations, "loop": 0}
    first.save(options.output, quality=QUALITY, method=6, **how)


if __name__ == "__main__":
    main()
