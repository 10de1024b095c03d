"""The picture tokenizer: encode a picture to bits per scale, decode a canvas to a picture, or both.

Legend: B batch, H W picture size in pixels, d bits a latent.
"""

import torch
from torch import Tensor, nn

from infinity.config import TokenizerConfig
from infinity.schedule import ScaleSchedule
from infinity.tokenizer.autoencoder import Decoder, Encoder
from infinity.tokenizer.quantizer import EncodedScales, encode_scales
from infinity.tokenizer.strips import decode_in_strips


class Tokenizer(nn.Module):
    """Autoencoder and quantizer of one model. The quantizer itself has no weights.

    Attributes:
        strip_elements: elements of a strip when decoding in strips, for less memory; None decodes whole.
    """

    def __init__(self, config: TokenizerConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        self.decoder = Decoder(config)
        self.strip_elements: int | None = None

    def features(self, image_B3HW: Tensor) -> Tensor:
        """Picture (B, 3, H, W) float in [-1, 1] -> continuous features (B, d, y, x) float32."""
        weight = self.encoder.conv_in.weight
        # Not channels last: group norm's sums are ten times less exact there, enough to flip bits.
        return self.encoder(image_B3HW.to(weight.device, weight.dtype).contiguous()).float()

    def encode(self, image_B3HW: Tensor, schedule: ScaleSchedule) -> EncodedScales:
        """Picture (B, 3, H, W) float in [-1, 1] -> bits per scale. Raises ValueError where it does not
        have the schedule's size in pixels."""
        expected = schedule.image_size(self.config.token_pixels)
        if image_B3HW.shape[1:] != (3, *expected):
            found, wanted = tuple(image_B3HW.shape), "{}x{}".format(*expected)
            raise ValueError(f"a picture of {wanted} pixels is needed, not {found}")
        return encode_scales(self.features(image_B3HW), self.config, schedule)

    def decode(self, latent_Bdyx: Tensor) -> Tensor:
        """Sum of codes (B, d, y, x) -> picture (B, 3, H, W) float32 in [-1, 1]; any latent size."""
        weight = self.decoder.conv_in.weight
        # Channels last: a tenth faster on a CPU.
        latent_Bdyx = latent_Bdyx.to(weight.device, weight.dtype, memory_format=torch.channels_last)
        if self.strip_elements is None:
            image = self.decoder(latent_Bdyx)
        else:
            image = decode_in_strips(self.decoder, latent_Bdyx, self.strip_elements)
        return image.float().clamp_(-1, 1)

    def trunk(self, latent_Bdyx: Tensor) -> Tensor:
        """What the decoder makes of a latent (B, d, y, x) before it enlarges anything: (B, C, y, x)
        float32. A few percent of a decoding's time."""
        weight = self.decoder.conv_in.weight
        return self.decoder.trunk(latent_Bdyx.to(weight.device, weight.dtype)).float()

    @torch.no_grad()
    def reconstruct(self, image_B3HW: Tensor, schedule: ScaleSchedule) -> Tensor:
        """Encode and decode: (B, 3, H, W) in [-1, 1] -> the same shape."""
        return self.decode(self.encode(image_B3HW, schedule).latent_Bdyx)
