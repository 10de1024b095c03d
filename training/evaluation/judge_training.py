"""Training the judge on fresh renders, resumable: ``python -m training.default_model judge``."""

from dataclasses import dataclass, fields
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from training.evaluation.judge import Judge, Output
from training.evaluation.judge_data import IGNORE, JudgeExample, judge_example
from training.schedules import trapezoid
from training.world.world import World

SEED = 77
"""The generator is trained with other seeds."""


@dataclass(frozen=True, kw_only=True)
class JudgeTraining:
    steps: int = 6000
    batch_size: int = 24
    learning_rate: float = 2e-3
    warmup: int = 100
    cooldown: float = 0.5
    save_every: int = 250


class _Examples(Dataset[JudgeExample]):
    def __init__(self, world: World) -> None:
        self.world = world

    def __getitem__(self, index: int) -> JudgeExample:
        return judge_example(self.world, SEED, index)


def collate(examples: list[JudgeExample]) -> JudgeExample:
    """Every field with a batch dimension in front."""
    names = [field.name for field in fields(JudgeExample)]
    return JudgeExample(*(torch.stack([getattr(one, name) for one in examples]) for name in names))


def judge_loss(output: Output, target: JudgeExample) -> dict[str, Tensor]:
    """Penalty-reduced focal loss on the heat, L1 on shapes, cross-entropy on the rest."""
    heat = output.heat.float()
    probability = heat.sigmoid()
    is_center = target.heat == 1
    centers = target.where.sum().clamp(min=1)
    hits = F.softplus(-heat) * (1 - probability) ** 2
    misses = F.softplus(heat) * probability**2 * (1 - target.heat) ** 4
    at = target.where
    shape = torch.cat((output.size, output.offset), 1).float().permute(0, 2, 3, 1)[at]
    wanted = torch.cat((target.size, target.offset), 1).permute(0, 2, 3, 1)[at]
    color = output.color.float().permute(0, 2, 3, 1)[at]
    style = output.style.float().permute(0, 2, 3, 1)[at]
    return {
        "heat": torch.where(is_center, hits, misses).sum() / centers,
        "shape": F.l1_loss(shape, wanted),
        "color": _known(color, target.color[at]),
        "style": _known(style, target.style[at]),
        "scene": F.cross_entropy(output.scene.float(), target.scene),
    }


def _known(logits: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy, mean over the known targets; 0 where there is none."""
    total = F.cross_entropy(logits, target, ignore_index=IGNORE, reduction="sum")
    return total / (target != IGNORE).sum().clamp(min=1)


def train_judge(config: JudgeTraining, world: World, folder: Path) -> Judge:
    """Train, or continue from ``checkpoint.pt`` in ``folder``."""
    torch.manual_seed(SEED)
    judge = Judge().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.AdamW(judge.parameters(), config.learning_rate, weight_decay=0.02)
    checkpoint, step = folder / "checkpoint.pt", 0
    if checkpoint.is_file():
        state = torch.load(checkpoint, weights_only=True)
        judge.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        step = state["step"]
    indices = range(step * config.batch_size, config.steps * config.batch_size)
    loader = DataLoader(
        _Examples(world),
        config.batch_size,
        sampler=indices,
        collate_fn=collate,
        num_workers=1,
        prefetch_factor=4,
    )
    judge.train()
    bar = tqdm(loader, initial=step, total=config.steps, desc="judge")
    for target in bar:
        for group in optimizer.param_groups:
            group["lr"] = config.learning_rate * trapezoid(
                step, config.steps, config.warmup, config.cooldown
            )
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
        if step % config.save_every == 0 or step == config.steps:
            folder.mkdir(parents=True, exist_ok=True)
            state = {"model": judge.state_dict(), "optimizer": optimizer.state_dict()}
            torch.save(state | {"step": step}, draft := checkpoint.with_suffix(".writing"))
            draft.replace(checkpoint)
    return judge.eval()
