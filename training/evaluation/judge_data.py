"""What the judge learns from: fresh renders, shifted and scaled, with objects spoiled on purpose.

An object blurred beyond recognition is a blob, and a blob is nothing: its label is taken away.
"""

from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image, ImageFilter
from torch import Tensor

from training.evaluation.judge import CELLS, NAMES, SCENES, SIZE
from training.evaluation.prompts import COLORS
from training.world.concepts import CONCEPTS
from training.world.layout import Box
from training.world.sampling import Stage, sample_scene
from training.world.scene import Scene
from training.world.sprites import STYLES
from training.world.world import World

LARGEST = 236
SPOILED_SHARE = 0.25
SOFT_SHARE = 0.5
IGNORE = -100


@dataclass(frozen=True)
class JudgeExample:
    """A picture, (3, 192, 192) uint8, and what is to be seen in it.

    heat (K, 24, 24) in [0, 1]; where (24, 24) bool marks centres; size, offset (2, 24, 24);
    colour, style (24, 24) int64 (-100: unknown); scene int64 ().
    """

    picture: Tensor
    heat: Tensor
    where: Tensor
    size: Tensor
    offset: Tensor
    color: Tensor
    style: Tensor
    scene: Tensor


def judge_example(world: World, seed: int, index: int) -> JudgeExample:
    """The example with this seed and index, the same on every call."""
    rng = np.random.default_rng((seed, index))
    split = "heldout" if rng.random() < 0.2 else "train"
    stage: Stage = "full" if index % 2 else "composed"
    scene = sample_scene(
        rng, concepts=world.concepts, styles=world.styles, stage=stage, split=split
    )
    side = int(rng.integers(SIZE, LARGEST + 1))
    pixels, boxes = world.draw(scene, side, rng)
    image = Image.fromarray(pixels)
    whole = []
    for box in boxes:
        if rng.random() < SPOILED_SHARE:
            spoil(image, box, rng)
        else:
            whole.append(box)
    left, top = rng.integers(0, side - SIZE + 1, 2).tolist()
    image = image.crop((left, top, left + SIZE, top + SIZE))
    if rng.random() < SOFT_SHARE:
        image = image.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.3, 1.6))))
    noisy = np.asarray(image).astype(np.float32)
    noisy += rng.normal(0, rng.uniform(0, 6), noisy.shape)
    picture = torch.from_numpy(noisy.clip(0, 255).astype(np.uint8)).permute(2, 0, 1)
    return _labeled(picture.contiguous(), scene, whole, left, top)


def spoil(image: Image.Image, box: Box, rng: np.random.Generator) -> None:
    """Blur an object beyond recognition, in place, with no seam to give it away."""
    longest = max(box.width, box.height)
    radius = float(rng.uniform(0.09, 0.2)) * longest
    mask = Image.new("L", image.size, 0)
    mask.paste(255, (box.x0, box.y0, box.x0 + box.width, box.y0 + box.height))
    mask = mask.filter(ImageFilter.BoxBlur(0.04 * longest))
    mask = mask.point([min(255, 2 * value) for value in range(256)])  # whole inside the box
    image.paste(image.filter(ImageFilter.GaussianBlur(radius)), (0, 0), mask)


def scene_label(scene: Scene) -> str:
    """The judge's word for a background."""
    return "gradient" if scene.background.kind == "gradient" else scene.background.names[0]


def _labeled(picture: Tensor, scene: Scene, boxes: list[Box], left: int, top: int) -> JudgeExample:
    heat = torch.zeros(len(NAMES), CELLS, CELLS)
    where = torch.zeros(CELLS, CELLS, dtype=torch.bool)
    size, offset = torch.zeros(2, CELLS, CELLS), torch.zeros(2, CELLS, CELLS)
    color = torch.full((CELLS, CELLS), IGNORE)
    style = torch.full((CELLS, CELLS), IGNORE)
    rows = torch.arange(CELLS).float()
    for box in boxes:
        center_x, center_y = box.center
        x, y = (center_x - left) / SIZE * CELLS, (center_y - top) / SIZE * CELLS
        column, row = int(x), int(y)
        if not (0 <= column < CELLS and 0 <= row < CELLS):
            continue
        spread = max(box.width, box.height) / SIZE * CELLS / 8
        spot = torch.exp(
            -((rows[:, None] - row) ** 2 + (rows[None, :] - column) ** 2) / (2 * spread**2)
        )
        concept = NAMES.index(box.item.concept)
        heat[concept] = torch.maximum(heat[concept], spot)
        where[row, column] = True
        size[:, row, column] = torch.tensor([box.width / SIZE, box.height / SIZE]).clamp(max=1)
        offset[:, row, column] = torch.tensor([x - column, y - row])
        shown = box.item.color or CONCEPTS[box.item.concept].natural
        if shown is not None:
            color[row, column] = COLORS.index(shown)
        style[row, column] = STYLES.index(scene.style)
    return JudgeExample(
        picture,
        heat,
        where,
        size,
        offset,
        color,
        style,
        torch.tensor(SCENES.index(scene_label(scene))),
    )
