"""The figures of docs/how-it-works.md, drawn by a model itself."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib import colormaps
from matplotlib.figure import Figure
from PIL import Image

from infinity.events import Preview
from infinity.images import images_from_tensor, preprocess
from infinity.pipeline import InfinityPipeline
from infinity.request import GenerationRequest
from infinity.schedule import schedule_for
from infinity.tokenizer.quantizer import ResidualCanvas, encode_scales
from training.drawing import sheet

PROMPT, SEED = "a red apple on a sandy beach", 0

Row = dict[str, Image.Image]
"""Label -> picture."""


def write_figures(pipeline: InfinityPipeline, folder: Path) -> None:
    """Draw all figures into WebP files in ``folder``."""
    finished = pipeline.generate(GenerationRequest(prompt=PROMPT, seed=SEED)).images[0]
    figures = {
        "growing_picture": (growing_picture(pipeline),),
        "residual_canvas": residual_canvas(pipeline, finished),
        "self_correction": self_correction(pipeline, finished),
        "knobs": knobs(pipeline),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in figures.items():
        pictures = [picture for row in rows for picture in row.values()]
        labels = [label for row in rows for label in row]
        columns = max(map(len, rows))
        figure = sheet(pictures, labels, columns=columns, size=(144, 144), lines=1)
        figure.save(folder / f"{name}.webp", quality=85)
    tokens_per_scale(pipeline).savefig(folder / "tokens_per_scale.webp", dpi=110)


def growing_picture(pipeline: InfinityPipeline) -> Row:
    """A picture after each scale while it is generated."""
    request = GenerationRequest(prompt=PROMPT, seed=SEED)
    return {
        f"{event.height}x{event.width}" if isinstance(event, Preview) else "finished": images[0]
        for event in pipeline.stream(request, previews="full")
        if (images := getattr(event, "images", None))
    }


@torch.inference_mode()
def residual_canvas(pipeline: InfinityPipeline, image: Image.Image) -> tuple[Row, Row]:
    """The decoded sum of codes after each scale, and what is still missing."""
    config, schedule = pipeline.tokenizer.config, pipeline.spec.schedule("1:1")
    features = _features(pipeline, image)
    canvas = ResidualCanvas(config, schedule, 1)
    pictures: Row = {}
    missing: dict[str, np.ndarray] = {}
    for scale, bits in zip(schedule, encode_scales(features, config, schedule).bits, strict=True):
        canvas.add(bits)
        label = f"{scale.height}x{scale.width}: {bits.numel():,} bits"
        pictures[label] = _decoded(pipeline, canvas.latent_Bdyx)
        missing[f"missing after {scale.height}x{scale.width}"] = (
            (features - canvas.latent_Bdyx).norm(dim=1)[0].numpy()
        )
    top = max(picture.max() for picture in missing.values())
    heat = {
        label: Image.fromarray(colormaps["magma"](picture / top, bytes=True)[..., :3])
        for label, picture in missing.items()
    }
    return pictures, heat


@torch.inference_mode()
def self_correction(pipeline: InfinityPipeline, image: Image.Image) -> tuple[Row, Row]:
    """Bits flipped at random: later scales, quantized after the flips, repair the damage."""
    config, schedule = pipeline.tokenizer.config, pipeline.spec.schedule("1:1")
    features = _features(pipeline, image)
    clean = encode_scales(features, config, schedule)
    plain: Row = {}
    corrected: Row = {}
    for rate in (0.0, 0.1, 0.2, 0.3):
        generator = torch.Generator().manual_seed(0)
        masks = [torch.rand(bits.shape, generator=generator) < rate for bits in clean.bits[:-1]]
        flips: list[torch.Tensor | None] = [*masks, None]
        again = encode_scales(features, config, schedule, lambda index, _, f=flips: f[index])
        canvas = ResidualCanvas(config, schedule, 1)
        for bits, mask in zip(clean.bits, flips, strict=True):
            canvas.add(bits if mask is None else bits ^ mask)
        plain[f"{rate:.0%} flipped, not corrected"] = _decoded(pipeline, canvas.latent_Bdyx)
        corrected[f"{rate:.0%} flipped, self-corrected"] = _decoded(pipeline, again.latent_Bdyx)
    return plain, corrected


def knobs(pipeline: InfinityPipeline) -> tuple[Row, Row]:
    """Guidance and temperature, one prompt and one seed."""

    def row(name: str, *values: Any) -> Row:
        base = GenerationRequest(prompt=PROMPT, seed=SEED)
        return {
            f"{name} {value:g}": pipeline.generate(replace(base, **{name: value})).images[0]
            for value in values
        }

    return row("guidance", 1, 2, 3, 5, 8), row("temperature", 0, 0.5, 0.8, 1, 1.5)


def tokens_per_scale(pipeline: InfinityPipeline) -> Figure:
    """Where the tokens are: nearly all in the last scales."""
    figure = Figure(figsize=(9, 2.6), layout="tight")
    schedules = {
        f"{pipeline.spec.name} model": pipeline.spec.schedule("1:1"),
        "released models, 1024x1024": schedule_for("1:1", "1M"),
    }
    for axis, (title, schedule) in zip(figure.subplots(1, 2), schedules.items(), strict=True):
        sides = [scale.height for scale in schedule]
        axis.bar(range(len(sides)), [scale.tokens for scale in schedule], tick_label=sides)
        axis.set(title=f"{title}: {schedule.total_tokens:,} tokens", xlabel="side of the scale")
    return figure


def _features(pipeline: InfinityPipeline, image: Image.Image) -> torch.Tensor:
    """The tokenizer's continuous features of a square picture, (1, d, y, x)."""
    height, width = pipeline.spec.image_size("1:1")
    return pipeline.tokenizer.features(preprocess(image, height, width).unsqueeze(0))


def _decoded(pipeline: InfinityPipeline, latent_Bdyx: torch.Tensor) -> Image.Image:
    return images_from_tensor(pipeline.tokenizer.decode(latent_Bdyx))[0]
