"""Distance of pictures as a convolutional network sees them.

By default the network is random: untrained, from a fixed seed, nothing to download. Its features
compare edges and textures at several sizes, but it has learned nothing about pictures. With local
files of a trained VGG-16 (torchvision's) and LPIPS' linear layers it is LPIPS (arXiv 1801.03924).

Legend: B pictures, C channels.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from infinity.errors import CheckpointError
from infinity.weights import flat_tensors, read_file

VGG_WIDTHS = (64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512)
"""VGG-16's convolutions; 0 halves the size. Features are compared at the end of each run."""
RANDOM_WIDTHS = (32, 0, 64, 0, 128, 0, 128)
RANDOM_SEED = 0
MEAN, STD = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
"""Of natural pictures in [-1, 1] (LPIPS)."""
SMALLEST_NORM = 1e-10


class PerceptualDistance(nn.Module):
    """(B, 3, H, W) pictures in [-1, 1] twice -> (B) distances.

    Features of every stage are brought to norm 1 over the channels; their squared differences are
    weighted by channel, averaged over the picture and added over the stages.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.widths = widths
        convolutions, before = [], 3
        for width in widths:
            if width:
                convolutions.append(nn.Conv2d(before, width, 3, padding=1))
                before = width
        self.convolutions = nn.ModuleList(convolutions)
        ends = [i for i in range(len(widths)) if widths[i] and not (*widths, 0)[i + 1]]
        self.weights = nn.ParameterList(torch.ones(widths[i]) for i in ends)
        self.register_buffer("mean", torch.tensor(MEAN).view(3, 1, 1))
        self.register_buffer("std", torch.tensor(STD).view(3, 1, 1))
        self.requires_grad_(False)

    def forward(self, output_B3HW: Tensor, target_B3HW: Tensor) -> Tensor:
        both = torch.cat((output_B3HW, target_B3HW))
        distances = [
            (_unit(first) - _unit(second)).square().mul(weight.view(-1, 1, 1)).sum(1).mean((1, 2))
            for (first, second), weight in zip(self._stages(both), self.weights, strict=False)
        ]
        return torch.stack(distances).sum(dim=0)

    def _stages(self, images: Tensor) -> Iterable[tuple[Tensor, Tensor]]:
        """Features of both halves at the end of each stage, until nothing is left to halve."""
        x = (images - self.mean) / self.std
        convolutions = iter(self.convolutions)
        for width in self.widths:
            if width:
                x = F.relu(next(convolutions)(x))
                continue
            first, second = x.chunk(2)
            yield first, second
            if min(x.shape[-2:]) < 2:
                return
            x = F.max_pool2d(x, 2)
        first, second = x.chunk(2)
        yield first, second


def random_network() -> PerceptualDistance:
    """The untrained network; the same on every machine."""
    network = PerceptualDistance(RANDOM_WIDTHS)
    generator = torch.Generator().manual_seed(RANDOM_SEED)
    for module in network.convolutions:
        assert isinstance(module, nn.Conv2d) and module.bias is not None
        nn.init.kaiming_normal_(module.weight, nonlinearity="relu", generator=generator)
        nn.init.zeros_(module.bias)
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
    network = PerceptualDistance(VGG_WIDTHS)
    names = sorted(
        {
            int(match[1])
            for name in tensors
            if (match := re.match(r"features\.(\d+)\.weight$", name))
        }
    )
    if len(names) != len(network.convolutions):
        raise CheckpointError(
            f"{', '.join(map(str, paths))} hold {len(names)} of VGG-16's "
            f"{len(network.convolutions)} convolutions; name torchvision's vgg16 file."
        )
    for name, module in zip(names, network.convolutions, strict=True):
        for part in ("weight", "bias"):
            _fill(getattr(module, part), tensors, f"features.{name}.{part}")
    if any(name.startswith("lin") for name in tensors):
        for index, weight in enumerate(network.weights):
            _fill(weight, tensors, f"lin{index}.model.1.weight")
    return network


def _fill(parameter: Tensor, tensors: Mapping[str, Tensor], name: str) -> None:
    if name not in tensors or tensors[name].numel() != parameter.numel():
        raise CheckpointError(
            f"The perceptual network's {name} is missing or of another shape; fetch the file again."
        )
    with torch.no_grad():
        parameter.copy_(tensors[name].view(parameter.shape))


def _unit(features_BCHW: Tensor) -> Tensor:
    features = features_BCHW.float()
    return features / (torch.linalg.vector_norm(features, dim=1, keepdim=True) + SMALLEST_NORM)
