"""Training the judge, resumable (``python -m training.default_model judge``), on fresh renders,
shifted and scaled, with objects spoiled on purpose.

An object blurred beyond recognition is a blob, and a blob is nothing: its label is taken away.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageFilter
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from infinity.scoring.judge import CELLS, SIZE, Judge, Output
from infinity.world.scene import Scene
from training.evaluation.judge import WORDS
from training.evaluation.prompts import COLORS
from training.schedules import trapezoid
from training.world.backgrounds import background_of
from training.world.concepts import CONCEPTS, STYLES
from training.world.layout import Box
from training.world.sampling import Stage, sample_scene
from training.world.world import World

SEED = 77
"""The generator is trained with other seeds."""
LARGEST = 236
SPOILED_SHARE = 0.25
SOFT_SHARE = 0.5
IGNORE = -100


class JudgeExample(NamedTuple):
    """A picture, (3, 192, 192) uint8, and what is to be seen in it.

    heat (K, 24, 24) in [0, 1]; shape (4, 24, 24) as the judge's; colour, style (24, 24) int64 (-100:
    unknown; the style of every centre is known); scene int64 ().
    """

    picture: Tensor
    heat: Tensor
    shape: Tensor
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
    image, boxes = world.draw(scene, side, rng)
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


def _labeled(picture: Tensor, scene: Scene, boxes: list[Box], left: int, top: int) -> JudgeExample:
    heat = torch.zeros(len(WORDS.concepts), CELLS, CELLS)
    shape = torch.zeros(4, CELLS, CELLS)
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
        concept = WORDS.concepts.index(box.item.name)
        heat[concept] = torch.maximum(heat[concept], spot)
        width, height = min(1, box.width / SIZE), min(1, box.height / SIZE)
        shape[:, row, column] = torch.tensor([width, height, x - column, y - row])
        shown = box.item.color or CONCEPTS[box.item.name].natural
        if shown is not None:
            color[row, column] = COLORS.index(shown)
        style[row, column] = STYLES.index(scene.style or STYLES[0])
    background = background_of(scene)
    shown = "gradient" if background.kind == "gradient" else background.names[0]
    place = WORDS.scenes.index(shown)
    return JudgeExample(picture, heat, shape, color, style, torch.tensor(place))


class _Examples(Dataset[JudgeExample]):
    def __init__(self, world: World) -> None:
        self.world = world

    def __getitem__(self, index: int) -> JudgeExample:
        return judge_example(self.world, SEED, index)


def judge_loss(output: Output, target: JudgeExample) -> dict[str, Tensor]:
    """Penalty-reduced focal loss on the heat, L1 on shapes, cross-entropy on the rest."""
    heat = output.heat.float()
    probability = heat.sigmoid()
    is_center = target.heat == 1
    at = target.style != IGNORE
    hits = F.softplus(-heat) * (1 - probability) ** 2
    misses = F.softplus(heat) * probability**2 * (1 - target.heat) ** 4
    shape = output.shape.float().permute(0, 2, 3, 1)[at]
    color = output.color.float().permute(0, 2, 3, 1)[at]
    style = output.style.float().permute(0, 2, 3, 1)[at]
    return {
        "heat": torch.where(is_center, hits, misses).sum() / at.sum().clamp(min=1),
        "shape": F.l1_loss(shape, target.shape.permute(0, 2, 3, 1)[at]),
        "color": _known(color, target.color[at]),
        "style": _known(style, target.style[at]),
        "scene": F.cross_entropy(output.scene.float(), target.scene),
    }


def _known(logits: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy, mean over the known targets; 0 where there is none."""
    total = F.cross_entropy(logits, target, ignore_index=IGNORE, reduction="sum")
    return total / (target != IGNORE).sum().clamp(min=1)


def train_judge(
    world: World,
    folder: Path,
    *,
    steps: int = 6000,
    batch_size: int = 24,
    learning_rate: float = 2e-3,
    warmup: int = 100,
    cooldown: float = 0.5,
    save_every: int = 250,
) -> Judge:
    """Train, or continue from ``checkpoint.pt`` in ``folder``."""
    torch.manual_seed(SEED)
    judge = Judge(WORDS).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.AdamW(judge.parameters(), learning_rate, weight_decay=0.02)
    checkpoint, step = folder / "checkpoint.pt", 0
    if checkpoint.is_file():
        state = torch.load(checkpoint, weights_only=True)
        judge.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        step = state["step"]
    indices = range(step * batch_size, steps * batch_size)
    loader = DataLoader(
        _Examples(world),
        batch_size,
        sampler=indices,
        num_workers=1,
        prefetch_factor=4,
    )
    judge.train()
    bar = tqdm(loader, initial=step, total=steps, desc="judge")
    for target in bar:
        rate = learning_rate * trapezoid(step, steps, warmup, cooldown)
        optimizer.param_groups[0]["lr"] = rate
        pictures = (target.picture.float() / 127.5 - 1).to(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16):
            output = judge(pictures)
        losses = judge_loss(output, target)
        optimizer.zero_grad()
        torch.stack(list(losses.values())).sum().backward()
        torch.nn.utils.clip_grad_norm_(judge.parameters(), 5.0)
        optimizer.step()
        step += 1
        bar.set_postfix({name: f"{loss.item():.3f}" for name, loss in losses.items()})
        if step % save_every == 0 or step == steps:
            folder.mkdir(parents=True, exist_ok=True)
            state = {"model": judge.state_dict(), "optimizer": optimizer.state_dict()}
            torch.save(state | {"step": step}, draft := checkpoint.with_suffix(".writing"))
            draft.replace(checkpoint)
    return judge.eval()
