"""Decoding a large picture strip by strip: the same picture in a fraction of the memory.

Cutting the latent into tiles would be wrong for this decoder, whose group norms look at the whole
picture. Here every layer runs over horizontal strips of its whole input: neighbours lend the one row
that a 3x3 convolution sees beyond a strip, and a norm's mean and variance are gathered over all
strips first. So there is no seam, and the picture differs from the one decoded whole by rounding
alone (tests/tokenizer/test_strips.py).

Legend: B batch, C channels, y x rows and columns of a feature map.
"""

from collections.abc import Callable, Iterator
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from infinity.config import REFINE_PATCH
from infinity.tokenizer.autoencoder import Decoder, Level, Refinement, ResidualBlock

STRIP_ELEMENTS = 2**23
"""Numbers in a strip's widest feature map: 64 rows of a 1024 pixels wide picture at 128 channels."""

HOST = torch.device("cpu")
"""Where a norm's sums are added up: not every device has float64."""

Change = Callable[[Tensor], Tensor]
"""What happens to a strip before a convolution; it may enlarge both sides by a whole factor."""


class _Map:
    """A feature map, with the sums that the next group norm needs."""

    def __init__(self, data_BCyx: Tensor) -> None:
        self.data = data_BCyx
        self._sums = torch.zeros(2, *data_BCyx.shape[:2], dtype=torch.float64)

    def write(self, first: int, strip_BCyx: Tensor) -> None:
        count = strip_BCyx[0, 0].numel()
        variance, mean = torch.var_mean(strip_BCyx.float(), dim=(2, 3), correction=0)
        mean, variance = mean.to(HOST, torch.float64), variance.to(HOST, torch.float64)
        self._sums += torch.stack((mean * count, (variance + mean**2) * count))
        self.data[:, :, first : first + strip_BCyx.shape[2]] = strip_BCyx

    def affine(self, norm: nn.GroupNorm) -> tuple[Tensor, Tensor]:
        """The norm as ``x * scale + shift``, each (B, C, 1, 1) float32."""
        groups = self._sums.unflatten(2, (norm.num_groups, -1)).sum(3)
        members = self.data.shape[1] // norm.num_groups
        mean, square = groups / (self.data[0, 0].numel() * members)
        deviation = (square - mean**2).clamp_min(0).add(norm.eps).sqrt()
        mean, deviation = (part.repeat_interleave(members, 1) for part in (mean, deviation))
        weight, bias = (part.detach().to(HOST, torch.float64) for part in (norm.weight, norm.bias))
        scale = weight / deviation
        shift = bias - mean * scale
        return scale.float()[..., None, None], shift.float()[..., None, None]


def decode_in_strips(decoder: Decoder, latent_Bdyx: Tensor, strip_elements: int) -> Tensor:
    """Latent (B, d, y, x) in the decoder's dtype and device -> image (B, 3, H, W), not clamped.

    Equal to ``decoder(latent_Bdyx)`` up to rounding. Without gradients.

    Args:
        strip_elements: numbers in a strip's widest feature map; less memory and more steps the
            smaller it is.
    """
    with torch.no_grad():
        return _Strips(decoder, latent_Bdyx.device, strip_elements).decode(latent_Bdyx)


class _Strips:
    def __init__(self, decoder: Decoder, device: torch.device, strip_elements: int) -> None:
        self.decoder = decoder
        self.device = device
        self.strip_elements = strip_elements

    def decode(self, latent_Bdyx: Tensor) -> Tensor:
        first = self.decoder.conv_in(latent_Bdyx)
        x = _Map(torch.empty_like(first))
        x.write(0, first)
        x = self._blocks(x, self.decoder.middle)
        for level in (cast(Level, module) for module in reversed(self.decoder.levels)):
            x = self._blocks(x, level.blocks)
            if level.resample is not None:
                x = self._layer(x, level.resample.conv, _doubled, factor=2)
        change = self._norm(x, self.decoder.norm_out)
        patch, conv = self.decoder.stem_patch, self.decoder.conv_out
        out = [
            F.pixel_shuffle(self._convolve(x, rows, change, conv), patch)
            for rows in self._spans(x, conv)
        ]
        image = torch.cat(out, 2)
        if self.decoder.refinement is None:
            return image
        return self._refine(change(x.data), image, self.decoder.refinement)

    def _refine(self, features_BCyx: Tensor, image: Tensor, refinement: Refinement) -> Tensor:
        patches = _Map(refinement.patches(features_BCyx, image))
        x = self._layer(patches, refinement.conv_in, lambda strip_BCyx: strip_BCyx)
        x = self._blocks(x, refinement.blocks)
        change, conv = self._norm(x, refinement.norm_out), refinement.conv_out
        for rows in self._spans(x, conv):
            top, bottom = rows.start * REFINE_PATCH, rows.stop * REFINE_PATCH
            correction = self._convolve(x, rows, change, conv)
            image[:, :, top:bottom] += F.pixel_shuffle(correction, REFINE_PATCH)
        return image

    def _blocks(self, x: _Map, blocks: nn.Sequential) -> _Map:
        for block in (cast(ResidualBlock, module) for module in blocks):
            h = self._layer(x, block.conv1, self._norm(x, block.norm1))
            change = self._norm(h, block.norm2)
            # Without a shortcut the sum takes the place of what it adds to, strip by strip.
            out = _Map(x.data) if block.shortcut is None else self._empty(x, block.conv2)
            for rows in self._spans(h, block.conv2):
                straight = x.data[:, :, rows.start : rows.stop]
                if block.shortcut is not None:
                    straight = block.shortcut(straight)
                out.write(rows.start, straight + self._convolve(h, rows, change, block.conv2))
            x = out
        return x

    def _layer(self, x: _Map, conv: nn.Conv2d, change: Change, factor: int = 1) -> _Map:
        """``conv(change(x))``, of ``factor`` times the size."""
        out = self._empty(x, conv, factor)
        for rows in self._spans(x, conv, factor):
            out.write(factor * rows.start, self._convolve(x, rows, change, conv, factor))
        return out

    def _convolve(
        self, x: _Map, rows: range, change: Change, conv: nn.Conv2d, factor: int = 1
    ) -> Tensor:
        """``conv(change(x))`` on some rows; beyond the picture's edge there are zeros."""
        before, after = rows.start > 0, rows.stop < x.data.shape[2]
        strip = change(x.data[:, :, rows.start - before : rows.stop + after])
        surplus = factor - 1  # of a lent row, the convolution sees one
        strip = strip[:, :, before * surplus : strip.shape[2] - after * surplus]
        strip = F.pad(strip, (0, 0, int(not before), int(not after)))
        strip = strip.contiguous(memory_format=torch.channels_last)
        return F.conv2d(strip, conv.weight, conv.bias, padding=(0, 1))

    def _norm(self, x: _Map, norm: nn.GroupNorm) -> Change:
        scale, shift = (part.to(self.device) for part in x.affine(norm))

        def change(strip_BCyx: Tensor) -> Tensor:
            return F.silu((strip_BCyx.float() * scale + shift).to(strip_BCyx.dtype))

        return change

    def _empty(self, x: _Map, conv: nn.Conv2d, factor: int = 1) -> _Map:
        batch, _, rows, width = x.data.shape
        shape = (batch, conv.out_channels, factor * rows, factor * width)
        return _Map(x.data.new_empty(shape))

    def _spans(self, x: _Map, conv: nn.Conv2d, factor: int = 1) -> Iterator[range]:
        """Rows of ``x`` in strips, short enough for what ``conv`` reads and writes."""
        batch, _, rows, width = x.data.shape
        widest = batch * width * factor**2 * max(conv.in_channels, conv.out_channels)
        height = max(1, self.strip_elements // widest)
        for start in range(0, rows, height):
            yield range(start, min(start + height, rows))


def _doubled(strip_BCyx: Tensor) -> Tensor:
    return F.interpolate(strip_BCyx, scale_factor=2, mode="nearest")
