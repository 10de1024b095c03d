"""A tiny transformer whose weights are large enough for differences to show."""

import torch

from infinity.config import TransformerConfig
from infinity.model.transformer import InfinityTransformer
from infinity.schedule import ScaleSchedule

SCHEDULE = ScaleSchedule([(1, 1), (2, 1), (3, 2), (5, 4)], rope_grid=(10, 8))
CONFIG = TransformerConfig(
    depth=3,
    width=32,
    num_heads=2,
    bits_per_token=6,
    text_width=128,
    text_max_length=20,
    max_scales=5,
)


def tiny_transformer(config: TransformerConfig = CONFIG, seed: int = 0) -> InfinityTransformer:
    generator = torch.Generator().manual_seed(seed)
    model = InfinityTransformer(config)
    model.init_weights(generator)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if not name.endswith(("norm.weight", "log_scale")):
                spread = 0.5 if parameter.ndim < 2 else parameter.shape[-1] ** -0.5
                parameter.normal_(std=spread, generator=generator)
    return model


def texts(*lengths: int, seed: int = 1) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(length, CONFIG.text_width, generator=generator) for length in lengths]


def inputs(batch: int, seed: int = 2) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    tokens = SCHEDULE.total_tokens - SCHEDULE[0].tokens
    return torch.randn(batch, tokens, CONFIG.bits_per_token, generator=generator)


def scale_inputs(inputs_BLD: torch.Tensor, index: int) -> torch.Tensor | None:
    if index == 0:
        return None
    span = SCHEDULE.span(index)
    first = SCHEDULE[0].tokens
    return inputs_BLD[:, span.start - first : span.stop - first]
