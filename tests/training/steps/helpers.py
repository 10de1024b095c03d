"""Tiny configurations, batches and random sources for tests of training steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import torch
from transformers import PreTrainedTokenizerFast

from infinity.config import TokenizerConfig, TransformerConfig
from infinity.model.transformer import InfinityTransformer
from infinity.schedule import ScaleSchedule
from infinity.tokenizer.tokenizer import Tokenizer
from training import text_encoder
from training.config.settings import TrainingConfig
from training.data.records import Batch
from training.steps.captions import CaptionEncoder
from training.steps.transformer_step import TransformerStep

RATIO = "1:1"
SCHEDULE = ScaleSchedule([(1, 1), (2, 2), (4, 4)])
TOKENIZER = TokenizerConfig(
    bits=8, base_channels=32, channel_multipliers=(1, 1), num_res_blocks=1, stem_patch=2
)
SIDE = 16
TRANSFORMER = TransformerConfig(
    depth=3, width=32, num_heads=2, bits_per_token=8, text_width=128, text_max_length=12
)
CAPTIONS = ("a red apple", "two blue cars on a hill", "a dog", "a red car", "two dogs", "an apple")


def tiny_config(task: str = "transformer", **sections: Mapping[str, Any]) -> TrainingConfig:
    """Settings of a run that is never started; ``sections`` override parts of them."""
    values: dict[str, Any] = {
        "task": task,
        "output": "unused",
        "model": TRANSFORMER if task == "transformer" else None,
        "tokenizer": {"model": TOKENIZER, "weights": "unused" if task == "transformer" else None},
        "text_encoder": {"source": None, "train": True, "max_length": 12, "layers": 1, "heads": 2},
        "data": {"schedules": {RATIO: SCHEDULE}},
        "optimization": {"steps": 10, "batch_size": 6},
        "self_correction": {"strength": 0.3, "scales": 13},
    }
    for name, changes in sections.items():
        values[name] = {**values.get(name, {}), **changes}
    return TrainingConfig.model_validate(values)


def generators(positions: Sequence[int] = range(6), step: int = 0) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(1000 * step + position) for position in positions]


def pictures(count: int = 6) -> torch.Tensor:
    """Smooth pictures, (B, 3, 16, 16) uint8."""
    random = torch.rand(count, 3, 4, 4, generator=torch.Generator().manual_seed(5))
    large = torch.nn.functional.interpolate(random, (SIDE, SIDE), mode="bilinear")
    return (large * 255).to(torch.uint8)


def picture_batch(count: int = 6) -> Batch:
    return Batch(
        step=0,
        aspect_ratio=RATIO,
        captions=CAPTIONS[:count],
        keys=tuple(map(str, range(count))),
        positions=tuple(range(count)),
        pictures_u8=pictures(count),
    )


def small_transformer(seed: int = 0) -> InfinityTransformer:
    """Initial weights with branches and a head that count from the start."""
    transformer = InfinityTransformer(TRANSFORMER)
    transformer.init_weights(torch.Generator().manual_seed(seed))
    with torch.no_grad():
        transformer.head.weight.mul_(200)
        for block in transformer.blocks:
            block.modulation[:2].fill_(1.0)
    return transformer


@cache
def text_tokenizer() -> PreTrainedTokenizerFast:
    return text_encoder.train_tokenizer(CAPTIONS * 20, 60, 12)


def captions_encoder(*, trained: bool) -> CaptionEncoder:
    tokenizer = text_tokenizer()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = text_encoder.build_encoder(len(tokenizer), TRANSFORMER.text_width, 1, 2)
    return CaptionEncoder(model, tokenizer, 12, trained=trained)


def small_tokenizer() -> Tokenizer:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Tokenizer(TOKENIZER)


def transformer_step(config: TrainingConfig, *, trained_text: bool = True) -> TransformerStep:
    return TransformerStep(
        config, small_transformer(), small_tokenizer(), captions_encoder(trained=trained_text)
    )
