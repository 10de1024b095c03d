"""A short name for a model's weights, the same on every machine: by it a picture knows its model again.

Of every tensor go in: its name, shape and dtype as its file has them, and its bytes; of a large one four
blocks, spread over it, so that 8B costs a few megabytes of reading. What a training, a merge or a
rounding to another dtype does changes every tensor and so the fingerprint; that a few numbers in the
middle of a large tensor were changed by hand may go unseen.
"""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from infinity.checkpoints.adapter import Adapter
from infinity.text import DECODER, PIECES
from infinity.weights import read_own_part

BLOCK_BYTES = 4096
BLOCKS = 4
DIGITS = 16


def fingerprint(
    transformer: Mapping[str, Tensor],
    tokenizer: Mapping[str, Tensor],
    text_encoder: Path,
    adapter: Adapter | None = None,
) -> str:
    """``DIGITS`` hexadecimal digits for a whole model.

    Args:
        transformer, tokenizer: as their files have them, under our names.
        text_encoder: its folder.
        adapter: merged into the transformer.

    Raises:
        CheckpointError: the text encoder's files are missing or damaged.
    """
    encoder = read_own_part(text_encoder, "model").tensors
    parts: dict[str, Mapping[str, Tensor]] = {
        "transformer": transformer,
        "tokenizer": tokenizer,
        "text": {n: tensor for n, tensor in encoder.items() if not n.startswith(DECODER)},
        "adapter": {} if adapter is None else adapter.tensors(),
    }
    digest = hashlib.sha256()
    for part, tensors in parts.items():
        for name, tensor in sorted(tensors.items()):
            digest.update(f"{part}.{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
            for block in _blocks(tensor):
                digest.update(block)
    pieces = text_encoder / PIECES
    if pieces.is_file():
        digest.update(pieces.read_bytes())
    return digest.hexdigest()[:DIGITS]


def _blocks(tensor: Tensor) -> Iterable[memoryview]:
    data = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
    if len(data) <= BLOCKS * BLOCK_BYTES:
        return [data.data]
    last = len(data) - BLOCK_BYTES
    starts = (last * block // (BLOCKS - 1) for block in range(BLOCKS))
    return (data[start : start + BLOCK_BYTES].data for start in starts)
