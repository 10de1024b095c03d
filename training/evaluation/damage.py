"""Damage that a judge must refuse, and changes that it must not mind; used by its test alone.

Nothing is ever trained on these.
"""

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageFilter

from training.evaluation.prompts import ExamPrompt

SIDE = 256
"""Strengths are of pictures of this side, and grow with the picture."""
BLUR, COARSE, WARP, MELT = 4.0, 8, 5.0, 9.0
"""Pixels: sigma of a blur, side of a coarse pixel, mean moves of a warp and of a melting."""


def blurred(image: Image.Image) -> Image.Image:
    return image.filter(ImageFilter.GaussianBlur(BLUR * image.width / SIDE))


def coarse(image: Image.Image) -> Image.Image:
    width, height = (max(1, round(side * SIDE / image.width / COARSE)) for side in image.size)
    return image.resize((width, height), Image.Resampling.BOX).resize(
        image.size, Image.Resampling.BICUBIC
    )


def warped(image: Image.Image) -> Image.Image:
    """By smooth noise."""
    return _moved(image, 8, WARP, (1.0, 1.0))


def melted(image: Image.Image) -> Image.Image:
    """Run down in streaks, and blurred a little."""
    run = _moved(image, 16, MELT, (0.15, 1.0))
    return run.filter(ImageFilter.GaussianBlur(1.5 * image.width / SIDE))


def _moved(image: Image.Image, cells: int, pixels: float, axes: tuple[float, float]) -> Image.Image:
    noise = torch.from_numpy(np.random.default_rng(0).normal(size=(1, 2, cells, cells))).float()
    field = F.interpolate(noise, image.size[::-1], mode="bicubic", align_corners=True)[0]
    field = field / field.std() * pixels / SIDE * 2 * torch.tensor(axes)[:, None, None]
    rows, columns = (torch.linspace(-1, 1, side) for side in image.size[::-1])
    grid = torch.stack(torch.meshgrid(columns, rows, indexing="xy")) + field
    colors = torch.from_numpy(np.asarray(image, np.float32)).permute(2, 0, 1)[None]
    moved = F.grid_sample(
        colors, grid.permute(1, 2, 0)[None], padding_mode="border", align_corners=True
    )
    return Image.fromarray(moved[0].permute(1, 2, 0).round().byte().numpy())


def mirrored(image: Image.Image) -> Image.Image:
    return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)


def smaller(image: Image.Image) -> Image.Image:
    return _resized(image, 0.75)


def larger(image: Image.Image) -> Image.Image:
    return _resized(image, 1.25)


def _resized(image: Image.Image, by: float) -> Image.Image:
    width, height = (round(side * by) for side in image.size)
    return image.resize((width, height), Image.Resampling.LANCZOS)


DAMAGE: dict[str, Callable[[Image.Image], Image.Image]] = {
    "blurred": blurred, "coarse": coarse, "warped": warped, "melted": melted,
}  # fmt: skip
HARMLESS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "mirrored": mirrored, "smaller": smaller, "larger": larger,
}  # fmt: skip


def mirrored_prompt(prompt: ExamPrompt) -> ExamPrompt:
    """What a mirrored picture answers: left for right."""

    def swapped(word: str | None) -> str | None:
        return word and word.replace("left", "|").replace("right", "left").replace("|", "right")

    include = tuple(
        item.model_copy(
            update={
                "position": item.position and (swapped(item.position[0]), item.position[1]),
                "spot": swapped(item.spot),
                "facing": swapped(item.facing),
            }
        )
        for item in prompt.include
    )
    return prompt.model_copy(update={"include": include})
