"""The judge: a small detector that reads pixels only and says what a picture shows.

A centre-point detector (Zhou et al., "Objects as Points", 2019): on a 24x24 grid, one heat map a
concept, with size, colour and style at every cell, and the scene of the whole picture.

Legend: B batch, K concepts, y x cells of the 24x24 grid.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from infinity.errors import CheckpointError
from infinity.int8 import dequantized, quantized
from training.evaluation.grade import Detection, Seen
from training.evaluation.prompts import COLORS
from training.world.color import BACKGROUNDS
from training.world.concepts import CONCEPTS
from training.world.places import PLACES
from training.world.sprites import STYLES

SIZE = 192
CELLS = 24
THRESHOLD = 0.35
"""Heat from which a cell counts as an object."""
NAMES = tuple(CONCEPTS)
SCENES = (*PLACES, *BACKGROUNDS, "gradient")
WEIGHTS = Path(__file__).parent.parent.parent / "assets" / "judge.safetensors"


class Output(NamedTuple):
    """Raw outputs: heat logits (B, K, y, x); shape (B, 4, y, x): width and height in shares of the
    side, offset of the centre in cells; colour and style logits (B, ., y, x), scene logits (B, .),
    pooled features (B, 256)."""

    heat: Tensor
    shape: Tensor
    color: Tensor
    style: Tensor
    scene: Tensor
    features: Tensor


def _convolution(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()
    )


class Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(_convolution(width, width), nn.Conv2d(width, width, 3, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.body(x))


class Judge(nn.Module):
    """Pictures (B, 3, 192, 192) in [-1, 1] -> :class:`Output`."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(_convolution(3, 32, 2), _convolution(32, 48, 2), Residual(48))
        self.middle = nn.Sequential(_convolution(48, 128, 2), Residual(128), Residual(128))
        self.deep = nn.Sequential(_convolution(128, 256, 2), Residual(256), Residual(256))
        self.lateral = nn.Conv2d(256, 128, 1)
        self.merged = _convolution(128, 192)
        self.heat = nn.Conv2d(192, len(NAMES), 1)
        self.shape = nn.Conv2d(192, 4, 1)
        self.look = nn.Conv2d(192, len(COLORS) + len(STYLES), 1)
        self.scene = nn.Linear(256 + 128 + 48, len(SCENES))
        nn.init.constant_(self.heat.bias, -4.0)  # type: ignore[arg-type]

    def forward(self, pictures: Tensor) -> Output:
        fine = self.stem(pictures)
        middle = self.middle(fine)
        deep = self.deep(middle)
        upper = F.interpolate(self.lateral(deep), scale_factor=2, mode="nearest")
        merged = self.merged(middle + upper)
        look = self.look(merged)
        features = deep.mean((2, 3))
        pooled = torch.cat((features, middle.mean((2, 3)), fine.mean((2, 3))), 1)
        return Output(
            self.heat(merged),
            self.shape(merged).sigmoid(),
            look[:, : len(COLORS)],
            look[:, len(COLORS) :],
            self.scene(pooled),
            features,
        )

    @torch.no_grad()
    def see(self, images: Sequence[Image.Image]) -> list[Seen]:
        """What each picture shows: peaks of the hottest concept of each cell, one a neighbourhood, and
        the scene. Pictures of other sizes are resized first."""
        output = self(to_pixels(images))
        heat, concept = output.heat.float().sigmoid().max(1)
        peak = heat == F.max_pool2d(heat[:, None], 5, 1, 2)[:, 0]
        color, style = output.color.argmax(1), output.style.argmax(1)
        scene, features = output.scene.argmax(1).tolist(), output.features.double().numpy()
        found: list[list[Detection]] = [[] for _ in images]
        for b, y, x in torch.nonzero(peak & (heat > THRESHOLD)).tolist():
            width, height, dx, dy = output.shape[b, :, y, x].tolist()
            found[b].append(
                Detection(
                    concept=NAMES[int(concept[b, y, x])],
                    color=COLORS[int(color[b, y, x])],
                    style=STYLES[int(style[b, y, x])],
                    x=(x + dx) / CELLS,
                    y=(y + dy) / CELLS,
                    width=width,
                    height=height,
                )
            )
        return [Seen(tuple(found[b]), SCENES[scene[b]], features[b]) for b in range(len(images))]


def to_pixels(images: Sequence[Image.Image]) -> Tensor:
    """-> (B, 3, 192, 192) float32 in [-1, 1]."""
    arrays = [
        np.asarray(image.convert("RGB").resize((SIZE, SIZE), Image.Resampling.LANCZOS))
        for image in images
    ]
    return torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2).float() / 127.5 - 1


def load_judge(path: Path = WEIGHTS) -> Judge:
    """The trained judge, ready to look.

    Raises:
        CheckpointError: the weights are missing or of another judge.
    """
    judge = Judge()
    try:
        tensors = dequantized(load_file(path), path)
        judge.load_state_dict({k: v.float() for k, v in tensors.items()})
    except (OSError, SafetensorError, RuntimeError) as error:
        raise CheckpointError(
            f"The judge's weights {path} cannot be read; `python -m training.default_model judge` "
            "makes them."
        ) from error
    return judge.eval()


def save_judge(judge: Judge, path: Path) -> None:
    """Large weights as int8, the rest in half precision; batch counters stay whole numbers."""
    state = {
        k: (v.half() if v.dtype == torch.float32 else v).contiguous()
        for k, v in quantized(judge.state_dict()).items()
    }
    save_file(state, path)
