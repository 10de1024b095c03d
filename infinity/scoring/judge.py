"""The judge: a small detector that reads pixels only and says what a picture shows.

A centre-point detector (Zhou et al., "Objects as Points", 2019): on a 24x24 grid, one heat map a
concept, with size, colour and style at every cell, and the scene of the whole picture. It was trained
on the world of the default model (``python -m training.default_model judge``) and marks its exam.

Legend: B batch, K concepts, y x cells of the 24x24 grid.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from infinity.checks import Checked
from infinity.errors import CheckpointError
from infinity.files import read_object
from infinity.int8 import dequantized
from infinity.weights import read_safetensors

SIZE = 192
CELLS = 24
THRESHOLD = 0.35
"""Heat from which a cell counts as an object."""
POSITION_MARGIN = 0.1
"""GenEval's: centres must differ by more than this share of the two objects' joint size."""
MADE_BY = "`python -m training.default_model judge` makes them"


@dataclass(frozen=True, kw_only=True)
class JudgeWords(Checked):
    """What a judge tells apart, in the order of its outputs, and how prompts name it, in lower case.

    Attributes:
        nouns: words for a concept, plurals among them -> the concept.
        scene_phrases, style_phrases: words for a scene or a style -> its name.
    """

    called = "The judge's words"

    concepts: tuple[str, ...]
    colors: tuple[str, ...]
    styles: tuple[str, ...]
    scenes: tuple[str, ...]
    nouns: Mapping[str, str]
    scene_phrases: Mapping[str, str]
    style_phrases: Mapping[str, str]


@dataclass(frozen=True)
class Detection:
    """One object the judge saw: box in shares of the picture's side, y down."""

    concept: str
    color: str
    style: str
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Seen:
    """All the judge saw in one picture.

    Attributes:
        scene: a place, "gradient", or the colour of a plain background.
        features: (256,) float64, for the Frechet distance.
    """

    objects: tuple[Detection, ...]
    scene: str
    features: np.ndarray


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

    def __init__(self, words: JudgeWords) -> None:
        super().__init__()
        self.words = words
        self.stem = nn.Sequential(_convolution(3, 32, 2), _convolution(32, 48, 2), Residual(48))
        self.middle = nn.Sequential(_convolution(48, 128, 2), Residual(128), Residual(128))
        self.deep = nn.Sequential(_convolution(128, 256, 2), Residual(256), Residual(256))
        self.lateral = nn.Conv2d(256, 128, 1)
        self.merged = _convolution(128, 192)
        self.heat = nn.Conv2d(192, len(words.concepts), 1)
        self.shape = nn.Conv2d(192, 4, 1)
        self.look = nn.Conv2d(192, len(words.colors) + len(words.styles), 1)
        self.scene = nn.Linear(256 + 128 + 48, len(words.scenes))
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
        colors = len(self.words.colors)
        return Output(
            self.heat(merged),
            self.shape(merged).sigmoid(),
            look[:, :colors],
            look[:, colors:],
            self.scene(pooled),
            features,
        )

    @torch.no_grad()
    def see(self, images: Sequence[Image.Image]) -> list[Seen]:
        """What each picture shows: peaks of the hottest concept of each cell, one a neighbourhood, and
        the scene. Pictures of other sizes are resized first."""
        output, words = self(to_pixels(images)), self.words
        heat, concept = output.heat.float().sigmoid().max(1)
        color, style = output.color.argmax(1), output.style.argmax(1)
        scene, features = output.scene.argmax(1).tolist(), output.features.double().numpy()
        found: list[list[Detection]] = [[] for _ in images]
        for b, y, x in torch.nonzero(peaks(heat) & (heat > THRESHOLD)).tolist():
            found[b].append(
                Detection(
                    words.concepts[int(concept[b, y, x])],
                    words.colors[int(color[b, y, x])],
                    words.styles[int(style[b, y, x])],
                    *box_at(output, b, y, x),
                )
            )
        return [
            Seen(tuple(found[b]), words.scenes[scene[b]], features[b]) for b in range(len(images))
        ]


def peaks(heat_Byx: Tensor) -> Tensor:
    """(B, y, x) bool: the hottest cell of each neighbourhood."""
    return heat_Byx == F.max_pool2d(heat_Byx[:, None], 5, 1, 2)[:, 0]


def box_at(output: Output, b: int, y: int, x: int) -> tuple[float, float, float, float]:
    """(x, y, width, height) of the object whose centre is in a cell, in shares of the side."""
    width, height, dx, dy = output.shape[b, :, y, x].tolist()
    return (x + dx) / CELLS, (y + dy) / CELLS, width, height


def is_at(one: Detection, relation: str, other: Detection) -> bool:
    """GenEval's relative position: beyond the margin, and mainly in that direction."""
    dx, dy = one.x - other.x, one.y - other.y
    margin_x = POSITION_MARGIN * (one.width + other.width)
    margin_y = POSITION_MARGIN * (one.height + other.height)
    return {
        "left of": dx < -margin_x and abs(dx) > abs(dy),
        "right of": dx > margin_x and abs(dx) > abs(dy),
        "above": dy < -margin_y and abs(dy) > abs(dx),
        "below": dy > margin_y and abs(dy) > abs(dx),
    }[relation]


def to_pixels(images: Sequence[Image.Image]) -> Tensor:
    """-> (B, 3, 192, 192) float32 in [-1, 1]."""
    arrays = [
        np.asarray(image.convert("RGB").resize((SIZE, SIZE), Image.Resampling.LANCZOS))
        for image in images
    ]
    return torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2).float() / 127.5 - 1


def load_judge(path: Path) -> Judge:
    """A trained judge, ready to look; its words lie beside its weights, as JSON.

    Raises:
        CheckpointError: a file is missing, damaged, or of another judge.
    """
    judge = Judge(JudgeWords.from_dict(read_object(path.with_suffix(".json"), MADE_BY)))
    try:
        tensors = dequantized(read_safetensors(path), path)
        judge.load_state_dict({name: tensor.float() for name, tensor in tensors.items()})
    except (CheckpointError, RuntimeError) as error:
        raise CheckpointError(f"The judge's weights {path} cannot be read; {MADE_BY}.") from error
    return judge.eval()
