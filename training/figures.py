"""The figures of docs/how-it-works.md, drawn by the shipped model itself.

``python -m training.figures --output docs/images``
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import numpy as np
import torch
from matplotlib import pyplot
from matplotlib.figure import Figure
from PIL import Image

from infinity.console import expand_home, home_path, log_to_terminal
from infinity.events import Preview
from infinity.images import images_from_tensor, preprocess
from infinity.pipeline import InfinityPipeline
from infinity.request import GenerationRequest
from infinity.schedule import schedule_for
from infinity.tokenizer.canvas import ResidualCanvas
from infinity.tokenizer.quantizer import encode_scales

PROMPT, SEED = "a red apple on a sandy beach", 0


def picture_row(rows: Sequence[tuple[str, Sequence[np.ndarray], Sequence[str]]]) -> Figure:
    """Rows of pictures: (row label, pictures, a title for each)."""
    columns = max(len(pictures) for _, pictures, _ in rows)
    figure, axes = pyplot.subplots(
        len(rows), columns, figsize=(1.6 * columns, 1.9 * len(rows)), squeeze=False
    )
    for line, (label, pictures, titles) in zip(axes, rows, strict=True):
        for axis in line:
            axis.axis("off")
        for axis, picture, title in zip(line, pictures, titles, strict=False):
            axis.imshow(picture)
            axis.set_title(title, fontsize=8)
        line[0].text(-0.08, 0.5, label, transform=line[0].transAxes, rotation=90, va="center",
                     ha="right", fontsize=8)  # fmt: skip
    figure.tight_layout(pad=0.4)
    return figure


def growing_picture(pipeline: InfinityPipeline) -> Figure:
    """A picture after each scale while it is generated."""
    request = GenerationRequest(prompt=PROMPT, seed=SEED)
    previews, titles = [], []
    for event in pipeline.stream(request, previews="full"):
        if images := getattr(event, "images", None):
            previews.append(np.asarray(images[0]))
            size = f"{event.height}x{event.width}" if isinstance(event, Preview) else "finished"
            titles.append(size)
    return picture_row([("", previews, titles)])


@torch.inference_mode()
def residual_canvas(pipeline: InfinityPipeline, image: Image.Image) -> Figure:
    """What each scale adds to the sum of codes, and what is still missing after it."""
    tokenizer, schedule = pipeline.tokenizer, pipeline.spec.schedule("1:1")
    height, width = pipeline.spec.image_size("1:1")
    tensor = preprocess(image, height, width).unsqueeze(0)
    features = tokenizer.features(tensor)
    canvas = ResidualCanvas(tokenizer.config, schedule, 1)
    pictures, missing, titles = [], [], []
    for index, bits in enumerate(encode_scales(features, tokenizer.config, schedule).bits):
        canvas.add(bits)
        pictures.append(np.asarray(images_from_tensor(tokenizer.decode(canvas.latent_Bdyx))[0]))
        missing.append((features - canvas.latent_Bdyx).norm(dim=1)[0].numpy())
        scale = schedule[index]
        titles.append(f"{scale.height}x{scale.width}: {bits.numel():,} bits")
    top = max(picture.max() for picture in missing)
    heat = [pyplot.get_cmap("magma")(picture / top)[..., :3] for picture in missing]
    return picture_row(
        [("decoded sum", pictures, titles), ("still missing", heat, [""] * len(heat))]
    )


@torch.inference_mode()
def self_correction(pipeline: InfinityPipeline, image: Image.Image) -> Figure:
    """Bits flipped at random: later scales, quantized after the flips, repair the damage."""
    tokenizer, schedule = pipeline.tokenizer, pipeline.spec.schedule("1:1")
    height, width = pipeline.spec.image_size("1:1")
    features = tokenizer.features(preprocess(image, height, width).unsqueeze(0))
    clean = encode_scales(features, tokenizer.config, schedule)
    repaired, plain, titles = [], [], []
    for rate in (0.0, 0.1, 0.2, 0.3):
        generator = torch.Generator().manual_seed(0)

        def flip(
            index: int, bits: torch.Tensor, rate: float = rate, g: torch.Generator = generator
        ) -> torch.Tensor | None:
            last = index == len(schedule) - 1
            return None if last else torch.rand(bits.shape, generator=g) < rate

        again = encode_scales(features, tokenizer.config, schedule, flip)
        generator.manual_seed(0)
        canvas = ResidualCanvas(tokenizer.config, schedule, 1)
        for index, bits in enumerate(clean.bits):
            mask = flip(index, bits)
            canvas.add(bits if mask is None else bits ^ mask)
        repaired.append(np.asarray(images_from_tensor(tokenizer.decode(again.latent_Bdyx))[0]))
        plain.append(np.asarray(images_from_tensor(tokenizer.decode(canvas.latent_Bdyx))[0]))
        titles.append(f"{rate:.0%} flipped")
    return picture_row([("not corrected", plain, titles), ("self-corrected", repaired, [""] * 4)])


def knobs(pipeline: InfinityPipeline) -> Figure:
    """Guidance and temperature, one prompt and one seed."""
    rows = []
    for name, values in (("guidance", (1, 2, 3, 5, 8)), ("temperature", (0, 0.5, 0.8, 1, 1.5))):
        pictures = [
            np.asarray(
                pipeline.generate(
                    GenerationRequest(prompt=PROMPT, seed=SEED, **{name: float(value)})  # type: ignore[arg-type]
                ).images[0]
            )
            for value in values
        ]
        rows.append((name, pictures, [f"{name} {value}" for value in values]))
    return picture_row(rows)


def tokens_per_scale(pipeline: InfinityPipeline) -> Figure:
    """Where the tokens are: nearly all in the last scales."""
    figure, axes = pyplot.subplots(1, 2, figsize=(9, 2.6))
    for axis, title, schedule in (
        (axes[0], f"{pipeline.spec.name} model", pipeline.spec.schedule("1:1")),
        (axes[1], "released models, 1024x1024", schedule_for("1:1", "1M")),
    ):
        axis.bar([str(scale.height) for scale in schedule], [scale.tokens for scale in schedule])
        axis.set(title=f"{title}: {schedule.total_tokens:,} tokens", xlabel="side of the scale")
    figure.tight_layout()
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--model", type=expand_home, default="default", help="registry name or folder"
    )
    parser.add_argument("--output", type=home_path, default=Path("docs/images"))
    arguments = parser.parse_args()
    log_to_terminal()
    pipeline = InfinityPipeline.from_pretrained(arguments.model)
    finished = pipeline.generate(GenerationRequest(prompt=PROMPT, seed=SEED)).images[0]
    figures = {
        "growing_picture": growing_picture(pipeline),
        "residual_canvas": residual_canvas(pipeline, finished),
        "self_correction": self_correction(pipeline, finished),
        "knobs": knobs(pipeline),
        "tokens_per_scale": tokens_per_scale(pipeline),
    }
    arguments.output.mkdir(parents=True, exist_ok=True)
    for name, figure in figures.items():
        figure.savefig(arguments.output / f"{name}.png", dpi=110)
        logging.info("wrote %s", arguments.output / f"{name}.png")


if __name__ == "__main__":
    main()
