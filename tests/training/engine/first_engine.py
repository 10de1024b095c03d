"""Inputs of the runs whose losses are kept in first_engine.json: drawn by number, of a few shapes."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from infinity.config import TokenizerConfig, TransformerConfig

SCALES = ((1, 1), (2, 2), (3, 3), (4, 4))
STEPS, BATCH, SEED = 50, 8, 2
TOKENIZER = TokenizerConfig(
    bits=16, base_channels=32, channel_multipliers=(1,), num_res_blocks=1, stem_patch=16
)
TRANSFORMER = TransformerConfig(
    depth=2, width=64, num_heads=2, bits_per_token=16, text_width=128, text_max_length=16
)
WORDS = [
    "a",
    "red",
    "blue",
    "green",
    "cat",
    "dog",
    "car",
    "star",
    "left",
    "of",
    "right",
    "above",
    "below",
    "the",
    "sea",
    "in",
    "two",
]


def picture(index: int) -> np.ndarray:
    """uint8 (64, 64, 3): waves of some colors."""
    rng = np.random.default_rng(index)
    y, x = np.mgrid[0:64, 0:64] / 64
    waves = [np.sin(2 * np.pi * (rng.integers(1, 5) * x + rng.integers(1, 5) * y + rng.random()))]
    waves += [np.sin(2 * np.pi * (rng.integers(1, 4) * x - rng.integers(1, 4) * y))]
    color = rng.random((2, 3))
    mixed = 0.5 + 0.25 * sum(w[..., None] * c for w, c in zip(waves, color, strict=True))
    return np.clip(255 * mixed, 0, 255).astype(np.uint8)


def caption(index: int) -> str:
    rng = np.random.default_rng((index, 1))
    return " ".join(rng.choice(WORDS, size=int(rng.integers(2, 9))))


def draw_weights(module: nn.Module, seed: int, scale: float) -> None:
    """Weights of every matrix and kernel, in the module's order, from one source; no biases."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if name.endswith("bias") and parameter.ndim == 1:
                parameter.zero_()
            elif parameter.ndim > 1:
                drawn = torch.randn(parameter.shape, generator=generator)
                parameter.copy_(scale * drawn)
