import math
import threading

import pytest
import torch
import torch.nn.functional as F

from infinity.generation.previews import (
    PREVIEW_SHARE,
    QUICK_SECONDS,
    PreviewDecoder,
    exact_scales,
    invented_pictures,
)
from infinity.schedule import schedule_for
from infinity.tokenizer.quantizer import ResidualCanvas
from tests.tiny import PATCHIFY_SPEC, SPEC, tiny_tokenizer

SCHEDULE = SPEC.schedules["1:1"]


def latents(count: int, seed: int = 0) -> torch.Tensor:
    """Sums of random bits at every scale."""
    generator = torch.Generator().manual_seed(seed)
    canvas = ResidualCanvas(SPEC.tokenizer, SCHEDULE, count)
    for scale in SCHEDULE:
        canvas.add(torch.rand(count, scale.tokens, 8, generator=generator) < 0.5)
    return canvas.latent_Bdyx


@pytest.fixture
def tokenizer():
    return tiny_tokenizer()


def error(decoder: PreviewDecoder, tokenizer, latent: torch.Tensor) -> float:
    with torch.inference_mode():
        image = tokenizer.decode(latent)
    sketch = F.interpolate(decoder.decode(latent), size=image.shape[-2:])
    return float((sketch - image).square().mean() / (image - image.mean()).square().mean())


def test_preview_resembles_what_the_whole_decoder_makes(tokenizer):
    decoder = PreviewDecoder(tokenizer)
    for seed in range(4):
        latent = latents(4, seed)
        with torch.inference_mode():
            decoder.learn(latent, tokenizer.decode(latent))
    assert error(decoder, tokenizer, latents(4, 99)) < 0.8


def test_preview_of_a_linear_decoder_is_exact_but_for_the_blur():
    """Where the picture is a linear map of the trunk, least squares finds that map."""

    class Linear:
        config = SPEC.tokenizer

        def trunk(self, latent):
            return latent

    decoder = PreviewDecoder(Linear())  # type: ignore[arg-type]
    mix = torch.randn(12, 8, generator=torch.Generator().manual_seed(0)) * 0.1
    latent = latents(8)

    def decode(latent):
        return F.pixel_shuffle(torch.einsum("pc,bcyx->bpyx", mix, latent) + 0.2, 2).clamp(-1, 1)

    decoder.learn(latent, decode(latent))
    blurred = F.avg_pool2d(F.pad(decode(latent), (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    torch.testing.assert_close(decoder.decode(latent), blurred, atol=0.01, rtol=0)


def test_preparing_fits_once_and_on_few_pictures(tokenizer):
    decoder = PreviewDecoder(tokenizer)
    with pytest.raises(ValueError, match="prepare"):
        decoder.decode(latents(1))
    decoder.prepare(SCHEDULE)
    first = decoder.decode(latents(1))
    assert first.shape == (1, 3, 16, 16)
    decoder.prepare(SCHEDULE)
    assert torch.equal(decoder.decode(latents(1)), first)


def test_large_schedules_are_prepared_with_their_small_scales(tokenizer):
    decoder = PreviewDecoder(tokenizer)
    sizes = []
    decode = tokenizer.decode
    tokenizer.decode = lambda latent: sizes.append(latent.shape[-1]) or decode(latent)
    decoder.prepare(schedule_for("1:1", "1M"))
    assert set(sizes) == {12}


def test_patchified_tokenizer_is_previewed():
    decoder = PreviewDecoder(tiny_tokenizer(PATCHIFY_SPEC))
    decoder.prepare(PATCHIFY_SPEC.schedules["3:2"])
    latent = torch.zeros(2, 4, 12, 18)
    assert decoder.decode(latent).shape == (2, 3, 24, 36)


def test_previews_and_lessons_may_come_from_several_threads(tokenizer):
    decoder = PreviewDecoder(tokenizer)
    latent = latents(2)
    with torch.inference_mode():
        image = tokenizer.decode(latent)
    threads = [threading.Thread(target=decoder.learn, args=(latent, image)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    once = PreviewDecoder(tokenizer)
    for _ in range(8):
        once.learn(latent, image)
    torch.testing.assert_close(decoder.decode(latent), once.decode(latent), atol=1e-4, rtol=0)


@pytest.mark.parametrize("size", [(16, 16), (12, 40), (1, 1)])
def test_invented_pictures_fit_and_are_always_the_same(size):
    pictures = invented_pictures(size)
    assert pictures.shape == (2, 3, *size)
    assert pictures.abs().max() <= 1
    assert torch.equal(pictures, invented_pictures(size))


@pytest.mark.parametrize("decode_s", [0.02, 0.1, 1.0, 10.0])
@pytest.mark.parametrize("sketch_s", [0.0, 0.01, 0.2])
def test_exact_scales_keep_to_the_share(decode_s, sketch_s):
    count = exact_scales(1.0, decode_s, sketch_s, 13)
    assert 0 <= count <= 12
    if count:
        assert count * decode_s + sketch_s <= PREVIEW_SHARE * (1.0 + decode_s) + 1e-9


def test_cheap_decoding_shows_every_scale_wholly():
    assert exact_scales(1.0, 0.001, 0.0, 7) == 6
    assert exact_scales(1.0, 1.0, 0.0, 7) == 0
    assert exact_scales(0.0, QUICK_SECONDS / 6, 1.0, 7) == 6, "whatever their share"
    assert exact_scales(0.0, QUICK_SECONDS / 5, 0.0, 7) == 0


def test_time_of_a_decoding_is_known_before_the_first_picture(tokenizer):
    decoder = PreviewDecoder(tokenizer)
    assert decoder.seconds_a_position == math.inf
    decoder.prepare(SCHEDULE)
    assert 0 < decoder.seconds_a_position < 10
