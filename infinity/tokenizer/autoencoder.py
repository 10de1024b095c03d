"""Convolutional encoder and decoder of the picture tokenizer. No attention anywhere.

Same network as the released tokenizers; ``stem_patch`` > 1 folds pixels into channels around it.
Source: upstream checkpoint format.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from infinity.config import REFINE_PATCH, TokenizerConfig

IMAGE_CHANNELS = 3
MIDDLE_BLOCKS = 2


def group_norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(TokenizerConfig.norm_groups(channels), channels, eps=1e-6)


def conv3x3(channels_in: int, channels_out: int) -> nn.Conv2d:
    return nn.Conv2d(channels_in, channels_out, kernel_size=3, padding=1)


def normed_swish(norm: nn.GroupNorm, x_BCyx: Tensor) -> Tensor:
    """``silu(norm(x))``; of one picture on a GPU up to rounding.

    The norm's kernel gives each group to one processor of the card, most of which then wait; here each channel
    is summed by as many as there are, in float32.
    """
    if torch.is_grad_enabled():
        return F.silu(norm(x_BCyx))
    pays = x_BCyx.is_cuda and len(x_BCyx) == 1
    return F.silu(norm_by_channels(norm, x_BCyx) if pays else norm(x_BCyx), inplace=True)


def norm_by_channels(norm: nn.GroupNorm, x_1Cyx: Tensor) -> Tensor:
    """``norm`` of one picture: sums a channel, then a group, then one pass over all numbers."""
    mean_C = x_1Cyx.sum((0, 2, 3), dtype=torch.float32) / x_1Cyx[0, 0].numel()
    square_C = torch.linalg.vector_norm(x_1Cyx, dim=(0, 2, 3), dtype=torch.float32).square()
    square_C /= x_1Cyx[0, 0].numel()
    mean_G1, square_G1 = (
        part_C.view(norm.num_groups, -1).mean(1, keepdim=True) for part_C in (mean_C, square_C)
    )
    variance_G1 = (square_G1 - mean_G1.square()).clamp_min(0)
    mean_C, variance_C = (
        part_G1.expand(-1, norm.num_channels // norm.num_groups).flatten()
        for part_G1 in (mean_G1, variance_G1)
    )
    weight, bias = norm.weight.float(), norm.bias.float()
    return F.batch_norm(x_1Cyx, mean_C, variance_C, weight, bias, eps=norm.eps)


class ResidualBlock(nn.Module):
    """Norm, swish, convolution, twice; a 1x1 shortcut where the channels change."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.norm1 = group_norm(channels_in)
        self.conv1 = conv3x3(channels_in, channels_out)
        self.norm2 = group_norm(channels_out)
        self.conv2 = conv3x3(channels_out, channels_out)
        self.shortcut = (
            nn.Conv2d(channels_in, channels_out, kernel_size=1)
            if channels_in != channels_out
            else None
        )

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv1(normed_swish(self.norm1, x))
        h = self.conv2(normed_swish(self.norm2, h))
        return h + (x if self.shortcut is None else self.shortcut(x))


def residual_blocks(channels: int, count: int) -> nn.Sequential:
    return nn.Sequential(*(ResidualBlock(channels, channels) for _ in range(count)))


class Resample(nn.Module):
    """Twice the size: nearest neighbour, then a convolution. Or half the size: zeros on the right and
    below, then a strided convolution."""

    def __init__(self, channels: int, *, enlarges: bool) -> None:
        super().__init__()
        self.enlarges = enlarges
        stride, padding = (1, 1) if enlarges else (2, 0)
        self.conv = nn.Conv2d(channels, channels, kernel_size=3, stride=stride, padding=padding)

    def forward(self, x: Tensor) -> Tensor:
        if self.enlarges:
            return self.conv(F.interpolate(x, scale_factor=2, mode="nearest"))
        return self.conv(F.pad(x, (0, 1, 0, 1)))


class Level(nn.Module):
    """The residual blocks of one resolution, then a change of resolution where there is one."""

    def __init__(
        self, channels_in: int, channels_out: int, blocks: int, resample: Resample | None
    ) -> None:
        super().__init__()
        first = ResidualBlock(channels_in, channels_out)
        self.blocks = nn.Sequential(first, *residual_blocks(channels_out, blocks - 1))
        self.resample = resample

    def forward(self, x: Tensor) -> Tensor:
        x = self.blocks(x)
        return x if self.resample is None else self.resample(x)


class Encoder(nn.Module):
    """Image (B, 3, H, W) in [-1, 1] -> features (B, d, H / stride, W / stride)."""

    def __init__(self, config: TokenizerConfig) -> None:
        super().__init__()
        channels = [config.base_channels * m for m in config.channel_multipliers]
        before = [config.base_channels, *channels]
        last, blocks = len(channels) - 1, config.num_res_blocks
        self.stem_patch = config.stem_patch
        self.conv_in = conv3x3(IMAGE_CHANNELS * config.stem_patch**2, config.base_channels)
        self.levels = nn.Sequential(
            *(
                Level(before[i], c, blocks, Resample(c, enlarges=False) if i < last else None)
                for i, c in enumerate(channels)
            )
        )
        self.middle = residual_blocks(channels[-1], MIDDLE_BLOCKS)
        self.norm_out = group_norm(channels[-1])
        self.conv_out = conv3x3(channels[-1], config.bits)

    def forward(self, image_B3HW: Tensor) -> Tensor:
        x = self.conv_in(F.pixel_unshuffle(image_B3HW, self.stem_patch))
        x = self.middle(self.levels(x))
        return self.conv_out(normed_swish(self.norm_out, x))


class Refinement(nn.Module):
    """Corrects a decoded picture on patches of 4x4 pixels; begins as no correction at all."""

    def __init__(self, config: TokenizerConfig) -> None:
        super().__init__()
        channels, pixels = config.refine_channels, IMAGE_CHANNELS * REFINE_PATCH**2
        self.unfold = config.stem_patch // REFINE_PATCH
        hints = config.refine_channels // 2
        self.conv_unfold = nn.Conv2d(
            config.base_channels * config.channel_multipliers[0],
            hints * self.unfold**2,
            kernel_size=1,
        )
        self.conv_in = conv3x3(hints + pixels, channels)
        self.blocks = residual_blocks(channels, config.refine_blocks)
        self.norm_out = group_norm(channels)
        self.conv_out = conv3x3(channels, pixels)
        for parameter in self.conv_out.parameters():
            nn.init.zeros_(parameter)

    def patches(self, features_BCyx: Tensor, image_B3HW: Tensor) -> Tensor:
        """What the blocks read: hints from the decoder's features, and the picture's patches."""
        hints = F.pixel_shuffle(self.conv_unfold(features_BCyx), self.unfold)
        return torch.cat((hints, F.pixel_unshuffle(image_B3HW, REFINE_PATCH)), 1)

    def forward(self, features_BCyx: Tensor, image_B3HW: Tensor) -> Tensor:
        x = self.blocks(self.conv_in(self.patches(features_BCyx, image_B3HW)))
        correction = self.conv_out(normed_swish(self.norm_out, x))
        return image_B3HW + F.pixel_shuffle(correction, REFINE_PATCH)


class Decoder(nn.Module):
    """Latent (B, d, y, x) -> image (B, 3, y * stride, x * stride), not clamped.

    ``levels`` are indexed by resolution, 0 the finest; they run from the last to the first.
    """

    def __init__(self, config: TokenizerConfig) -> None:
        super().__init__()
        channels = [config.base_channels * m for m in config.channel_multipliers]
        self.stem_patch = config.stem_patch
        self.conv_in = conv3x3(config.bits, channels[-1])
        self.middle = residual_blocks(channels[-1], MIDDLE_BLOCKS)
        before, blocks = [*channels[1:], channels[-1]], config.num_res_blocks + 1
        self.levels = nn.ModuleList(
            Level(before[i], c, blocks, Resample(c, enlarges=True) if i > 0 else None)
            for i, c in enumerate(channels)
        )
        self.norm_out = group_norm(channels[0])
        self.conv_out = conv3x3(channels[0], IMAGE_CHANNELS * config.stem_patch**2)
        self.refinement = Refinement(config) if config.refine_blocks else None

    def trunk(self, latent_Bdyx: Tensor) -> Tensor:
        """The part that runs at the latent's own size: (B, d, y, x) -> (B, channels, y, x)."""
        return self.middle(self.conv_in(latent_Bdyx))

    def forward(self, latent_Bdyx: Tensor) -> Tensor:
        x = self.trunk(latent_Bdyx)
        for level in reversed(self.levels):
            x = level(x)
        features = normed_swish(self.norm_out, x)
        image = F.pixel_shuffle(self.conv_out(features), self.stem_patch)
        return image if self.refinement is None else self.refinement(features, image)
