"""Matrix products of two fp8 (e4m3) operands, where the card has them: about twice bfloat16's speed.

Each row of the input and each output channel of the weight has a scale of its own, found when the product is
taken. It pays at the large scales, whose rows are many.
"""

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

logger = logging.getLogger(__name__)

MOST = 448.0
"""Largest number of e4m3."""
SMALLEST = 1e-12
STEP = 16
"""Widths that a card multiplies are multiples of it."""

Product = Callable[[Tensor, Tensor, Tensor, Tensor, torch.dtype], Tensor]
"""a (M, K) and b (N, K) fp8, their scales (M, 1) and (N, 1) float32, dtype of the result -> (M, N)."""


class Fp8Products(TorchFunctionMode):
    """Inside it, linear layers of this thread multiply in fp8; those of float32 (the head's) do not."""

    def __init__(
        self, product: Product, dtypes: tuple[torch.dtype, ...] = (torch.bfloat16,)
    ) -> None:
        super().__init__()
        self._product = product
        self._dtypes = dtypes

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func is not F.linear or args[0].dtype not in self._dtypes:
            return func(*args, **(kwargs or {}))
        return self._linear(*args, **(kwargs or {}))

    def _linear(self, input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        if any(width % STEP for width in weight.shape):
            return F.linear(input, weight, bias)
        (a, scale_a), (b, scale_b) = in_fp8(input.reshape(-1, input.shape[-1])), in_fp8(weight)
        output = self._product(a, b, scale_a, scale_b, input.dtype)
        output = output.view(*input.shape[:-1], len(weight))
        return output if bias is None else output.add_(bias)


def in_fp8(rows: Tensor) -> tuple[Tensor, Tensor]:
    """(M, K) -> the same in fp8, and float32 scales (M, 1) to multiply with."""
    scale = rows.abs().amax(dim=-1, keepdim=True).float().clamp_min_(SMALLEST) / MOST
    return (rows / scale).clamp_(-MOST, MOST).to(torch.float8_e4m3fn), scale


def written_out(
    a: Tensor, b: Tensor, scale_a: Tensor, scale_b: Tensor, dtype: torch.dtype
) -> Tensor:
    """The product as a card takes it, in float32: what fp8 costs in bits shows without a card."""
    return ((a.float() * scale_a) @ (b.float() * scale_b).mT).to(dtype)


def fp8_products(device: torch.device, *, asked: bool) -> AbstractContextManager[Any]:
    """:class:`Fp8Products` where they are asked for and the device has them, else nothing."""
    if not asked or not has_fp8_products(device):
        return nullcontext()
    return Fp8Products(_on_card)


@cache
def has_fp8_products(device: torch.device) -> bool:
    """Whether a device multiplies in fp8; where not, one line is logged."""
    why = "only CUDA cards have them"
    if device.type == "cuda":
        try:
            (a, scale_a), (b, scale_b) = (in_fp8(torch.ones(32, 32, device=device)) for _ in "ab")
            _on_card(a, b, scale_a, scale_b, torch.bfloat16)
            return True
        except (RuntimeError, ValueError) as error:
            why = str(error).partition("\n")[0]
    logger.warning("no fp8 products on %s, they are taken in the usual precision: %s", device, why)
    return False


def _on_card(a: Tensor, b: Tensor, scale_a: Tensor, scale_b: Tensor, dtype: torch.dtype) -> Tensor:
    return torch._scaled_mm(
        a, b.mT, scale_a=scale_a, scale_b=scale_b.mT.contiguous(), out_dtype=dtype
    )
