"""Inputs of the transformer from bits that were computed before.

Legend: B samples, l tokens of a scale, D bits a token.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from infinity.config import TokenizerConfig
from infinity.schedule import ScaleSchedule
from infinity.tokenizer.quantizer import EncodedScales, ResidualCanvas


def encode_bits(
    bits: Sequence[Tensor], config: TokenizerConfig, schedule: ScaleSchedule
) -> EncodedScales:
    """What ``encode_scales`` returns of the picture these bits, (B, l, D) bool a scale, are of."""
    canvas = ResidualCanvas(config, schedule, len(bits[0]), bits[0].device)
    inputs = [canvas.latent_Bdyx.new_zeros(len(bits[0]), 0, config.bits_per_token)]
    for scale_bits in bits:
        next_input = canvas.add(scale_bits)
        if next_input is not None:
            inputs.append(next_input)
    return EncodedScales(tuple(bits), torch.cat(inputs, dim=1), canvas.latent_Bdyx)
