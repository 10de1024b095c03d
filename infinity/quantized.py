"""Linear layers whose weights lie in memory in 8 bits a number: half of bfloat16's bytes.

A weight is ``weight * scale``, one scale an output channel (``infinity.int8``). Every 8-bit number is one of
bfloat16 too, so the product is taken with the numbers as they are, in the input's precision, and its channels
are scaled afterwards: nothing is rounded but by the quantization and by the product itself.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from infinity.int8 import in_8_bits


class QuantizedLinear(nn.Linear):
    """In place of a linear layer, whose shape and bias it takes; it has no weights until ``quantize``.

    Args:
        kind: "int8" or "fp8" (e4m3).
    """

    def __init__(self, layer: nn.Linear, kind: str) -> None:
        super().__init__(layer.in_features, layer.out_features, bias=False, device="meta")
        self.kind = kind
        self.bias = layer.bias
        self.quantize(torch.empty(layer.weight.shape, device="meta"))

    def forward(self, input: Tensor, bias: Tensor | None = None) -> Tensor:
        """(..., in) -> (..., out) in the input's dtype; ``bias`` takes the place of the layer's own."""
        bias = self.bias if bias is None else bias
        product = F.linear(input, self.weight.to(input.dtype))
        scale = self.scale.to(input.dtype)
        return product.mul_(scale) if bias is None else torch.addcmul(bias, product, scale)

    def dense(self) -> Tensor:
        """The weight (out, in) in float32."""
        return self.weight.float() * self.scale.float()[:, None]

    def quantize(self, weight: Tensor) -> None:
        """Take on a weight (out, in)."""
        whole, scale = in_8_bits(weight, kind=self.kind)
        self.weight = nn.Parameter(whole, requires_grad=False)
        self.scale = nn.Parameter(scale, requires_grad=False)


def quantize_layers(module: nn.Module, kind: str) -> None:
    """Put a :class:`QuantizedLinear` in the place of every linear layer below ``module``, weights still to come."""
    for parent in list(module.modules()):
        for name, layer in parent.named_children():
            if isinstance(layer, nn.Linear):
                setattr(parent, name, QuantizedLinear(layer, kind))


def quantized_layer(module: nn.Module, name: str) -> QuantizedLinear | None:
    """The layer below ``module`` that keeps the weight of this name in 8 bits; None for other parameters."""
    owner, _, part = name.rpartition(".")
    layer = module.get_submodule(owner) if part == "weight" else None
    return layer if isinstance(layer, QuantizedLinear) else None
