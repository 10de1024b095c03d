"""How sharp a picture is, beside the picture that the world would paint of the same things."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from PIL import Image

from infinity.tokenizer.quality import psnr
from training.evaluation.search import gradient, tensor

MOST_DECIBELS = 60.0
"""Of a picture that is the same to rounding."""


class Sharpness(NamedTuple):
    """Of one picture beside another of its size.

    Attributes:
        edge_fidelity: share of the other's edges that it has, at most 1: what is missing and what is
            too much count alike.
        edge_energy: its edges as a share of the other's, right or wrong.
        psnr: in dB.
    """

    edge_fidelity: float
    edge_energy: float
    psnr: float


def sharpness(picture: Image.Image, nearest: Image.Image) -> Sharpness:
    shown, wanted = (gradient(tensor(image)) for image in (picture, nearest))
    energy = wanted.abs().square().sum()
    return Sharpness(
        edge_fidelity=float(1 - (shown - wanted).abs().square().sum() / energy),
        edge_energy=float(shown.abs().square().sum() / energy),
        psnr=min(psnr(picture, nearest), MOST_DECIBELS),
    )


def summary(found: Iterable[Sharpness | None]) -> dict[str, float]:
    """Means, and the worst tenth's PSNR; empty where there are none."""
    known = [one for one in found if one is not None]
    if not known:
        return {}
    fidelity, energy, decibels = (np.array(values) for values in zip(*known, strict=True))
    return {
        "edge_fidelity": float(fidelity.mean()),
        "edge_energy": float(energy.mean()),
        "psnr": float(decibels.mean()),
        "psnr_worst_tenth": float(np.quantile(decibels, 0.1)),
        "pictures": len(known),
    }
