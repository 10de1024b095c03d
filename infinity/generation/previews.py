"""Previews that cost next to nothing: a picture read off the decoder's first layers.

Decoding every scale would take longer than drawing. But nearly all of a decoding's time goes into
its large layers; the ones at the latent's own size take a few percent, and what they know is enough
for a rough picture: a linear map from them to a few pixels a position, fitted by least squares on
what the whole decoder makes of the same latents: at first of invented pictures, later of every
picture whose scales are decoded after it is finished.

Legend: B pictures, d bits a latent, y x latent grid, C channels of the trunk, N positions, s pixels.
"""

import math
import threading

import torch
import torch.nn.functional as F
from torch import Tensor

from infinity.generation.clock import Span
from infinity.schedule import ScaleSchedule
from infinity.tokenizer.quantizer import ResidualCanvas
from infinity.tokenizer.tokenizer import Tokenizer

PREVIEW_SHARE, PREVIEW_SHARE_GPU = 0.13, 0.04
"""Part of the generation time (model and final decoding) planned for previews. The promise is 15%, on a GPU
5%; the rest is kept in hand, as times vary."""
QUICK_SECONDS = 0.2
"""So long whole decodings may take together whatever their share: nobody notices, and they show best what
each scale adds."""
PIXELS_A_POSITION = 4
RIDGE = 1e-3
BOXES = 40
INVENTED_TOKENS = 12
"""Side in tokens up to which scales are tried on invented pictures."""


class PreviewDecoder:
    """Decodes one tokenizer's latents roughly. Safe to use from several threads at once.

    Attributes:
        seconds_a_position: of a whole decoding, once prepared: each position of the latent takes so long.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._pixels = math.gcd(PIXELS_A_POSITION, tokenizer.config.stride)
        self._lock = threading.Lock()
        self._inputs_CC: Tensor | float = 0.0
        self._products_CP: Tensor | float = 0.0
        self._map_CP: Tensor | None = None
        self.seconds_a_position = math.inf

    @torch.inference_mode()
    def prepare(self, schedule: ScaleSchedule) -> None:
        """A first fit, on invented pictures drawn with the small scales of ``schedule``.

        Takes some decodings of a small picture; nothing when there is a fit already.
        """
        if self._map_CP is not None:
            return
        small = [s for s in schedule if max(s.height, s.width) <= INVENTED_TOKENS]
        shown = ScaleSchedule(small or schedule.scales[:1])
        config = self._tokenizer.config
        pictures = invented_pictures(shown.image_size(config.token_pixels))
        device = self._tokenizer.decoder.conv_in.weight.device
        canvas = ResidualCanvas(config, shown, len(pictures), device)
        for bits in self._tokenizer.encode(pictures, shown).bits:
            canvas.add(bits)
            latent_Bdyx, span = canvas.latent_Bdyx, Span(device)
            decoded_B3HW = self._tokenizer.decode(latent_Bdyx)
            seconds, positions = span.end().seconds, latent_Bdyx[:, 0].numel()
            self.seconds_a_position = min(self.seconds_a_position, seconds / positions)
            self.learn(latent_Bdyx, decoded_B3HW)  # from here on it counts as prepared

    @torch.inference_mode()
    def learn(self, latent_Bdyx: Tensor, image_B3HW: Tensor) -> None:
        """Take a decoding into account: the latent, and the whole decoder's picture in [-1, 1]."""
        inputs_NC = self._inputs(latent_Bdyx)
        small = F.avg_pool2d(image_B3HW, self._tokenizer.config.stride // self._pixels)
        wanted_NP = _positions(F.pixel_unshuffle(small, self._pixels))
        with self._lock:
            self._inputs_CC += inputs_NC.T @ inputs_NC
            self._products_CP += inputs_NC.T @ wanted_NP
            ridge = RIDGE * self._inputs_CC.diagonal().mean()
            eye = torch.eye(len(self._inputs_CC), device=inputs_NC.device)
            self._map_CP = torch.linalg.solve(self._inputs_CC + ridge * eye, self._products_CP)

    @torch.inference_mode()
    def decode(self, latent_Bdyx: Tensor) -> Tensor:
        """(B, d, y, x) -> a rough small picture (B, 3, s * y, s * x) in [-1, 1]. Raises ValueError where
        nothing was learnt yet."""
        if self._map_CP is None:
            raise ValueError("prepare the preview decoder first")
        batch, _, height, width = latent_Bdyx.shape
        pixels_NP = self._inputs(latent_Bdyx) @ self._map_CP
        pixels = pixels_NP.view(batch, height, width, -1).permute(0, 3, 1, 2)
        rough = F.pixel_shuffle(pixels, self._pixels).clamp_(-1, 1)
        # A little blur hides the seams between positions, and comes nearer to the whole decoding.
        return F.avg_pool2d(F.pad(rough, (1, 1, 1, 1), mode="replicate"), 3, stride=1)

    def _inputs(self, latent_Bdyx: Tensor) -> Tensor:
        return F.pad(_positions(self._tokenizer.trunk(latent_Bdyx)), (0, 1), value=1.0)


def invented_pictures(size: tuple[int, int]) -> Tensor:
    """(2, 3, H, W) float in [-1, 1], always the same: coloured boxes over one another, and coloured
    clouds. Together they have the edges and the smooth parts of real pictures."""
    generator = torch.Generator().manual_seed(0)
    height, width = size
    boxes = torch.zeros(3, height, width)
    for share in torch.linspace(1, 0.1, BOXES).tolist():
        tall, wide = max(1, round(share * height)), max(1, round(share * width))
        top = int(torch.randint(height - tall + 1, (), generator=generator))
        left = int(torch.randint(width - wide + 1, (), generator=generator))
        color = torch.rand(3, 1, 1, generator=generator) * 2 - 1
        boxes[:, top : top + tall, left : left + wide] = color
    waves = torch.fft.rfft2(torch.randn(3, height, width, generator=generator))
    across, down = torch.fft.rfftfreq(width)[None], torch.fft.fftfreq(height)[:, None]
    frequency = (across**2 + down**2).sqrt().clamp_min(1 / max(size))
    clouds = torch.fft.irfft2(waves * frequency**-1.3, s=size)
    tint = torch.randn(3, 1, 1, generator=generator) / 2
    return torch.stack((boxes, (0.6 * clouds / clouds.std() + tint).clamp(-1, 1)))


def exact_scales(
    model_s: float, decode_s: float, rough_s: float, num_scales: int, share: float = PREVIEW_SHARE
) -> int:
    """How many of the last scales before the end may be decoded wholly, so that all previews keep
    to their share of the time, or all of them where that is quick anyway.

    Args:
        model_s, decode_s: of a like request: the model, and the final decoding.
        rough_s: all its rough previews.
        share: of the time, for previews.
    """
    if (num_scales - 1) * decode_s <= QUICK_SECONDS:
        return num_scales - 1
    left = share * (model_s + decode_s) - rough_s
    return max(0, min(num_scales - 1, int(left / decode_s)))


def _positions(x_BCyx: Tensor) -> Tensor:
    """(B, C, y, x) -> (N, C)."""
    return x_BCyx.permute(0, 2, 3, 1).flatten(0, 2)
