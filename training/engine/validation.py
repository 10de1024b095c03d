"""How a run does: whether its loss is sound, metrics of held-out pictures, and sample pictures."""

import math
import re
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import torch
from PIL import Image
from torch import nn

from infinity.errors import InfinityError
from infinity.generation.generate import generate, text_condition
from infinity.images import images_from_tensor
from training.config.settings import TrainingConfig
from training.data.records import Batch
from training.engine.journal import HELD_OUT
from training.engine.parallelize import Whole
from training.engine.processes import Processes
from training.steps.step import Metrics, Step, added_metrics, means, pictures_as_floats
from training.steps.tokenizer_step import TokenizerStep
from training.steps.transformer_step import TransformerStep

MEMORY = 0.98
"""Share of the running mean that a step keeps."""
FAR = 3.0
"""How many times above its running mean a loss is far off."""
PATIENCE = 20
"""Steps in a row a loss may be far off."""
FIRST_STEPS = 100
"""Steps before the running mean means anything."""
LONGEST_NAME = 40
MOST_SHOWN = 4


class DivergenceError(InfinityError):
    """The loss became no number, or ran away."""


@dataclass
class Guard:
    """Watches the loss; its two numbers are saved with the run, so a resumed one watches alike."""

    mean: float = 0.0
    far_off: int = 0

    def reason(
        self, step: int, loss: float, gradient_norm: float, *, scaled: bool, watched: bool
    ) -> str | None:
        """Why the run must stop at ``step``, or None; call it before the optimizer's step.

        Args:
            scaled: in float16 an infinite gradient is skipped by the loss scaler, not an error.
            watched: whether the loss may run away too; else it must only be a number.
        """
        if not math.isfinite(loss):
            return f"the loss became {loss}"
        if not math.isfinite(gradient_norm) and not scaled:
            return f"the gradient norm became {gradient_norm}"
        if not watched:
            return None
        beyond = self.mean + (FAR - 1) * max(abs(self.mean), 1e-3)
        if step >= FIRST_STEPS and loss > beyond:
            self.far_off += 1
            if self.far_off >= PATIENCE:
                return f"the loss stayed above {beyond:.4g} for {PATIENCE} steps (now {loss:.4g})"
            return None
        self.far_off = 0
        self.mean = loss if step == 0 else MEMORY * self.mean + (1 - MEMORY) * loss
        return None


def validate(
    whole: Whole, step: Step, held_out: Iterable[tuple[Batch, bool]], processes: Processes
) -> dict[str, float]:
    """Means over all held-out samples of all processes, which call it together.

    Args:
        held_out: (slice, whether it counts), as many on every process.
    """
    parts: list[Metrics] = []
    with _at_rest(whole):
        for batch, counts in held_out:
            metrics = whole(partial(step.validation, batch))
            parts.append({name: pair * counts for name, pair in metrics.items()})
    told = reduced(added_metrics(parts), processes)
    return {HELD_OUT + name: value for name, value in told.items()}


@contextmanager
def _at_rest(module: nn.Module) -> Iterator[None]:
    """As it draws: without gradients or dropout."""
    modes = {part: part.training for part in module.modules()}
    module.eval()
    with torch.no_grad():
        yield
    for part, mode in modes.items():
        part.training = mode


def reduced(metrics: Metrics, processes: Processes) -> dict[str, float]:
    """Means over all processes; every process has the same names."""
    names = sorted(metrics)
    pairs = torch.stack([metrics[name].to(processes.device) for name in names])
    return means(dict(zip(names, processes.total(pairs), strict=True)))


def draw_samples(
    config: TrainingConfig, step: Step, shown: Batch | None
) -> tuple[Sequence[str], Sequence[Image.Image]]:
    """Names and pictures: every prompt with every seed; none where the step cannot draw.

    A transformer draws only with a tokenizer and a text encoder in memory: not when it is trained
    from data prepared without them. A tokenizer shows ``shown`` above what it makes of it. All
    processes of a sharded run call it together.
    """
    if isinstance(step, TokenizerStep) and shown is not None:
        return _reconstructions(config, step, shown)
    prompts, seeds = config.logging.sample_prompts, config.logging.sample_seeds
    if not prompts or not isinstance(step, TransformerStep):
        return (), ()
    if step.captions is None or step.tokenizer is None:
        return (), ()
    schedule = next(iter(step.schedules.values()))
    sampling = config.sampling
    names, images = [], []
    with _at_rest(step.transformer), step.cast(step.transformer.device):
        features = step.captions(prompts)
        for prompt, text in zip(prompts, features, strict=True):
            condition = text_condition(
                step.transformer, [text] * len(seeds), [None] * len(seeds), sampling, len(schedule)
            )
            generators = [torch.Generator().manual_seed(seed) for seed in seeds]
            scales = generate(
                step.transformer, config.tokenizer.model, condition, schedule, sampling, generators
            )
            (last,) = deque(scales, maxlen=1)
            plain = re.sub(r"\W+", "-", prompt).strip("-")[:LONGEST_NAME]
            names.extend(f"{plain}_{seed}" for seed in seeds)
            images.extend(images_from_tensor(step.tokenizer.decode(last.canvas.latent_Bdyx)))
    return names, images


def _reconstructions(
    config: TrainingConfig, step: TokenizerStep, shown: Batch
) -> tuple[Sequence[str], Sequence[Image.Image]]:
    assert shown.pictures_u8 is not None
    device = next(step.tokenizer.parameters()).device
    pictures = pictures_as_floats(shown.pictures_u8[:MOST_SHOWN], device)
    with _at_rest(step.tokenizer), step.cast(device):
        made = step.tokenizer.reconstruct(pictures, config.schedules[shown.aspect_ratio])
    pairs = torch.cat((pictures, made), dim=2)
    return [f"picture_{number}" for number in range(len(pairs))], images_from_tensor(pairs)
