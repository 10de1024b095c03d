"""Networks that look at pictures for the tokenizer's losses: a perceptual distance, a discriminator.

By default the network of the distance is random: untrained, from a fixed seed, nothing to download.
Its features compare edges and textures at several sizes, but it has learned nothing about pictures.
With local files of a trained VGG-16 (torchvision's) and LPIPS' linear layers it is LPIPS (arXiv
1801.03924).

The discriminator tells pictures from reconstructions, patch by patch (PatchGAN). Source: the
tokenizer's release: hinge loss, generator loss from a start step on, a penalty on large mean logits.
Two differences, so that a sample's loss does not depend on its neighbours: group norm instead of
batch norm, and the penalty on each picture's mean logit instead of the batch's.

Legend: B pictures, C channels, h w patches.
"""

import math
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from infinity.errors import CheckpointError
from infinity.weights import flat_tensors, read_file

Stages = tuple[tuple[int, ...], ...]
VGG_STAGES: Stages = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
"""Widths of VGG-16's convolutions. Features are compared at the end of each stage; between two, the
size is halved."""
RANDOM_STAGES: Stages = ((32,), (64,), (128,), (128,))
RANDOM_SEED = 0
MEAN, STD = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
"""Of natural pictures in [-1, 1] (LPIPS)."""
SMALLEST_NORM = 1e-10

CHANNELS = 64
MOST_HALVINGS = 3
LOGIT_MARGIN = 0.1
LOGIT_PENALTY = 0.05


class PerceptualDistance(nn.Module):
    """(B, 3, H, W) pictures in [-1, 1] twice -> (B) distances.

    Features of every stage are brought to norm 1 over the channels; their squared differences are
    weighted by channel, averaged over the picture and added over the stages, until nothing is left
    to halve.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, stages: Stages) -> None:
        super().__init__()
        self.stages, before = nn.ModuleList(), 3
        for widths in stages:
            stage = nn.Sequential()
            for width in widths:
                stage.extend([nn.Conv2d(before, width, 3, padding=1), nn.ReLU()])
                before = width
            self.stages.append(stage)
        self.weights = nn.ParameterList(torch.ones(widths[-1]) for widths in stages)
        self.register_buffer("mean", torch.tensor(MEAN).view(3, 1, 1))
        self.register_buffer("std", torch.tensor(STD).view(3, 1, 1))
        self.requires_grad_(False)

    def forward(self, output_B3HW: Tensor, target_B3HW: Tensor) -> Tensor:
        x = (torch.cat((output_B3HW, target_B3HW)) - self.mean) / self.std
        distances: list[Tensor] = []
        for stage, weight in zip(self.stages, self.weights, strict=True):
            if distances:
                if min(x.shape[-2:]) < 2:
                    break
                x = F.max_pool2d(x, 2)
            x = stage(x)
            first, second = map(_unit, x.chunk(2))
            difference = (first - second).square().mul(weight.view(-1, 1, 1))
            distances.append(difference.sum(1).mean((1, 2)))
        return torch.stack(distances).sum(dim=0)


def random_network() -> PerceptualDistance:
    """The untrained network; the same on every machine."""
    network = PerceptualDistance(RANDOM_STAGES)
    generator = torch.Generator().manual_seed(RANDOM_SEED)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu", generator=generator)
            nn.init.zeros_(module.bias)  # type: ignore[arg-type]
    return network


def trained_network(files: Iterable[str | Path]) -> PerceptualDistance:
    """VGG-16, and LPIPS' linear layers where the files hold them (else every channel counts 1).

    Args:
        files: torchvision's vgg16 ("features.0.weight", ...) and the LPIPS release's vgg.pth
            ("lin0.model.1.weight", ...), together or apart.

    Raises:
        CheckpointError: a file is missing or damaged, or the network is not in them.
    """
    tensors: dict[str, Tensor] = {}
    paths = [Path(file) for file in files]
    for path in paths:
        tensors |= flat_tensors(read_file(path)[0], path)
    network = PerceptualDistance(VGG_STAGES)
    wanted: dict[str, Tensor] = {}
    place = 0
    for stage in network.stages:
        for name, parameter in stage.named_parameters():
            index, part = name.split(".")
            wanted[f"features.{place + int(index)}.{part}"] = parameter
        place += len(list(stage.children())) + 1  # and the layer that halves
    if any(name.startswith("lin") for name in tensors):
        wanted |= {f"lin{i}.model.1.weight": weight for i, weight in enumerate(network.weights)}
    for name, parameter in wanted.items():
        if name not in tensors or tensors[name].numel() != parameter.numel():
            raise CheckpointError(
                f"The perceptual network's {name} is missing in {', '.join(map(str, paths))}, or of "
                "another shape; name torchvision's vgg16 file, fetched again."
            )
        parameter.copy_(tensors[name].view(parameter.shape))
    return network


def _unit(features_BCHW: Tensor) -> Tensor:
    features = features_BCHW.float()
    return features / (torch.linalg.vector_norm(features, dim=1, keepdim=True) + SMALLEST_NORM)


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
