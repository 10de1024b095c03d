"""The experiments: each gives one row an arm; what is asked and what the answer cannot say stand beside.

An experiment's ``columns`` are what its page shows, in that order; ``plotted`` are its panels.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from infinity.images import images_from_tensor
from infinity.pipeline import InfinityPipeline
from infinity.presets import ramp
from infinity.schedule import ScaleSchedule
from infinity.tokenizer.tokenizer import Tokenizer
from training.evaluate import distance, sample
from training.evidence.examination import Examination
from training.evidence.index_classifier import training_memory
from training.evidence.lab import (
    GRIDS,
    HELD_OUT,
    HELD_OUT_SEED,
    TEXT_LENGTH,
    TEXT_WIDTH,
    TOKENIZER_BATCH,
    Arm,
    Lab,
)
from training.exam.prompts import read_prompts
from training.exam.questions import EXAM
from training.hours import counted, read_seconds, spent_seconds
from training.picture_measures import measure, seams
from training.sharpen import sharpen, sharpened
from training.train_tokenizer import to_float
from training.train_transformer import TransformerConfig
from training.world.sprites import STYLES
from training.world.world import World

Rows = list[dict[str, Any]]

EVERY_D = (16, 24, 32, 64)
GRID = 8
CLASSIFIER_BITS, CLASSIFIER_SHARE = 16, 1 / 3
"""The share is of the steps: a step with 2^16 classes takes some ten times as long."""
MEMORY_BITS, MEMORY_LIMIT_GIB, MEMORY_BATCH = (8, 12, 14, 16, 18, 20, 32), 4.0, 16
TERMS: dict[str, dict[str, float]] = {
    "pixels alone": {},
    "and perceptual": {"perceptual": 0.2},
    "and adversarial": {"adversarial": 0.05, "discriminator_learning_rate": 5e-4},
}
TERMS_SHARE = 0.5
"""Of the tokenizer's steps: these pictures and this decoder are larger."""
FLIPS = (0.0, 0.1, 0.2, 0.3)
SIZES = ((128, 3), (192, 4), (256, 6))
DECODED_EACH, DECODED_SEEDS = 12, 2


def _steps_an_arm(lab: Lab) -> dict[str, Any]:
    return {"tokenizer_steps": lab.tokenizer_steps, "transformer_steps": lab.transformer_steps}


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """``run`` takes the lab, the whole model's name, and the folder of the whole world."""

    title: str
    question: str
    limits: str
    run: Callable[[Lab, str, Path], Rows]
    arm: str
    columns: tuple[str, ...]
    plotted: tuple[str, ...]
    scatter: bool = False
    budget: Callable[[Lab], dict[str, Any]] = _steps_an_arm


def bits(lab: Lab, *_: Any) -> Rows:
    return [{"arm": f"d = {d}", **_rebuilt(lab, d, GRID)} for d in EVERY_D]


def tokens(lab: Lab, *_: Any) -> Rows:
    return [{"arm": f"{grid}x{grid}", **_rebuilt(lab, 32, grid)} for grid in GRIDS]


def _rebuilt(lab: Lab, d: int, grid: int) -> dict[str, Any]:
    def compute() -> dict[str, Any]:
        output, target, run = lab.reconstructions(d, grid)
        count = ScaleSchedule([(side, side) for side in GRIDS[grid]]).total_tokens
        return {
            "tokens": count,
            "bits": count * d,
            **measure(output, target),
            "seams": seams(output, target, target.shape[-1] // grid),
            "minutes": spent_seconds(run, TOKENIZER_BATCH) / 60,
        }

    return lab.row(f"rebuilt-d{d}-g{grid}-{lab.tokenizer_steps}", compute)


def _terms_steps(lab: Lab) -> int:
    return math.ceil(lab.tokenizer_steps * TERMS_SHARE)


def terms(lab: Lab, model: str, world: Path) -> Rows:
    """The whole model's decoder, trained further with one term or another beside the pixels'."""
    pipeline = InfinityPipeline.from_pretrained(model)
    tokenizer, spec = pipeline.tokenizer.float(), pipeline.spec
    ratio = spec.aspect_ratios[0]
    schedule, side = spec.schedule(ratio), spec.image_size(ratio)[0]
    whole = World.load(world, styles=STYLES)
    pictures = [
        whole.example(HELD_OUT_SEED, index, size=side, stage="full").image
        for index in range(HELD_OUT)
    ]
    target = to_float(torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2))
    steps = _terms_steps(lab)

    def measured(decoder: Tokenizer) -> dict[str, Any]:
        output = torch.cat([decoder.reconstruct(part, schedule) for part in target.split(16)])
        apart = distance(lab.judge, images_from_tensor(output), images_from_tensor(target))
        return {**measure(output, target), "distance": apart}

    def trained(name: str) -> dict[str, Any]:
        run, clock = lab.runs / name, lab.runs / "seconds.json"
        length = {"steps": steps, "warmup": steps // 6}
        changes = {"optimization": length, "tokenizer_losses": TERMS[arm]}
        with counted(clock, name):
            sharpen(tokenizer, schedule, world, run, **changes)
        found = measured(sharpened(tokenizer, run).eval())
        return {**found, "minutes": read_seconds(clock)[name] / 60}

    rows = [{"arm": "as it was", **measured(tokenizer)}]
    for arm in TERMS:
        name = f"decoder-{arm.replace(' ', '-')}-{steps}"
        rows.append({"arm": arm, **lab.row(name, lambda name=name: trained(name))})
    return rows


def classifier(lab: Lab, *_: Any) -> Rows:
    """Two arms trained at one d; before them, what a step of either takes at every d."""
    shorter = replace(lab, transformer_steps=math.ceil(lab.transformer_steps * CLASSIFIER_SHARE))
    rows = []
    schedule = ScaleSchedule([(side, side) for side in GRIDS[GRID]])
    for d in MEMORY_BITS:
        for kind in ("bits", "index"):
            arm = Arm(bits=d, classifier=kind)
            rows.append(
                {
                    "arm": f"{kind}, d = {d}",
                    "head_parameters": (arm.width + 1) * (2 * d if kind == "bits" else 2**d),
                    **lab.row(f"memory-{kind}-d{d}", _memory(arm, schedule)),
                }
            )
    for kind in ("bits", "index"):
        found = shorter.transformer(Arm(bits=CLASSIFIER_BITS, classifier=kind))
        name = f"{kind}, d = {CLASSIFIER_BITS}"
        next(row for row in rows if row["arm"] == name).update(found)
    return rows


def _memory(arm: Arm, schedule: ScaleSchedule) -> Callable[[], dict[str, Any]]:
    def compute() -> dict[str, Any]:
        config = TransformerConfig(
            depth=arm.depth,
            width=arm.width,
            num_heads=arm.width // 64,
            bits_per_token=arm.bits,
            text_width=TEXT_WIDTH,
            text_max_length=TEXT_LENGTH,
        )
        if arm.classifier == "index" and arm.bits > 24:  # no head of so many rows can be made
            return {"step_gib": None}
        taken = training_memory(arm.classifier, config, schedule, MEMORY_BATCH, MEMORY_LIMIT_GIB)
        return {"step_gib": None if taken is None else taken / 2**30}

    return compute


def self_correction(lab: Lab, *_: Any) -> Rows:
    return [
        {"arm": "off" if rate == 0 else f"up to {rate:.0%}", **lab.transformer(Arm(flips=rate))}
        for rate in FLIPS
    ]


def sizes(lab: Lab, *_: Any) -> Rows:
    return [
        {
            "arm": f"width {width}, {depth} blocks",
            **lab.transformer(replace(Arm(), width=width, depth=depth)),
        }
        for width, depth in SIZES
    ]


def decoding(lab: Lab, model: str, world: Path) -> Rows:
    """The paper's table on the whole model."""
    prompts = sample(read_prompts(EXAM), DECODED_EACH)
    pipeline = InfinityPipeline.from_pretrained(model)
    scales = len(pipeline.spec.schedule(pipeline.spec.aspect_ratios[0]))
    exam = Examination(lab.judge, prompts, DECODED_SEEDS, World.load(world, styles=STYLES))
    plain = {"temperature": 1.0, "guidance_layers": (0,)}
    table: dict[str, dict[str, Any]] = {
        "greedy, no guidance": {**plain, "temperature": 0.0, "guidance": 1.0},
        "temperature 1, no guidance": {**plain, "guidance": 1.0},
        "pyramid 1 to 3": {**plain, "guidance": ramp(1.0, 3.0, scales)},
        "pyramid 1 to 5": {**plain, "guidance": ramp(1.0, 5.0, scales)},
        "guidance 3 on features": {**plain, "guidance": 3.0, "guidance_layers": (-1,)},
        "guidance 3 on logits": {**plain, "guidance": 3.0},
        "guidance 4 on logits": {**plain, "guidance": 4.0},
        "the model's own settings": {},
    }
    return [
        {
            "arm": arm,
            **lab.row(
                f"decoding-{pipeline.spec.name}-{arm}", partial(exam.sit, pipeline, **settings)
            ),
        }
        for arm, settings in table.items()
    ]


SMALL = (
    "20 things in one style, one object a picture, 192x192; one run an arm with one seed, minutes "
    "long, so differences of a few points mean nothing, and a longer training may order the arms "
    "differently. "
)
REBUILT = ("tokens", "bits", "psnr", "ssim", "edge_energy", "edge_fidelity", "seams", "minutes")
TRAINED = ("parameters", "validation_loss", "bit_accuracy", "single_object", "colors", "scene", "exam",
           "distance", "reconstructed", "minutes")  # fmt: skip

EXPERIMENTS: dict[str, Experiment] = {
    "bits": Experiment(
        title="Reconstruction against bits a latent",
        question="How much does a tokenizer gain from more bits d at each of the same 155 positions?",
        limits=SMALL + "The held-out pictures are other compositions of the same things.",
        run=bits,
        arm="bits a latent",
        columns=REBUILT,
        plotted=("psnr", "ssim", "edge_fidelity"),
    ),
    "tokens": Experiment(
        title="Reconstruction against the number of tokens",
        question="How much does it gain from a finer grid, at d = 32 and the same number of steps?",
        limits=SMALL + "A finer grid costs more time for the same steps: see the minutes.",
        run=tokens,
        arm="latent grid",
        columns=REBUILT,
        plotted=("psnr", "ssim", "edge_fidelity"),
    ),
    "terms": Experiment(
        title="Perceptual and adversarial terms",
        question="Does the default model's decoder gain from terms other than the pixels'?",
        limits="The shipped decoder, trained on for minutes with the codes frozen; 96 held-out pictures of "
        "the whole world; one weight a term, one seed. The perceptual network is untrained. A longer "
        "adversarial training, or other weights, may end elsewhere.",
        run=terms,
        arm="terms",
        columns=("psnr", "ssim", "edge_energy", "edge_fidelity", "distance", "minutes"),
        plotted=("psnr", "edge_energy", "distance"),
        budget=lambda lab: {"steps": _terms_steps(lab)},
    ),
    "classifier": Experiment(
        title="A classifier of bits against one of indices",
        question="What does predicting d bits instead of one of 2^d codes cost and bring?",
        limits=SMALL + "Both arms have a third of the other experiments' steps, as the index head is slow; "
        "it computes in bfloat16. step_gib is what one training step of "
        f"{MEMORY_BATCH} pictures adds to a fresh process; a dash is more than "
        f"{MEMORY_LIMIT_GIB:g} GiB. Losses are negative log-likelihoods of a token in nats, divided "
        "by d.",
        run=classifier,
        arm="classifier",
        columns=("head_parameters", "step_gib", *TRAINED),
        plotted=("validation_loss", "exam", "distance"),
    ),
    "self_correction": Experiment(
        title="Self-correction",
        question="Does training on flipped bits help, and how many?",
        limits=SMALL + "The validation loss is on clean bits, where flips are no help.",
        run=self_correction,
        arm="bits flipped",
        columns=TRAINED,
        plotted=("validation_loss", "exam", "distance"),
    ),
    "decoding": Experiment(
        title="Ways to draw the bits",
        question="The paper's table of decoding methods, on the default model.",
        limits=f"{DECODED_EACH} prompts of each of the exam's categories with {DECODED_SEEDS} seeds; "
        "a share of 192 pictures is good to about 7 points.",
        run=decoding,
        arm="decoding",
        columns=("single_object", "two_object", "counting", "colors", "position", "color_attr",
                 "style", "scene", "exam", "distance"),
        plotted=("exam", "distance"),
        budget=lambda _: {"training": "none"},
    ),
    "sizes": Experiment(
        title="Validation loss against exam, three sizes",
        question="Does the validation loss tell which model draws better?",
        limits=SMALL + "Three points are no law.",
        run=sizes,
        arm="model",
        columns=TRAINED,
        plotted=("validation_loss", "exam"),
        scatter=True,
    ),
}  # fmt: skip
