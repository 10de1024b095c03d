"""A picture to bits and back: as a whole, and after every scale beside JPEG and WebP of the same size.

Legend: B batch, H W picture size in pixels, l tokens of a scale, D bits a token, d y x the latent.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from infinity.files import disk_errors
from infinity.images import images_from_tensor, preprocess, rgb
from infinity.metadata import save_png
from infinity.schedule import Scale, ScaleSchedule, nearest_aspect_ratio
from infinity.spec import ModelSpec
from infinity.tokenizer.compression import FORMATS, Compressed, Compressor
from infinity.tokenizer.quality import psnr, ssim
from infinity.tokenizer.quantizer import ResidualCanvas
from infinity.tokenizer.tokenizer import Tokenizer


@dataclass(frozen=True)
class Reconstruction:
    """A picture rebuilt from its bits.

    Attributes:
        image: rebuilt, RGB.
        original: what was encoded: the input scaled and cropped, the same size as ``image``; of bits that
            came without a picture, ``image`` itself.
        bits: per scale (l, D) bool.
        aspect_ratio: of the model's, the one that was used.
    """

    image: Image.Image
    original: Image.Image
    bits: tuple[np.ndarray, ...]
    aspect_ratio: str

    @property
    def psnr(self) -> float:
        """Of ``image`` against ``original``, in decibels; infinite if they are equal."""
        return psnr(self.original, self.image)

    @property
    def bits_per_token(self) -> int:
        return self.bits[0].shape[1]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready, without pictures; the vocabulary, 2 to the power of ``bits_per_token``, as text, for
        few programs read numbers as long."""
        return {
            "aspect_ratio": self.aspect_ratio,
            "width": self.image.width,
            "height": self.image.height,
            "bits_per_token": self.bits_per_token,
            "vocabulary": f"{2**self.bits_per_token}",
        }


@dataclass(frozen=True)
class ReconstructedScale:
    """What the bits up to and including one scale make of a picture.

    Attributes:
        scale: its tokens.
        bits: of all scales so far.
        image: RGB, of the full size.
        psnr, ssim: against the original, see ``infinity.tokenizer.quality``.
        others: the best JPEG and WebP of at most as many bytes, by :data:`FORMATS`; None where no file of
            that format is as small.
    """

    scale: Scale
    bits: int
    image: Image.Image
    psnr: float
    ssim: float
    others: Mapping[str, Compressed | None]

    @property
    def nbytes(self) -> int:
        """Of the bits alone, without any head."""
        return -(-self.bits // 8)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready, without pictures; an infinite PSNR is null."""
        others = {
            format: other
            and {"quality": other.quality, "bytes": len(other.data), **_quality(other)}
            for format, other in self.others.items()
        }
        size = {"height": self.scale.height, "width": self.scale.width}
        return {**size, "bits": self.bits, "bytes": self.nbytes, **_quality(self), **others}

    def save(self, folder: Path, number: int) -> dict[str, Path]:
        """Write ``scale-01.png``, and ``scale-01.jpeg`` and ``scale-01.webp`` where there are such; the
        paths by "png" and format. Raises ResourceError where the folder may not be written."""
        paths = {"png": save_png(self.image, folder / f"scale-{number:02d}.png")}
        for format, other in self.others.items():
            if other is not None:
                paths[format] = path = folder / f"scale-{number:02d}.{format}"
                with disk_errors(path):
                    path.write_bytes(other.data)
        return paths


@torch.inference_mode()
def reconstruct(
    spec: ModelSpec, tokenizer: Tokenizer, image: Image.Image, aspect_ratio: str | None = None
) -> Reconstruction:
    """Encode and decode a picture of any size and mode. Raises RequestError for an aspect ratio that
    the model does not have."""
    image = rgb(image)
    name = aspect_ratio or nearest_aspect_ratio(image.height, image.width, spec.schedules)
    schedule = spec.schedule(name)
    pixels_3HW = preprocess(image, *schedule.image_size(spec.tokenizer.token_pixels))
    encoded = tokenizer.encode(pixels_3HW[None], schedule)
    (original,) = images_from_tensor(pixels_3HW[None])
    (rebuilt,) = images_from_tensor(tokenizer.decode(encoded.latent_Bdyx))
    bits = tuple(bits_BlD[0].cpu().numpy() for bits_BlD in encoded.bits)
    return Reconstruction(rebuilt, original, bits, name)


@torch.inference_mode()
def decode(
    tokenizer: Tokenizer, bits: Sequence[np.ndarray], schedule: ScaleSchedule
) -> Image.Image:
    """The picture of all bits, which are as in :class:`Reconstruction`. Raises ValueError where they do
    not fit the schedule."""
    *_, latent_Bdyx = _latents(tokenizer, bits, schedule)
    (image,) = images_from_tensor(tokenizer.decode(latent_Bdyx))
    return image


@torch.inference_mode()
def measure_scales(
    tokenizer: Tokenizer, rebuilt: Reconstruction, schedule: ScaleSchedule
) -> Iterator[ReconstructedScale]:
    """A reconstruction scale by scale, measured."""
    original, total = rebuilt.original, 0
    compressors = {format: Compressor(original, format) for format in FORMATS}
    latents = _latents(tokenizer, rebuilt.bits, schedule)
    for scale, bits_lD, latent_Bdyx in zip(schedule, rebuilt.bits, latents, strict=True):
        (image,) = images_from_tensor(tokenizer.decode(latent_Bdyx))
        total += bits_lD.size
        others = {name: one.within(-(-total // 8)) for name, one in compressors.items()}
        quality = psnr(original, image), ssim(original, image)
        yield ReconstructedScale(scale, total, image, *quality, others)


def _latents(
    tokenizer: Tokenizer, bits: Sequence[np.ndarray], schedule: ScaleSchedule
) -> Iterator[Tensor]:
    """The sum of codes (B, d, y, x) after every scale."""
    device = next(tokenizer.parameters()).device
    canvas = ResidualCanvas(tokenizer.config, schedule, 1, device)
    for bits_lD in bits:
        canvas.add(torch.from_numpy(bits_lD)[None].to(device))
        yield canvas.latent_Bdyx


def _quality(measured: ReconstructedScale | Compressed) -> dict[str, float | None]:
    decibels = None if math.isinf(measured.psnr) else round(measured.psnr, 3)
    return {"psnr": decibels, "ssim": round(measured.ssim, 5)}
