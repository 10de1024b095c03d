"""The figures of docs/how-it-works.md, drawn by a model itself."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import numpy as np
import torch
from matplotlib import pyplot
from matplotlib.figure import Figure
from PIL import Image

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
    config, schedule = pipeline.tokenizer.config, pipeline.spec.schedule("1:1")
    features = _features(pipeline, image)
    canvas = ResidualCanvas(config, schedule, 1)
    pictures, missing, titles = [], [], []
    for scale, bits in zip(schedule, encode_scales(features, config, schedule).bits, strict=True):
        canvas.add(bits)
        pictures.append(_decoded(pipeline, canvas.latent_Bdyx))
        missing.append((features - canvas.latent_Bdyx).norm(dim=1)[0].numpy())
        titles.append(f"{scale.height}x{scale.width}: {bits.numel():,} bits")
    top = max(picture.max() for picture in missing)
    heat = [pyplot.get_cmap("magma")(picture / top)[..., :3] for picture in missing]
    return picture_row(
        [("decoded sum", pictures, titles), ("still missing", heat, [""] * len(heat))]
    )


@torch.inference_mode()
def self_correction(pipeline: InfinityPipeline, image: Image.Image) -> Figure:
    """Bits flipped at random: later scales, quantized after the flips, repair the damage."""
    config, schedule = pipeline.tokenizer.config, pipeline.spec.schedule("1:1")
    features = _features(pipeline, image)
    clean = encode_scales(features, config, schedule)
    repaired, plain, titles = [], [], []
    for rate in (0.0, 0.1, 0.2, 0.3):
        generator = torch.Generator().manual_seed(0)
        masks = [torch.rand(bits.shape, generator=generator) < rate for bits in clean.bits[:-1]]
        flips: list[torch.Tensor | None] = [*masks, None]
        again = encode_scales(features, config, schedule, lambda index, _, f=flips: f[index])
        canvas = ResidualCanvas(config, schedule, 1)
        for bits, mask in zip(clean.bits, flips, strict=True):
            canvas.add(bits if mask is None else bits ^ mask)
        repaired.append(_decoded(pipeline, again.latent_Bdyx))
        plain.append(_decoded(pipeline, canvas.latent_Bdyx))
        titles.append(f"{rate:.0%} flipped")
    return picture_row([("not corrected", plain, titles), ("self-corrected", repaired, [""] * 4)])


def _features(pipeline: InfinityPipeline, image: Image.Image) -> torch.Tensor:
    """The tokenizer's continuous features of a square picture, (1, d, y, x)."""
    height, width = pipeline.spec.image_size("1:1")
    return pipeline.tokenizer.features(preprocess(image, height, width).unsqueeze(0))


def _decoded(pipeline: InfinityPipeline, latent_Bdyx: torch.Tensor) -> np.ndarray:
    return np.asarray(images_from_tensor(pipeline.tokenizer.decode(latent_Bdyx))[0])


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


def write_figures(pipeline: InfinityPipeline, folder: Path) -> None:
    """Draw all figures into WebP files in ``folder``."""
    finished = pipeline.generate(GenerationRequest(prompt=PROMPT, seed=SEED)).images[0]
    figures = {
        "growing_picture": growing_picture(pipeline),
        "residual_canvas": residual_canvas(pipeline, finished),
        "self_correction": self_correction(pipeline, finished),
        "knobs": knobs(pipeline),
        "tokens_per_scale": tokens_per_scale(pipeline),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, figure in figures.items():
        figure.savefig(folder / f"{name}.webp", dpi=110, pil_kwargs={"quality": 85, "method": 6})
