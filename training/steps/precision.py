"""In what precision a step computes: float32 weights, products in the configured dtype."""

import torch
from torch import Tensor


def cast_to(dtype: str, device: torch.device) -> torch.autocast:
    """Autocast to "bfloat16" or "float16"; nothing for "float32"."""
    return torch.autocast(device.type, getattr(torch, dtype), enabled=dtype != "float32")


def pictures_as_floats(pictures_u8: Tensor, device: torch.device) -> Tensor:
    """uint8 0..255 -> float32 in [-1, 1] on the device, rounded as ``infinity.images`` does."""
    unit = pictures_u8.to(device).float() / 255
    return unit + unit - 1
