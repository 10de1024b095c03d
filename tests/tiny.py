"""A tiny model with random weights: everything a real one has, in a second and a few megabytes.

``tiny_pipeline()`` is ready to draw, with a text encoder that needs no files; ``tiny_folder(path)``
writes the same model, with a real tiny T5, in the package's own format.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import replace
from functools import cache
from pathlib import Path

import torch

from infinity.config import TextEncoderConfig, TokenizerConfig, TransformerConfig
from infinity.model.transformer import InfinityTransformer
from infinity.pipeline import InfinityPipeline
from infinity.request import SamplingParams
from infinity.schedule import ScaleSchedule
from infinity.spec import ModelSpec
from infinity.text import EncodedPrompt
from infinity.tokenizer.tokenizer import Tokenizer

TEXT_WIDTH = 128
MAX_TOKENS = 24

SPEC = ModelSpec(
    name="tiny",
    title="Tiny model with random weights",
    transformer=TransformerConfig(
        depth=3,
        width=64,
        num_heads=2,
        bits_per_token=8,
        text_width=TEXT_WIDTH,
        text_max_length=MAX_TOKENS,
        max_scales=6,
    ),
    tokenizer=TokenizerConfig(
        bits=8, base_channels=64, channel_multipliers=(1, 1), num_res_blocks=1
    ),
    text_encoder=TextEncoderConfig(width=TEXT_WIDTH, max_length=MAX_TOKENS),
    schedules={
        "1:1": ScaleSchedule([(1, 1), (2, 2), (3, 3), (5, 5), (8, 8)]),
        "3:2": ScaleSchedule([(1, 1), (2, 3), (4, 6), (6, 9)]),
        "2:3": ScaleSchedule([(1, 1), (3, 2), (6, 4), (9, 6)]),
    },
    sampling=SamplingParams(guidance=3.0),
)
PATCHIFY_SPEC = replace(
    SPEC,
    name="tiny-patchify",
    transformer=replace(SPEC.transformer, bits_per_token=16),
    tokenizer=replace(SPEC.tokenizer, bits=4, patchify=True),
)


class WordsEncoder:
    """Stands in for ``TextEncoder``: every word has fixed random features; no files, no weights.

    Words of letters that are not ASCII are unknown, as emoji are to T5.
    """

    def __init__(self, width: int = TEXT_WIDTH, max_tokens: int = MAX_TOKENS) -> None:
        self.width = width
        self.max_tokens = max_tokens
        self.nbytes = 0
        self.is_loaded = False
        self.released = 0
        self.prompts: list[str] = []

    def encode(self, prompt: str) -> EncodedPrompt:
        self.prompts.append(prompt)
        words = prompt.lower().split()
        kept = words[: self.max_tokens - 1]
        known = [word for word in kept if word.isascii()]
        tokens = [word if word.isascii() else "<unk>" for word in kept]
        rows = [_features(token, self.width) for token in (*tokens, "</s>")]
        return EncodedPrompt(
            features=torch.stack(rows),
            dropped_tokens=len(words) - len(kept),
            kept_text=" ".join(kept),
            unknown_tokens=len(kept) - len(known),
            understood_text=" ".join(known),
            spans=tuple((found.start(), found.end()) for found in re.finditer(r"\S+", prompt)),
        )

    def release(self) -> None:
        self.released += 1


@cache
def _features(word: str, width: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(zlib.crc32(word.encode()))
    return torch.randn(width, generator=generator)


def tiny_transformer(spec: ModelSpec = SPEC, seed: int = 0) -> InfinityTransformer:
    """Random weights, the head's made large so that text and earlier bits matter."""
    generator = torch.Generator().manual_seed(seed)
    transformer = InfinityTransformer(spec.transformer)
    transformer.init_weights(generator)
    with torch.no_grad():
        for block in transformer.blocks:
            block.modulation[:2].fill_(1.0)
        transformer.head.weight.mul_(500)
    return transformer.eval().requires_grad_(False)


def tiny_tokenizer(spec: ModelSpec = SPEC, seed: int = 0) -> Tokenizer:
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):  # the layers' own initialisation draws from it
        torch.manual_seed(seed)
        tokenizer = Tokenizer(spec.tokenizer)
    with torch.no_grad():
        for parameter in tokenizer.parameters():
            if parameter.dim() > 1:
                std = parameter[0].numel() ** -0.5
                parameter.normal_(std=std, generator=generator)
            elif parameter.dim() == 1:
                parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.1)
    return tokenizer.eval().requires_grad_(False)


def tiny_pipeline(spec: ModelSpec = SPEC, seed: int = 0) -> InfinityPipeline:
    """A new pipeline, in float32 on the CPU; the same ``seed`` gives the same weights."""
    encoder = WordsEncoder(spec.text_encoder.width, spec.text_encoder.max_length)
    return InfinityPipeline(spec, tiny_transformer(spec, seed), tiny_tokenizer(spec, seed), encoder)  # type: ignore[arg-type]


def tiny_folder(folder: Path, spec: ModelSpec = SPEC, seed: int = 0) -> Path:
    """Write the tiny model with a real tiny T5 as a folder of the own format; returns ``folder``."""
    from infinity.checkpoints.save import save_model
    from tests.t5_folder import write_t5_folder

    encoder = write_t5_folder(folder.parent / f"{folder.name}-t5", spec.text_encoder.width, seed)
    save_model(folder, spec, tiny_transformer(spec, seed), tiny_tokenizer(spec, seed), encoder)
    return folder
