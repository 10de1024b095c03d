"""The tokenizer's algebra: bits, codes, canvas and quantizer agree with each other."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from infinity.config import TokenizerConfig
from infinity.errors import CheckpointError
from infinity.schedule import ScaleSchedule
from infinity.tokenizer.quantizer import (
    ResidualCanvas,
    codes_from_bits,
    encode_scales,
    latent_from_tokens,
    quantize,
    tokens_from_latent,
)
from infinity.tokenizer.tokenizer import Tokenizer

SCHEDULE = ScaleSchedule([(1, 1), (2, 2), (3, 4), (4, 6)])


def config(bits: int = 16, **changes: object) -> TokenizerConfig:
    settings = {"base_channels": 32, "channel_multipliers": (1, 1), "num_res_blocks": 1, **changes}
    return TokenizerConfig(bits=bits, **settings)  # type: ignore[arg-type]


@given(st.integers(8, 130), st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_codes_lie_on_the_unit_sphere_and_quantize_to_their_bits(bits: int, seed: int) -> None:
    drawn = torch.rand(2, bits, 3, 3, generator=torch.Generator().manual_seed(seed)) < 0.5
    codes = codes_from_bits(drawn, bits, torch.float32)
    torch.testing.assert_close(codes.norm(dim=1), torch.ones(2, 3, 3))
    assert torch.equal(quantize(codes), drawn)


def test_quantize_maps_zero_to_false() -> None:
    assert not quantize(torch.zeros(1, 8, 2, 2)).any()


@pytest.mark.parametrize("patch", [1, 2])
def test_tokens_and_latents_convert_both_ways(patch: int) -> None:
    latent = torch.randn(2, 5, 4 * patch, 6 * patch)
    tokens = tokens_from_latent(latent, patch)
    assert tokens.shape == (2, 24, 5 * patch**2)
    assert torch.equal(latent_from_tokens(tokens, 4, 6, patch), latent)


def test_patch_channels_are_ordered_channel_row_column() -> None:
    latent = torch.arange(8.0).view(1, 2, 2, 2)
    assert tokens_from_latent(latent, 2).flatten().tolist() == [0, 1, 2, 3, 4, 5, 6, 7]


@pytest.mark.parametrize("patchify", [False, True])
@pytest.mark.parametrize("bits", [8, 24, 64, 100])
def test_replaying_encoded_bits_gives_the_encoder_sum_and_inputs(bits: int, patchify: bool) -> None:
    settings = config(bits, patchify=patchify)
    size = SCHEDULE.latent_size(3, settings.patch)
    features = torch.randn(2, bits, *size, generator=torch.Generator().manual_seed(0))
    encoded = encode_scales(features, settings, SCHEDULE)
    canvas = ResidualCanvas(settings, SCHEDULE, 2)
    inputs = [canvas.add(scale_bits) for scale_bits in encoded.bits]
    assert inputs[-1] is None
    assert torch.equal(torch.cat(inputs[:-1], 1), encoded.inputs_BLD)  # type: ignore[arg-type]
    assert torch.equal(canvas.latent_Bdyx, encoded.latent_Bdyx)
    assert encoded.labels_BLD.shape == (2, SCHEDULE.total_tokens, settings.bits_per_token)


def test_more_scales_explain_more_of_the_features() -> None:
    settings = config(32)
    features = torch.nn.functional.normalize(torch.randn(4, 32, 4, 6), dim=1)
    encoded = encode_scales(features, settings, SCHEDULE)
    canvas = ResidualCanvas(settings, SCHEDULE, 4)
    errors = []
    for bits in encoded.bits:
        canvas.add(bits)
        errors.append((features - canvas.latent_Bdyx).square().mean().item())
    assert errors[-1] == min(errors)


def test_flips_change_later_labels_but_not_their_own() -> None:
    settings = config()
    features = torch.randn(1, 16, 4, 6, generator=torch.Generator().manual_seed(1))
    clean = encode_scales(features, settings, SCHEDULE)
    flipped = encode_scales(
        features, settings, SCHEDULE, lambda i, bits: torch.ones_like(bits) if i == 0 else None
    )
    assert torch.equal(flipped.bits[0], clean.bits[0])
    assert not torch.equal(flipped.labels_BLD, clean.labels_BLD)


def test_canvas_refuses_bits_of_another_shape_and_a_scale_too_many() -> None:
    canvas = ResidualCanvas(config(), ScaleSchedule([(1, 1)]), 1)
    with pytest.raises(ValueError, match="do not fit scale 0"):
        canvas.add(torch.ones(1, 2, 16, dtype=torch.bool))
    canvas.add(torch.ones(1, 1, 16, dtype=torch.bool))
    with pytest.raises(ValueError, match="every scale"):
        canvas.add(torch.ones(1, 1, 16, dtype=torch.bool))


@pytest.mark.parametrize(
    ("changes", "stride"),
    [
        ({"channel_multipliers": (1, 1, 1, 1)}, 8),
        ({"channel_multipliers": (1, 1, 1, 1, 1)}, 16),
        ({"channel_multipliers": (1, 2, 2), "stem_patch": 4}, 16),
        ({"channel_multipliers": (1, 2), "stem_patch": 8, "refine_blocks": 2}, 16),
        ({"channel_multipliers": (1, 1, 1, 1), "patchify": True}, 8),
    ],
)
def test_tokenizer_shapes_follow_the_stride(changes: dict[str, object], stride: int) -> None:
    settings = config(8, **changes)
    schedule = ScaleSchedule([(1, 1), (2, 3)])
    tokenizer = Tokenizer(settings)
    assert settings.stride == stride
    image = torch.rand(1, 3, *schedule.image_size(settings.token_pixels)) * 2 - 1
    with torch.inference_mode():
        encoded = tokenizer.encode(image, schedule)
        full = tokenizer.reconstruct(image, schedule)
    canvas = ResidualCanvas(settings, schedule, 1)
    for bits in encoded.bits:
        canvas.add(bits)
    assert full.shape == image.shape
    assert full.min() >= -1 and full.max() <= 1
    torch.testing.assert_close(tokenizer.decode(canvas.latent_Bdyx).detach(), full)


def test_tokenizer_refuses_a_picture_of_another_size() -> None:
    with pytest.raises(ValueError, match="8x12 pixels"):
        Tokenizer(config(8)).encode(torch.zeros(1, 3, 8, 8), SCHEDULE)


@pytest.mark.parametrize(
    "changes",
    [
        {"bits": 0}, {"base_channels": 40}, {"channel_multipliers": ()}, {"stem_patch": True},
        {"refine_blocks": -1, "stem_patch": 4}, {"refine_blocks": 1, "stem_patch": 6},
        {"refine_blocks": 1, "stem_patch": 4, "refine_channels": 40},
    ],
)  # fmt: skip
def test_tokenizer_config_refuses_what_cannot_be_built(changes: dict[str, object]) -> None:
    with pytest.raises(CheckpointError, match="TokenizerConfig"):
        TokenizerConfig(**{"bits": 8, **changes})  # type: ignore[arg-type]


def test_config_names_the_nearest_setting() -> None:
    with pytest.raises(CheckpointError, match="did you mean 'patchify'"):
        TokenizerConfig.from_dict({"bits": 8, "patchfy": True})
