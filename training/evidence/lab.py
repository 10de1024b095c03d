"""The bench of all experiments: a small world, arms trained by the default model's own code, the exam.

Every arm keeps its run and its row of results under its own name and budget, so that an experiment
continues where it stopped and arms that two experiments share are trained once.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from infinity.config import TextEncoderConfig, TokenizerConfig, TransformerConfig
from infinity.images import images_from_tensor
from infinity.pipeline import InfinityPipeline
from infinity.request import SamplingParams
from infinity.schedule import ScaleSchedule
from infinity.spec import ModelSpec
from infinity.text import TextEncoder
from infinity.tokenizer.tokenizer import Tokenizer
from training import text_encoder
from training.evaluate import in_batches, shares
from training.evidence.examination import Examination
from training.evidence.index_classifier import IndexTransformer, index_loss
from training.exam.grade import grade
from training.exam.judge import Judge
from training.exam.prompts import read_prompts
from training.exam.questions import EXAM
from training.exam.renders import true_render
from training.exam.report import Answer
from training.hours import spent_seconds
from training.run import read_metrics
from training.train_tokenizer import TokenizerTraining, to_float, train_tokenizer
from training.train_transformer import TransformerTraining, train_transformer
from training.world.captions import caption
from training.world.chatter import with_chatter
from training.world.sampling import sample_scene
from training.world.world import World

logger = logging.getLogger(__name__)

CONCEPTS = (
    *("cat", "pig", "frog", "butterfly", "ladybug", "turtle", "octopus", "crab", "fish", "panda"),
    *("apple", "mushroom", "donut", "car", "balloon", "guitar", "heart", "rose", "star", "robot"),
)
STYLE = "3d"
SIZE = 192
GRIDS = {8: (1, 2, 3, 4, 5, 6, 8), 12: (1, 2, 3, 4, 6, 9, 12), 16: (1, 2, 3, 4, 6, 8, 11, 16)}
TRAIN_SEED, HELD_OUT_SEED = 11, 12
HELD_OUT = 96
TOKENIZER_BATCH = 12
CAPTIONS, PIECES, TEXT_WIDTH, TEXT_LENGTH = 8000, 512, 128, 48
TAGS = ("single_object", "colors", "scene")
"""What single objects can be asked for."""
SAMPLING = SamplingParams(guidance=3.0, temperature=0.9)


@dataclass(frozen=True, kw_only=True)
class Arm:
    """One transformer: what is varied, and nothing else.

    Args:
        flips: most bits flipped by self-correction, 0 to 1.
        classifier: "bits" or "index".
    """

    bits: int = 32
    width: int = 192
    depth: int = 4
    flips: float = 0.2
    classifier: str = "bits"

    @property
    def name(self) -> str:
        return f"{self.classifier}-d{self.bits}-w{self.width}x{self.depth}-flips{self.flips:g}"


@dataclass(frozen=True)
class Lab:
    """Where, how long and with which judge.

    Args:
        tokenizer_steps, transformer_steps: the budget of each arm.
        seeds: pictures an exam prompt.
    """

    world: World
    judge: Judge
    runs: Path
    tokenizer_steps: int
    transformer_steps: int
    seeds: int = 4
    batch_size: int = 24

    def row(self, name: str, compute: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """The results of an arm: read if it has been run, else computed and kept."""
        path = self.runs / "rows" / f"{name}.json"
        if path.exists():
            logger.info("%s: done before", name)
            return json.loads(path.read_text(encoding="utf-8"))
        logger.info("%s", name)
        found = compute()
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(".writing")
        draft.write_text(json.dumps(found, indent=2), encoding="utf-8")
        draft.replace(path)
        return found

    def tokenizer(self, bits: int, grid: int = 8) -> tuple[Tokenizer, Path]:
        """A trained tokenizer of ``bits`` a latent on a ``grid`` x ``grid`` latent, and its run."""
        config = TokenizerTraining(
            model=TokenizerConfig(
                bits=bits,
                base_channels=128,
                channel_multipliers=(1,),
                num_res_blocks=1,
                stem_patch=SIZE // grid,
            ),
            scales=tuple((side, side) for side in GRIDS[grid]),
            steps=self.tokenizer_steps,
            batch_size=TOKENIZER_BATCH,
            save_every=min(200, self.tokenizer_steps),
        )
        folder = self.runs / f"tokenizer-d{bits}-g{grid}-{self.tokenizer_steps}"
        tokenizer = train_tokenizer(config, self._picture, self.held_out, folder)
        return tokenizer.eval(), folder

    def reconstructions(self, bits: int, grid: int) -> tuple[Tensor, Tensor, Path]:
        """(outputs, targets, run): the held-out pictures, (N, 3, H, W) in [-1, 1]."""
        tokenizer, folder = self.tokenizer(bits, grid)
        target = to_float(self.held_out)
        schedule = ScaleSchedule([(side, side) for side in GRIDS[grid]])
        parts = [tokenizer.reconstruct(part, schedule) for part in target.split(16)]
        return torch.cat(parts), target, folder

    def transformer(self, arm: Arm) -> dict[str, Any]:
        """Train an arm and examine it."""
        name = f"{arm.name}-{self.transformer_steps}-of-{self.tokenizer_steps}"
        return self.row(name, partial(self._examined, arm, self.runs / name))

    @cached_property
    def exam(self) -> Examination:
        """The exam's prompts for single objects of the small world."""
        prompts = [
            prompt
            for prompt in read_prompts(EXAM)
            if prompt.tag in TAGS and prompt.include[0].concept in self.world.concepts
        ]
        return Examination(self.judge, prompts, self.seeds, self.world)

    @cached_property
    def held_out(self) -> Tensor:
        pictures = [self._picture(i, seed=HELD_OUT_SEED) for i in range(HELD_OUT)]
        return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2)

    @cached_property
    def text_tokenizer(self) -> PreTrainedTokenizerFast:
        folder = self.runs / "text_tokenizer"
        if folder.exists():
            return text_encoder.read_tokenizer(folder)
        captions = []
        for index in range(CAPTIONS):
            rng = np.random.default_rng((TRAIN_SEED, index))
            scene = sample_scene(
                rng,
                concepts=self.world.concepts,
                styles=self.world.styles,
                stage="single",
                split="train",
            )
            captions.append(with_chatter(caption(scene, rng), rng))
        tokenizer = text_encoder.train_tokenizer(captions, PIECES, TEXT_LENGTH)
        text_encoder.forgive(tokenizer)
        tokenizer.save_pretrained(folder)
        return tokenizer

    def _examined(self, arm: Arm, folder: Path) -> dict[str, Any]:
        tokenizer, _ = self.tokenizer(arm.bits)
        is_index = arm.classifier == "index"
        config = TransformerTraining(
            model=TransformerConfig(
                depth=arm.depth,
                width=arm.width,
                num_heads=arm.width // 64,
                bits_per_token=arm.bits,
                text_width=TEXT_WIDTH,
                text_max_length=TEXT_LENGTH,
            ),
            scales=tuple((side, side) for side in GRIDS[8]),
            steps=self.transformer_steps,
            batch_size=self.batch_size,
            learning_rate=2e-3,
            warmup=50,
            text_layers=2,
            flip_strength=arm.flips,
            save_every=min(100, self.transformer_steps),
        )
        transformer, text_model = train_transformer(
            config,
            tokenizer,
            self.text_tokenizer,
            self._example,
            [self._example(i, seed=HELD_OUT_SEED) for i in range(HELD_OUT)],
            folder,
            build=IndexTransformer if is_index else None,
            loss=index_loss if is_index else None,
        )
        parameters = sum(p.numel() for p in transformer.parameters())
        text_encoder.save(text_model, self.text_tokenizer, folder / "text_encoder")
        texts = TextEncoderConfig(width=TEXT_WIDTH, max_length=TEXT_LENGTH)
        spec = ModelSpec(
            name=arm.name,
            title=arm.name,
            transformer=config.model,
            tokenizer=tokenizer.config,
            text_encoder=texts,
            schedules={"1:1": ScaleSchedule(config.scales)},
            sampling=SAMPLING,
        )
        reader = TextEncoder(folder / "text_encoder", texts)
        pipeline = InfinityPipeline(
            spec, transformer.eval().requires_grad_(False), tokenizer, reader
        )
        last = [line for line in read_metrics(folder) if "validation_loss" in line][-1]
        return {
            **asdict(arm),
            "parameters": parameters,
            "pictures_seen": self.transformer_steps * self.batch_size,
            "minutes": spent_seconds(folder, self.batch_size) / 60,
            "validation_loss": last["validation_loss"],
            "bit_accuracy": last["bit_accuracy"],
            **self.exam.sit(pipeline),
            "reconstructed": self._reconstructed(tokenizer),
        }

    def _reconstructed(self, tokenizer: Tokenizer) -> float:
        """The exam's mean on true renders that went through the tokenizer: the most an arm can get."""
        schedule = ScaleSchedule([(side, side) for side in GRIDS[8]])
        prompts = self.exam.prompts
        renders = [true_render(prompt, self.world, i) for i, prompt in enumerate(prompts)]
        images: list[Image.Image] = []
        for batch in in_batches(renders):
            pixels = torch.from_numpy(np.stack([np.asarray(one) for one in batch]))
            rebuilt = tokenizer.reconstruct(to_float(pixels.permute(0, 3, 1, 2)), schedule)
            images += images_from_tensor(rebuilt)
        marks = [
            Answer(prompt, 0, image, grade(prompt, self.judge.see([image])[0]))
            for prompt, image in zip(prompts, images, strict=True)
        ]
        return float(np.mean(list(shares(marks).values())))

    def _picture(self, index: int, *, seed: int = TRAIN_SEED) -> np.ndarray:
        return self._example(index, seed=seed)[0]

    def _example(self, index: int, *, seed: int = TRAIN_SEED) -> tuple[np.ndarray, str]:
        drawn = self.world.example(seed, index, size=SIZE, stage="single")
        return drawn.image, with_chatter(drawn.caption, np.random.default_rng((seed, index, 1)))
