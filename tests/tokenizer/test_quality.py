import io
import math

import numpy as np
import pytest
from PIL import Image

from infinity.tokenizer.compression import FORMATS, Compressor
from infinity.tokenizer.quality import C1, psnr, ssim

DOWN, ACROSS = np.mgrid[:40, :50]
PATTERN = np.stack([ACROSS * 5 % 256, (DOWN * 6 + ACROSS) % 256, DOWN * ACROSS % 256], -1).astype(
    np.uint8
)


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        (PATTERN, 1.0),
        (np.roll(PATTERN, 1, axis=1), 0.8632205545431749),
        (PATTERN // 16 * 16, 0.9318357161094172),
        (255 - PATTERN, -0.4818180427756993),
    ],
    ids=["equal", "moved", "coarse", "inverted"],
)
def test_ssim_is_scikit_images(other, expected):
    """structural_similarity of 0.26.0: gaussian_weights, sigma 1.5, use_sample_covariance=False,
    data_range 255, channel_axis 2."""
    found = ssim(Image.fromarray(PATTERN), Image.fromarray(other))
    assert found == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("size", [(1, 1), (3, 20), (64, 11)])
def test_ssim_of_plain_pictures_is_that_of_their_means(size):
    light, dark = Image.new("RGB", size, (200,) * 3), Image.new("RGB", size, (50,) * 3)
    expected = (2 * 200 * 50 + C1) / (200**2 + 50**2 + C1)
    assert ssim(light, dark) == pytest.approx(expected, abs=1e-9)


def test_psnr_of_one_level_and_of_none():
    gray, lighter = Image.new("RGB", (9, 9), (9,) * 3), Image.new("RGB", (9, 9), (10,) * 3)
    assert psnr(gray, lighter) == pytest.approx(20 * math.log10(255))
    assert psnr(gray, gray) == math.inf


@pytest.mark.parametrize("format", FORMATS)
def test_file_is_the_best_that_is_small_enough(format):
    compressor = Compressor(Image.fromarray(PATTERN), format)
    for budget in (compressor.smallest, 1000, 2000, 10**6):
        found = compressor.within(budget)
        assert found is not None and len(found.data) <= budget
        better = Compressor(Image.fromarray(PATTERN), format)
        sizes = [len(better._file(q)) for q in range(found.quality + 1, 101)]
        assert not sizes or sizes[0] > budget
    with Image.open(io.BytesIO(found.data)) as again:
        assert found.quality == 100 and again.format == format.upper()
        assert found.psnr == psnr(Image.fromarray(PATTERN), again) > 20
    assert compressor.within(compressor.smallest - 1) is None
