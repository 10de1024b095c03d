"""Large weights as numbers of 8 bits: half of bfloat16's bytes, in a file of weights or in memory.

A tensor ``name`` of dtype int8 stands for ``name * name.scale``. The scale has the tensor's first dimensions:
one number a row or output channel, or one a kernel of a convolution. Zero stays zero, and what was read
is written again as it was.
"""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from infinity.errors import CheckpointError

SCALE = ".scale"
KINDS = {"int8": (torch.int8, 127.0), "fp8": (torch.float8_e4m3fn, 448.0)}
"""Kind -> dtype and largest number. Of Gaussian weights int8 is the nearer; fp8 can be multiplied by itself
on a card that has such products."""
LARGE = 2**15
"""Numbers from which on a matrix is worth it; norms, biases and small matrices stay as they are."""
PIXELS = "conv_out.weight"
"""What makes the picture's pixels shows its rounding most, so each kernel has a scale of its own."""


def quantized(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state dict with its large floating point matrices and convolutions as int8 and their scales.

    Every number is within half a scale (1/254 of its row's greatest) of what it was.
    """
    tensors: dict[str, Tensor] = {}
    for name, tensor in state.items():
        if tensor.ndim < 2 or tensor.numel() < LARGE or not tensor.is_floating_point():
            tensors[name] = tensor
            continue
        dims = 2 if name.endswith(PIXELS) and tensor.ndim > 2 else 1
        tensors[name], tensors[name + SCALE] = in_8_bits(tensor.detach(), dims)
    return tensors


def in_8_bits(tensor: Tensor, dims: int = 1, kind: str = "int8") -> tuple[Tensor, Tensor]:
    """A tensor in 8 bits a number, and the bfloat16 scales to multiply with, one for each of the first
    ``dims`` dimensions."""
    dtype, most = KINDS[kind]
    rows = tensor.float().flatten(dims)
    # Eight bits of a scale are enough, and make quantizing what was read exact.
    scale = (rows.abs().amax(-1) / most).bfloat16()
    rows = rows / torch.where(scale == 0, 1, scale).float()[..., None]
    rows = (
        rows.clamp_(-most, most) if dtype.is_floating_point else rows.round_().clamp_(-most, most)
    )
    return rows.to(dtype).view(tensor.shape), scale


def dequantized(tensors: Mapping[str, Tensor], source: Path) -> dict[str, Tensor]:
    """Of a file's tensors, the int8 ones as float32, their scales gone; the others as they are.

    Raises:
        CheckpointError: an int8 tensor without a scale of finite numbers in its first dimensions.
    """
    read = dict(tensors)
    for name, tensor in tensors.items():
        if tensor.dtype != torch.int8:
            continue
        scale = read.pop(name + SCALE, None)
        if scale is None:
            raise CheckpointError(
                f"{source}: {name} is of 8-bit numbers without {name + SCALE}; save the model again."
            )
        if (
            not 0 < scale.ndim <= tensor.ndim
            or scale.shape != tensor.shape[: scale.ndim]
            or not scale.is_floating_point()
            or not scale.isfinite().all()
        ):
            raise CheckpointError(
                f"{source}: {name + SCALE} should have a finite number for each of the first "
                f"dimensions of {name}, {tuple(tensor.shape)}; save the model again."
            )
        ones = [1] * (tensor.ndim - scale.ndim)
        read[name] = tensor.float() * scale.float().reshape(*scale.shape, *ones)
    return read
