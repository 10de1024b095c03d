"""The recipe of the shipped default model, one resumable step after another.

``python -m training.default_model all`` rebuilds everything; a step's name runs that step alone.
A killed step continues when its command is run again. ``quiz`` puts a small exam to the newest
checkpoint (a point of the learning curve), ``status`` tells the hours spent. Where there are no
checkpoints, ``restore`` makes them of the shipped weights, to train these on.
"""

from __future__ import annotations

import argparse
import json
import logging
import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm
from transformers import PreTrainedTokenizerFast, T5EncoderModel

from infinity.checkpoints.save import save_model
from infinity.console import log_to_terminal
from infinity.errors import CheckpointError
from infinity.model.transformer import InfinityTransformer
from infinity.pipeline import InfinityPipeline
from infinity.schedule import ScaleSchedule
from infinity.tokenizer.tokenizer import Tokenizer
from training import text_encoder
from training.drawing import read_prompts
from training.evaluation.exam import examine, sample
from training.evaluation.judge import WEIGHTS, load_judge, save_judge
from training.evaluation.judge_training import JudgeTraining, train_judge
from training.evaluation.prompts import read_prompts as read_exam
from training.evaluation.questions import EXAM
from training.evaluation.report import write_outcome
from training.hours import counted, read_seconds, spent_seconds
from training.latents import write_latents
from training.lessons import HELD_OUT_SEED, TRAIN_SEED, Lessons, held_out, still
from training.pages.__main__ import PROMPTS, contact_sheet
from training.plots import plot_curves
from training.recipe import (
    ATTRIBUTION,
    CAPTIONS,
    CURRICULUM,
    CURVES,
    EXAM_SEEDS,
    FRESH_FROM,
    HELD_OUT,
    LATENTS,
    QUIZ_EACH,
    RUNS,
    SCALES,
    SHARD_BYTES,
    SHIPPED_STEPS,
    SIZE,
    SPEC,
    TOKENIZER,
    TRANSFORMER,
    VOCABULARY,
    WORLD,
)
from training.restore import restore
from training.run import read_checkpoint, read_metrics
from training.sharpen import sharpen, sharpened
from training.train_tokenizer import train_tokenizer
from training.train_transformer import (
    build_text_encoder,
    train_transformer,
)
from training.world.captions import caption
from training.world.sampling import Stage, sample_scene
from training.world.sprites import STYLES, ensure_sprites
from training.world.vocabulary import world_vocabulary
from training.world.world import World

logger = logging.getLogger(__name__)


@cache
def world() -> World:
    return World.load(WORLD, styles=STYLES)


def picture(index: int, *, seed: int) -> np.ndarray:
    """uint8 (192, 192, 3): the tokenizer sees the full grammar."""
    return world().example(seed, index, size=SIZE, stage="full").image


def tokenizer_step() -> Tokenizer:
    held_out = np.stack([picture(i, seed=HELD_OUT_SEED) for i in range(96)])
    return train_tokenizer(
        TOKENIZER,
        partial(picture, seed=TRAIN_SEED),
        torch.from_numpy(held_out).permute(0, 3, 1, 2),
        RUNS / "tokenizer",
    )


def text_step() -> PreTrainedTokenizerFast:
    """Train the text tokenizer on captions of the whole world, also what is not drawn yet."""
    folder = RUNS / "text_tokenizer"
    if folder.exists():
        return text_encoder.read_tokenizer(folder)
    captions = []
    for index in tqdm(range(CAPTIONS), desc="captions"):
        rng = np.random.default_rng((TRAIN_SEED, index))
        scene = sample_scene(
            rng,
            concepts=world().concepts,
            styles=world().styles,
            stage="full",
            split="train",
        )
        captions.append(caption(scene, rng))
    tokenizer = text_encoder.train_tokenizer(
        captions, VOCABULARY, TRANSFORMER.model.text_max_length
    )
    tokenizer.save_pretrained(folder)
    return tokenizer


def latents_step() -> dict[Stage, list[np.ndarray]]:
    """Features of the pictures that the transformer learns from, of this tokenizer."""
    folder = RUNS / "latents" / str(newest("tokenizer")["step"])
    tokenizer = trained_tokenizer()
    return {
        stage: write_latents(folder / stage, partial(still, world(), SIZE, stage), count, tokenizer)
        for stage, count in LATENTS.items()
    }


def transformer_step() -> tuple[InfinityTransformer, T5EncoderModel]:
    done = (read_checkpoint(RUNS / "transformer") or {"step": 0})["step"]
    return train_transformer(
        TRANSFORMER,
        trained_tokenizer(),
        text_step(),
        Lessons(
            world(),
            latents_step() if done < FRESH_FROM else {},
            [(step * TRANSFORMER.batch_size, shares) for step, shares in CURRICULUM],
            SIZE,
            FRESH_FROM * TRANSFORMER.batch_size,
        ),
        [held_out(world(), SIZE, index) for index in range(HELD_OUT)],
        RUNS / "transformer",
    )


def newest(run: str) -> dict[str, Any]:
    state = read_checkpoint(RUNS / run)
    if state is None:
        raise CheckpointError(f"{RUNS / run} has no checkpoint yet; train it first.")
    logger.info("%s: step %d", run, state["step"])
    return state


def world_step() -> None:
    """Fetch the pinned art and write the sprites."""
    ensure_sprites(WORLD)


def trained_tokenizer() -> Tokenizer:
    tokenizer = Tokenizer(TOKENIZER.model)
    tokenizer.load_state_dict(newest("tokenizer")["model"])
    return tokenizer


def decoder_step() -> None:
    """Sharpen the decoder with the codes frozen."""
    sharpen(trained_tokenizer(), ScaleSchedule(SCALES), WORLD, RUNS / "decoder")


def judge_step() -> None:
    """Train the exam's judge, apart from the generator."""
    save_judge(train_judge(JudgeTraining(), world(), RUNS / "judge"), WEIGHTS)


def scores_step() -> None:
    """The whole exam on the exported model."""
    outcome, found = examine(
        str(RUNS / "exported"), read_exam(EXAM), EXAM_SEEDS, load_judge(WEIGHTS), world()
    )
    write_outcome(RUNS / "exam", {**outcome, "prompts": EXAM.name}, found)


def quiz() -> None:
    """A small exam on the newest checkpoint."""
    write_model(RUNS / "quiz")
    add_learning_point(RUNS / "quiz", newest("transformer")["step"])


def add_learning_point(model: Path, step: int) -> None:
    """A small exam on a model of so many steps: a point of the learning curve."""
    prompts = sample(read_exam(EXAM), QUIZ_EACH)
    outcome, _ = examine(str(model), prompts, 1, load_judge(WEIGHTS), world())
    apart = outcome["frechet_distance_judge_features"]
    line = {"step": step, "overall": outcome["overall"], "distance": apart, **outcome["scores"]}
    path = RUNS / "learning.jsonl"
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
    lines = [json.loads(text) for text in path.read_text(encoding="utf-8").splitlines()]
    plot_curves(lines, list(line)[1:], RUNS / "learning.png")
    logger.info("%s", json.dumps(line))


def restore_shipped() -> None:
    """Checkpoints of the shipped weights, to train them on."""
    pipeline = InfinityPipeline.from_pretrained("default", "cpu", "float32")
    restore(pipeline, RUNS, TOKENIZER, TRANSFORMER, SHIPPED_STEPS)


def write_model(folder: Path) -> None:
    """The newest checkpoints as a model folder."""
    tokenizer = sharpened(trained_tokenizer(), RUNS / "decoder")
    transformer = InfinityTransformer(TRANSFORMER.model)
    weights, text_weights = newest("transformer")["averages"]
    transformer.load_state_dict(weights)
    text_tokenizer = text_step()
    text_model = build_text_encoder(TRANSFORMER, text_tokenizer)
    text_model.load_state_dict(text_weights)
    text_encoder.forgive(text_tokenizer)
    text_encoder.save(text_model.bfloat16(), text_tokenizer, RUNS / "text_encoder")
    save_model(
        folder,
        replace(
            SPEC,
            tokenizer=tokenizer.config,
            vocabulary=world_vocabulary(world().concepts, world().styles),
        ),
        transformer.bfloat16(),
        tokenizer.bfloat16(),
        RUNS / "text_encoder",
        shard_bytes=SHARD_BYTES,
        int8=True,
    )
    shutil.copy(ATTRIBUTION, folder)


def export_step() -> None:
    """Write the newest checkpoints as a model folder, with a contact sheet and learning curves."""
    folder = RUNS / "exported"
    write_model(folder)
    pipeline = InfinityPipeline.from_pretrained(folder)
    contact_sheet(pipeline, read_prompts(PROMPTS / "contact_sheet.txt"), RUNS / "contact_sheet.jpg")
    for name, metrics in CURVES.items():
        plot_curves(read_metrics(RUNS / name), metrics, RUNS / f"{name}_curves.png")


STEPS: dict[str, Callable[[], object]] = {
    "world": world_step,
    "tokenizer": tokenizer_step,
    "text": text_step,
    "latents": latents_step,
    "transformer": transformer_step,
    "decoder": decoder_step,
    "judge": judge_step,
    "export": export_step,
    "scores": scores_step,
}


def hours() -> dict[str, float]:
    """Hours of every step so far, summed over resumptions; written to hours.json.

    A run's own metrics count where they know of more than the clock, which they do for the time
    before it was kept. Time with the machine shared counts as it went by.
    """
    seconds = read_seconds(RUNS / "seconds.json")
    for name, batch in (("tokenizer", TOKENIZER), ("transformer", TRANSFORMER)):
        by_run = spent_seconds(RUNS / name, batch.batch_size)
        seconds[name] = max(seconds.get(name, 0.0), by_run)
    found = {name: round(seconds[name] / 3600, 2) for name in STEPS if seconds.get(name)}
    (RUNS / "hours.json").write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    return found


def status() -> str:
    """One line: hours so far, and how to go on."""
    spent = ", ".join(f"{name} {value:.2f} h" for name, value in hours().items()) or "nothing yet"
    return f"Spent: {spent}. Go on: python -m training.default_model all"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("step", choices=["all", *STEPS, "quiz", "status", "restore"])
    arguments = parser.parse_args()
    log_to_terminal()
    torch.set_flush_denormal(True)
    RUNS.mkdir(parents=True, exist_ok=True)
    if arguments.step == "restore":
        restore_shipped()
    if arguments.step == "quiz":
        quiz()
    for name, step in STEPS.items():
        if arguments.step in ("all", name):
            logger.info("step: %s", name)
            with counted(RUNS / "seconds.json", name):
                step()
    logger.info("%s", status())


if __name__ == "__main__":
    main()
