"""Encoder features of pictures, computed once, for a transformer that sees each more than once.

Drawing and encoding a picture take about a third of a training step; its features are small.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader
from tqdm import tqdm

from infinity.tokenizer.tokenizer import Tokenizer
from training.stepping import IndexedDataset
from training.train_tokenizer import stack, to_float

CHUNK = 1024
BATCH = 32


def write_latents(
    folder: Path, pictures: Callable[[int], np.ndarray], count: int, tokenizer: Tokenizer
) -> list[np.ndarray]:
    """Encode pictures 0 to ``count``, or go on with what is in ``folder``.

    Args:
        pictures: index -> uint8 (H, W, 3).
        count: rounded up to whole files of 1,024.
        tokenizer: frozen; a folder holds one tokenizer's features.

    Returns:
        the files in order, memory-mapped: each float16 (1024, d, y, x).
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{index:04d}.npy" for index in range(-(-count // CHUNK))]
    missing = next((index for index, path in enumerate(paths) if not path.exists()), len(paths))
    loader = DataLoader(
        IndexedDataset(pictures, missing * CHUNK, len(paths) * CHUNK),
        batch_size=BATCH,
        collate_fn=stack,
        num_workers=os.cpu_count() or 1,
    )
    parts: list[torch.Tensor] = []
    todo = iter(paths[missing:])
    for batch in tqdm(loader, desc=f"latents {folder.name}"):
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            parts.append(tokenizer.features(to_float(batch)).half())
        if len(parts) * BATCH == CHUNK:
            path = next(todo)
            temporary = path.with_suffix(".writing")
            with temporary.open("wb") as file:
                np.save(file, torch.cat(parts).numpy())
            temporary.replace(path)
            parts = []
    return [np.load(path, mmap_mode="r") for path in paths]
