"""Sample pictures of a run, from fixed prompts and seeds, drawn by the weights as they are."""

import re
from collections.abc import Sequence

import torch
from PIL import Image

from infinity.generation.generate import generate, text_condition
from infinity.images import images_from_tensor
from training.config.settings import TrainingConfig
from training.data.records import Batch
from training.steps.step import Step, cast_to, pictures_as_floats
from training.steps.tokenizer_step import TokenizerStep
from training.steps.transformer_step import TransformerStep

LONGEST_NAME = 40
MOST_SHOWN = 4


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
    training = step.transformer.training
    step.transformer.eval()
    with torch.no_grad(), cast_to(config.optimization.dtype, step.transformer.device):
        features = step.captions(prompts)
        for prompt, text in zip(prompts, features, strict=True):
            condition = text_condition(
                step.transformer, [text] * len(seeds), [None] * len(seeds), sampling, len(schedule)
            )
            generators = [torch.Generator().manual_seed(seed) for seed in seeds]
            steps = generate(
                step.transformer, config.tokenizer.model, condition, schedule, sampling, generators
            )
            for last in steps:
                canvas = last.canvas
            names.extend(f"{_plain(prompt)}_{seed}" for seed in seeds)
            images.extend(images_from_tensor(step.tokenizer.decode(canvas.latent_Bdyx)))
    step.transformer.train(training)
    return names, images


def _reconstructions(
    config: TrainingConfig, step: TokenizerStep, shown: Batch
) -> tuple[Sequence[str], Sequence[Image.Image]]:
    assert shown.pictures_u8 is not None
    device = next(step.tokenizer.parameters()).device
    pictures = pictures_as_floats(shown.pictures_u8[:MOST_SHOWN], device)
    training = step.tokenizer.training
    step.tokenizer.eval()
    with torch.no_grad(), cast_to(config.optimization.dtype, device):
        made = step.tokenizer.reconstruct(pictures, config.schedules[shown.aspect_ratio])
    step.tokenizer.train(training)
    pairs = torch.cat((pictures, made), dim=2)
    return [f"picture_{number}" for number in range(len(pairs))], images_from_tensor(pairs)


def _plain(prompt: str) -> str:
    return re.sub(r"\W+", "-", prompt).strip("-")[:LONGEST_NAME]
