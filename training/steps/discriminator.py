"""Tells pictures from reconstructions, patch by patch (PatchGAN), and the losses around it.

Source: the tokenizer's release: hinge loss, generator loss from a start step on, a penalty on large
mean logits. Two differences, so that a sample's loss does not depend on its neighbours: group norm
instead of batch norm, and the penalty on each picture's mean logit instead of the batch's.

Legend: B pictures, h w patches.
"""

import math
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

CHANNELS = 64
MOST_HALVINGS = 3
LOGIT_MARGIN = 0.1
LOGIT_PENALTY = 0.05


class PatchDiscriminator(nn.Module):
    """Picture (B, 3, H, W) in [-1, 1] -> (B, 1, h, w) logits, high where it looks real.

    Args:
        side: the smallest side in pixels of the pictures it will see, at least 6.
    """

    def __init__(self, side: int, channels: int = CHANNELS) -> None:
        super().__init__()
        halvings = max(1, min(MOST_HALVINGS, int(math.log2(side / 3))))
        widths = [3, *(channels * min(2**level, 8) for level in range(halvings + 1))]
        layers: list[nn.Module] = []
        for level, (before, after) in enumerate(pairwise(widths)):
            stride = 2 if level < halvings else 1
            layers.append(nn.Conv2d(before, after, 4, stride, padding=1))
            if level:
                layers.append(nn.GroupNorm(math.gcd(32, after), after))
            layers.append(nn.LeakyReLU(0.2))
        layers.append(nn.Conv2d(widths[-1], 1, 4, padding=1))
        self.layers = nn.Sequential(*layers)

    @torch.no_grad()
    def init_weights(self, generator: torch.Generator) -> None:
        """Convolutions normal with std 0.02, biases 0."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                module.weight.normal_(std=0.02, generator=generator)
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]

    def forward(self, image_B3HW: Tensor) -> Tensor:
        return self.layers(image_B3HW)


def fooling_loss(logits_B1hw: Tensor) -> Tensor:
    """(B) what the tokenizer minimises."""
    return -logits_B1hw.float().mean(dim=(1, 2, 3))


def telling_loss(real_B1hw: Tensor, fake_B1hw: Tensor) -> Tensor:
    """(B) what the discriminator minimises: half the hinge losses, and the penalty."""
    real, fake = real_B1hw.float(), fake_B1hw.float()
    hinge = F.relu(1 - real).mean(dim=(1, 2, 3)) + F.relu(1 + fake).mean(dim=(1, 2, 3))
    return 0.5 * hinge + LOGIT_PENALTY * (_excess(real) + _excess(fake))


def _excess(logits_B1hw: Tensor) -> Tensor:
    return F.relu(logits_B1hw.mean(dim=(1, 2, 3)).abs() - LOGIT_MARGIN).square()
