"""A picture through the tokenizer and back: what the bits keep of it."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image

from infinity.images import images_from_tensor, preprocess, rgb
from infinity.schedule import ScaleSchedule, nearest_aspect_ratio
from infinity.spec import ModelSpec
from infinity.tokenizer.tokenizer import Tokenizer


@dataclass(frozen=True)
class Reconstruction:
    """A picture rebuilt from its bits.

    Attributes:
        image: rebuilt, RGB.
        original: what was encoded: the input scaled and cropped, the same size as ``image``.
        bits: per scale (tokens, bits a token) bool.
        aspect_ratio, schedule: that of the model which was used.
        psnr: of ``image`` against ``original``, in decibels; infinite if they are equal.
    """

    image: Image.Image
    original: Image.Image
    bits: tuple[np.ndarray, ...]
    aspect_ratio: str
    schedule: ScaleSchedule
    psnr: float


@torch.inference_mode()
def reconstruct(
    spec: ModelSpec, tokenizer: Tokenizer, image: Image.Image, aspect_ratio: str | None = None
) -> Reconstruction:
    """Encode and decode a picture of any size and mode.

    Raises:
        RequestError: an aspect ratio the model does not have.
    """
    image = rgb(image)
    name = aspect_ratio or nearest_aspect_ratio(image.height, image.width, spec.schedules)
    schedule = spec.schedule(name)
    pixels_3HW = preprocess(image, *schedule.image_size(spec.tokenizer.token_pixels))
    encoded = tokenizer.encode(pixels_3HW[None], schedule)
    (original,) = images_from_tensor(pixels_3HW[None])
    (rebuilt,) = images_from_tensor(tokenizer.decode(encoded.latent_Bdyx))
    return Reconstruction(
        image=rebuilt,
        original=original,
        bits=tuple(bits_BlD[0].cpu().numpy() for bits_BlD in encoded.bits),
        aspect_ratio=name,
        schedule=schedule,
        psnr=psnr(original, rebuilt),
    )


def psnr(first: Image.Image, second: Image.Image) -> float:
    """Peak signal-to-noise ratio of two RGB pictures of the same size, in decibels."""
    difference = np.asarray(first, np.float64) - np.asarray(second, np.float64)
    error = float(np.mean(difference**2))
    return math.inf if error == 0 else 10 * math.log10(255**2 / error)
