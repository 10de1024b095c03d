"""Train the judge: ``python -m training.exam.train`` (fresh renders, resumable)."""

from __future__ import annotations

import argparse
import logging
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import DataLoader
from tqdm import tqdm

from infinity.console import home_path, log_to_terminal
from training.exam.judge import WEIGHTS, Judge, Output, save_judge
from training.exam.lessons import IGNORE, Lesson, lesson
from training.run import Run
from training.stepping import IndexedDataset, trapezoid
from training.world.sprites import STYLES
from training.world.world import World

logger = logging.getLogger(__name__)

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


def collate(lessons: list[Lesson]) -> Lesson:
    """Every field with a batch dimension in front."""
    return Lesson(
        *(torch.stack([getattr(one, field.name) for one in lessons]) for field in fields(Lesson))
    )


def judge_loss(output: Output, target: Lesson) -> dict[str, Tensor]:
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
        "colour": _known(color, target.color[at]),
        "style": _known(style, target.style[at]),
        "scene": F.cross_entropy(output.scene.float(), target.scene),
    }


def _known(logits: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy, mean over the known targets; 0 where there is none."""
    total = F.cross_entropy(logits, target, ignore_index=IGNORE, reduction="sum")
    return total / (target != IGNORE).sum().clamp(min=1)


def train_judge(config: JudgeTraining, world: World, folder: Path) -> Judge:
    """Train, or continue the run in ``folder``."""
    run = Run(folder, config, frozenset({"steps", "cooldown", "save_every"}))
    torch.manual_seed(SEED)
    judge = Judge().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.AdamW(judge.parameters(), config.learning_rate, weight_decay=0.02)
    step = 0
    if (state := run.resume()) is not None:
        judge.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        step = state["step"]
    batch = config.batch_size
    lessons = IndexedDataset(partial(lesson, world, SEED), step * batch, config.steps * batch)
    loader = DataLoader(
        lessons, batch_size=batch, collate_fn=collate, num_workers=1, prefetch_factor=4
    )
    judge.train()
    for target in tqdm(loader, initial=step, total=config.steps, desc="judge"):
        for group in optimizer.param_groups:
            group["lr"] = config.learning_rate * trapezoid(
                step, config.steps, config.warmup, config.cooldown
            )
        pictures = (target.picture.float() / 127.5 - 1).to(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16):
            output = judge(pictures)
        losses = judge_loss(output, target)
        total = torch.stack(list(losses.values())).sum()
        optimizer.zero_grad()
        total.backward()
        torch.nn.utils.clip_grad_norm_(judge.parameters(), 5.0)
        optimizer.step()
        step += 1
        if step % 25 == 0:
            run.log(step, **{name: loss.item() for name, loss in losses.items()})
        if step % config.save_every == 0 or step == config.steps:
            run.save(
                {"step": step, "model": judge.state_dict(), "optimizer": optimizer.state_dict()}
            )
    return judge.eval()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--world", type=home_path, default=Path("data/world"))
    parser.add_argument("--run", type=home_path, default=Path("runs/default/judge"))
    parser.add_argument("--output", type=home_path, default=WEIGHTS)
    arguments = parser.parse_args()
    log_to_terminal()
    torch.set_flush_denormal(True)
    judge = train_judge(JudgeTraining(), World.load(arguments.world, styles=STYLES), arguments.run)
    save_judge(judge, arguments.output)
    logger.info("wrote %s", arguments.output)


if __name__ == "__main__":
    main()
