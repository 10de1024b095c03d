"""How near a reconstruction is to its picture, and how sharp. Pictures are (B, 3, H, W) in [-1, 1]."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from training.losses import psnr

WINDOW, SIGMA = 11, 1.5
"""SSIM's Gaussian window (Wang et al., 2004)."""
BLACK_OFFSET, CONTRAST_OFFSET = (0.01 * 2) ** 2, (0.03 * 2) ** 2


def measure(output_B3HW: Tensor, target_B3HW: Tensor) -> dict[str, float]:
    """Means over the pictures: ``psnr`` in dB, ``ssim`` up to 1, and of brightness differences between
    neighbouring pixels ``edge_energy`` (1: as much as in the targets; less is soft, more is ringing)
    and ``edge_fidelity`` (1: the very same edges; 0: no better than none)."""
    output, target = output_B3HW.float().clamp(-1, 1), target_B3HW.float()
    edges, wanted = _edges(output), _edges(target)
    energy = wanted.square().sum()
    return {
        "psnr": psnr(output, target),
        "ssim": ssim(output, target),
        "edge_energy": (edges.square().sum() / energy).item(),
        "edge_fidelity": (1 - (edges - wanted).square().sum() / energy).item(),
    }


def ssim(output_B3HW: Tensor, target_B3HW: Tensor) -> float:
    """Mean structural similarity, at most 1."""
    offsets = torch.arange(WINDOW) - WINDOW // 2
    bell = torch.exp(-offsets.square() / (2 * SIGMA**2))
    window = torch.outer(bell, bell) / bell.sum() ** 2
    window = window.expand(3, 1, -1, -1).to(output_B3HW)
    x, y = output_B3HW, target_B3HW

    def mean(image: Tensor) -> Tensor:
        return F.conv2d(image, window, groups=3)

    mean_x, mean_y = mean(x), mean(y)
    var_x, var_y = mean(x * x) - mean_x**2, mean(y * y) - mean_y**2
    shared = mean(x * y) - mean_x * mean_y
    similarity = (2 * mean_x * mean_y + BLACK_OFFSET) * (2 * shared + CONTRAST_OFFSET)
    similarity /= (mean_x**2 + mean_y**2 + BLACK_OFFSET) * (var_x + var_y + CONTRAST_OFFSET)
    return similarity.mean().item()


def seams(output_B3HW: Tensor, target_B3HW: Tensor, patch: int) -> float:
    """Error across the borders of ``patch`` pixels over the error between all other neighbours.

    1: none to be seen; more: the grid shows.
    """
    across, within = [], []
    error = output_B3HW.float() - target_B3HW.float()
    for side in (2, 3):
        steps = error.diff(dim=side).abs().mean(dim=(0, 1, 5 - side))
        border = torch.arange(1, len(steps) + 1) % patch == 0
        across.append(steps[border].mean())
        within.append(steps[~border].mean())
    return (torch.stack(across).sum() / torch.stack(within).sum()).item()


def _edges(image_B3HW: Tensor) -> Tensor:
    gray = image_B3HW.mean(1)
    return torch.cat((gray.diff(dim=1).flatten(), gray.diff(dim=2).flatten()))
