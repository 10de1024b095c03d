"""The residual rule: a picture is a sum of codes, one scale after another.

Encoding, generation, self-correction, previews and editing all go through :class:`ResidualCanvas`.
Resizing is upstream's: trilinear with one frame (bilinear differs by 5e-7, enough to flip a bit).

Legend: B batch, l tokens of a scale, d bits a latent, D bits a token, y x latent grid.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from infinity.config import TokenizerConfig
from infinity.schedule import ScaleSchedule
from infinity.tokenizer.bits import codes_from_bits, latent_from_tokens, tokens_from_latent


def resize_latent(latent_Bdyx: Tensor, size: tuple[int, int]) -> Tensor:
    """Linear resize without antialiasing, the same for up and down; identity at the same size."""
    if latent_Bdyx.shape[-2:] == size:
        return latent_Bdyx
    return F.interpolate(latent_Bdyx.unsqueeze(2), size=(1, *size), mode="trilinear").squeeze(2)


class ResidualCanvas:
    """The running sum of codes of a batch of pictures.

    Attributes:
        latent_Bdyx: the sum so far at the last scale's latent size, float.
        index: the scale to be added next; ``len(schedule)`` when finished.
    """

    def __init__(
        self,
        config: TokenizerConfig,
        schedule: ScaleSchedule,
        batch: int,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.config = config
        self.schedule = schedule
        self.index = 0
        self.size = schedule.latent_size(len(schedule) - 1, config.patch)
        self.latent_Bdyx = torch.zeros(batch, config.bits, *self.size, device=device, dtype=dtype)

    def add(self, bits_BlD: Tensor) -> Tensor | None:
        """Add one scale's bits; return the transformer's input for the next scale.

        Args:
            bits_BlD: (B, l, D) bool, the tokens of scale ``index``.

        Returns:
            (B, l_next, D) float, or None after the last scale.

        Raises:
            ValueError: every scale has been added, or the bits do not fit the scale.
        """
        if self.index >= len(self.schedule):
            raise ValueError("every scale has been added to this canvas")
        scale = self.schedule[self.index]
        if bits_BlD.shape[1:] != (scale.tokens, self.config.bits_per_token):
            raise ValueError(
                f"bits of shape {tuple(bits_BlD.shape)} do not fit scale {self.index} "
                f"({scale.tokens} tokens of {self.config.bits_per_token} bits)"
            )
        bits_Bdyx = latent_from_tokens(bits_BlD, scale.height, scale.width, self.config.patch)
        codes_Bdyx = codes_from_bits(bits_Bdyx, self.config.bits, self.latent_Bdyx.dtype)
        self.latent_Bdyx = self.latent_Bdyx + resize_latent(codes_Bdyx, self.size)
        self.index += 1
        return self.next_input()

    def next_input(self) -> Tensor | None:
        """(B, l, D) float: what the transformer reads for scale ``index``; None when finished."""
        if self.index >= len(self.schedule):
            return None
        return tokens_from_latent(self.at_scale(self.index), self.config.patch)

    def at_scale(self, index: int) -> Tensor:
        """The sum resized to the latent grid of scale ``index``: (B, d, y_i, x_i)."""
        return resize_latent(self.latent_Bdyx, self.schedule.latent_size(index, self.config.patch))

    def residual(self, features_Bdyx: Tensor) -> Tensor:
        """What scale ``index`` has to explain of ``features``: (B, d, y_i, x_i), area-averaged."""
        residual = features_Bdyx - self.latent_Bdyx
        size = self.schedule.latent_size(self.index, self.config.patch)
        return residual if size == self.size else F.adaptive_avg_pool2d(residual, size)
