import io

import numpy as np
import pytest
import torch
from PIL import Image

from infinity.errors import RequestError
from infinity.images import (
    covering,
    image_notes,
    image_size,
    images_from_tensor,
    open_image,
    preprocess,
    rgb,
    tensor_from_image,
)


def noise(height: int, width: int, channels: int = 3) -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, channels), np.uint8)
    return Image.fromarray(pixels)


@pytest.mark.parametrize("size", [(97, 61), (61, 97), (1, 300), (300, 1), (64, 48)])
@pytest.mark.parametrize("target", [(64, 48), (16, 16), (7, 31)])
def test_preprocess_gives_the_target_size_whatever_comes_in(size, target):
    pixels = preprocess(noise(*size), *target)
    assert pixels.shape == (3, *target)
    assert pixels.dtype == torch.float32
    assert -1 <= pixels.min() <= pixels.max() <= 1


def test_picture_of_the_right_size_is_not_resampled():
    image = noise(48, 64)
    assert np.array_equal(np.asarray(covering(image, 48, 64)), np.asarray(image))


def test_wide_picture_loses_its_sides_evenly():
    image = Image.new("RGB", (90, 30), "red")
    image.paste("blue", (30, 0, 60, 30))
    assert covering(image, 30, 30).getcolors() == [(900, (0, 0, 255))]


def test_tensor_round_trip_keeps_pixels_within_the_cut():
    image = noise(9, 7)
    (back,) = images_from_tensor(tensor_from_image(image)[None])
    difference = np.asarray(image).astype(int) - np.asarray(back).astype(int)
    assert set(np.unique(difference)) <= {0, 1}


def test_pixels_are_cut_not_rounded_and_kept_in_range():
    values = torch.tensor([-1.0, 1.0, 0.0, 0.999, -2.0, 2.0]).view(1, 1, 1, 6).expand(1, 3, 1, 6)
    (image,) = images_from_tensor(values)
    assert np.asarray(image)[0, :, 0].tolist() == [0, 255, 127, 254, 0, 255]


def test_half_precision_tensor_gives_a_picture():
    (image,) = images_from_tensor(torch.zeros(1, 3, 2, 2, dtype=torch.bfloat16))
    assert image.mode == "RGB"


def test_transparency_becomes_white():
    assert rgb(Image.new("RGBA", (2, 2), (255, 0, 0, 0))).getpixel((0, 0)) == (255, 255, 255)
    assert rgb(Image.new("LA", (2, 2), (0, 255))).getpixel((0, 0)) == (0, 0, 0)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGBA", "CMYK", "I;16", "F"])
def test_any_mode_becomes_rgb(mode):
    assert rgb(Image.new(mode, (3, 2))).mode == "RGB"


def test_picture_is_turned_as_its_camera_noted(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (4, 2)).save(tmp_path / "turned.jpg", exif=exif)
    assert rgb(open_image(tmp_path / "turned.jpg")).size == (2, 4)
    assert image_size(tmp_path / "turned.jpg") == (4, 2)


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "gif", "bmp", "tiff"])
def test_size_is_read_from_the_head_of_the_file(tmp_path, suffix):
    path = tmp_path / f"picture.{suffix}"
    noise(30, 50).save(path)
    assert image_size(path) == (30, 50)
    with path.open("rb") as file:
        assert image_size(file, "it") == (30, 50)


def test_damage_behind_the_head_is_seen_only_when_decoding(tmp_path):
    noise(64, 64).save(tmp_path / "whole.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "whole.png").read_bytes()[:500])
    assert image_size(tmp_path / "cut.png") == (64, 64)


def test_formats_whose_readers_run_programs_are_refused(tmp_path):
    noise(8, 8).save(tmp_path / "page.eps")
    with pytest.raises(RequestError, match="cannot be read as a picture"):
        open_image(tmp_path / "page.eps")


def test_unreadable_files_are_refused_with_a_sentence(tmp_path):
    with pytest.raises(RequestError, match="There is no picture at"):
        open_image(tmp_path / "none.png")
    with pytest.raises(RequestError, match="is a folder"):
        open_image(tmp_path)
    (tmp_path / "text.png").write_text("hello")
    with pytest.raises(RequestError, match="cannot be read as a picture"):
        open_image(tmp_path / "text.png")
    noise(64, 64).save(tmp_path / "whole.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "whole.png").read_bytes()[:500])
    with pytest.raises(RequestError, match="cannot be read as a picture"):
        open_image(tmp_path / "cut.png")


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_huge_picture_is_refused_before_it_is_decoded(tmp_path):
    Image.new("1", (20_000, 6_000)).save(tmp_path / "huge.png")
    with pytest.raises(RequestError, match="scale it down"):
        open_image(tmp_path / "huge.png")


def test_notes_of_a_large_picture_are_read_without_its_pixels(tmp_path, monkeypatch):
    from PIL import ImageFile, PngImagePlugin

    notes = PngImagePlugin.PngInfo()
    notes.add_itxt("infinity", "{}")
    Image.new("1", (9000, 9000)).save(tmp_path / "large.png", pnginfo=notes)
    Image.new("RGB", (9, 9)).save(tmp_path / "small.png", pnginfo=notes)
    decoded: list[object] = []
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda image, *_: decoded.append(image.size))
    assert image_notes(tmp_path / "large.png").info["infinity"] == "{}"
    assert image_notes(tmp_path / "small.png").info["infinity"] == "{}"
    assert (9000, 9000) not in decoded


@pytest.mark.parametrize("size", [(2, 20_000), (60_000, 2), (2, 60_000), (10, 400)])
def test_long_picture_is_cut_before_it_is_scaled(monkeypatch, size):
    resized: list[tuple[int, int]] = []
    original = Image.Image.resize

    def watched(image, size, *arguments, **options):
        resized.append(size)
        return original(image, size, *arguments, **options)

    monkeypatch.setattr(Image.Image, "resize", watched)
    assert covering(Image.new("RGB", size, "red"), 256, 256).getcolors() == [(65536, (255, 0, 0))]
    assert resized == [(256, 256)]


def test_cut_before_scaling_shows_the_same_part(monkeypatch):
    image = noise(64, 512)
    whole = np.asarray(covering(image, 32, 32)).astype(int)
    monkeypatch.setattr("infinity.images.MOST_CUT", 1)
    assert np.abs(np.asarray(covering(image, 32, 32)).astype(int) - whole).max() <= 1


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "suffix", ["png", "jpg", "webp", "gif", "bmp", "tiff", "avif", "jp2", "ppm"]
)
def test_damaged_files_are_read_or_refused_with_a_sentence(tmp_path, suffix):
    noise(24, 20).save(tmp_path / f"whole.{suffix}")
    whole = (tmp_path / f"whole.{suffix}").read_bytes()
    random = np.random.default_rng(0)
    for _ in range(40):
        damaged = bytearray(whole)
        for place in random.integers(0, len(damaged), 4):
            damaged[place] = random.integers(0, 256)
        try:
            rgb(open_image(io.BytesIO(damaged), "it"))
        except RequestError as error:
            assert str(error).startswith(("it ", "The picture"))


def test_damaged_notes_of_a_camera_are_a_sentence(tmp_path):
    Image.new("RGB", (4, 2)).save(tmp_path / "notes.png", exif=b"garbage")
    with pytest.raises(RequestError, match="cannot be read as a picture"):
        rgb(open_image(tmp_path / "notes.png"))


def test_first_picture_of_an_animation_is_used_and_said(tmp_path, caplog):
    from infinity import images

    images._say_first.cache_clear()
    first, second = (Image.new("RGB", (8, 8), color) for color in ("red", "blue"))
    for suffix in ("gif", "webp", "png", "tiff"):
        path = tmp_path / f"moving.{suffix}"
        options = {"lossless": True} if suffix == "webp" else {}
        first.save(path, save_all=True, append_images=[second], **options)
        assert rgb(open_image(path)).getpixel((4, 4)) == (255, 0, 0)
        rgb(open_image(path))
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 4
    assert said[0] == "of GIF files that hold several pictures, the first is used"
