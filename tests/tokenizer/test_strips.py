"""Decoding in strips gives the picture that decoding it whole gives."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from infinity.config import TokenizerConfig
from infinity.tokenizer.strips import decode_in_strips
from infinity.tokenizer.tokenizer import Tokenizer
from tests.tiny import SPEC, tiny_tokenizer

CONFIG = TokenizerConfig(bits=6, base_channels=32, channel_multipliers=(1, 2, 3), num_res_blocks=1)
STEM = TokenizerConfig(bits=6, base_channels=32, channel_multipliers=(1,), stem_patch=4)
REFINED = replace(STEM, stem_patch=8, refine_blocks=2, refine_channels=32)


def tokenizer(config: TokenizerConfig) -> Tokenizer:
    return tiny_tokenizer(replace(SPEC, tokenizer=replace(config, bits=8)))


def latent(height: int, width: int, batch: int = 1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(height * 31 + width)
    return torch.randn(batch, 8, height, width, generator=generator)


@pytest.mark.parametrize(
    "config", [CONFIG, STEM, REFINED], ids=["upsampling", "stem", "refinement"]
)
@pytest.mark.parametrize("strip_elements", [1, 32 * 28 * 5, 2**30], ids=["row", "few", "whole"])
def test_strips_equal_the_whole_up_to_rounding(config, strip_elements):
    decoder = tokenizer(config).decoder
    latent_Bdyx = latent(9, 7)
    with torch.no_grad():
        whole = decoder(latent_Bdyx)
    found = decode_in_strips(decoder, latent_Bdyx, strip_elements)
    assert found.shape == whole.shape
    torch.testing.assert_close(found, whole, rtol=1e-4, atol=2e-5 * float(whole.abs().max()))


def test_strips_have_no_seams():
    """The largest difference is no larger beside a strip's edge than anywhere else."""
    decoder = tokenizer(CONFIG).decoder.double()
    latent_Bdyx = latent(8, 8).double()
    with torch.no_grad():
        whole = decoder(latent_Bdyx)
    found = decode_in_strips(decoder, latent_Bdyx, 1)
    assert float((found - whole).abs().max()) < 1e-5 * float(whole.abs().max())


def test_pictures_of_a_batch_do_not_mix():
    decoder = tokenizer(CONFIG).decoder
    latents = latent(6, 5, batch=3)
    together = decode_in_strips(decoder, latents, 4096)
    alone = torch.cat([decode_in_strips(decoder, one, 4096) for one in latents.split(1)])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5 * float(alone.abs().max()))


def test_tokenizer_decodes_in_strips_when_told_to():
    model = tokenizer(CONFIG)
    latent_Bdyx = latent(9, 7)
    with torch.no_grad():
        whole = model.decode(latent_Bdyx)
        model.strip_elements = 4096
        found = model.decode(latent_Bdyx)
    assert found.dtype == torch.float32
    assert found.abs().max() <= 1
    torch.testing.assert_close(found, whole, rtol=1e-3, atol=1e-4)


def test_strips_of_bfloat16_stay_as_near_to_the_truth_as_the_whole():
    model = tokenizer(CONFIG)
    latent_Bdyx = latent(9, 7)
    with torch.no_grad():
        truth = model.decoder(latent_Bdyx)
        rounded = model.decoder.to(torch.bfloat16)
        whole = rounded(latent_Bdyx.bfloat16()).float()
    found = decode_in_strips(rounded, latent_Bdyx.bfloat16(), 4096).float()
    assert found.dtype == torch.float32
    assert (found - truth).abs().mean() <= 1.1 * (whole - truth).abs().mean()
