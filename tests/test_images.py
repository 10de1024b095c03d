import struct

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms

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


@pytest.mark.parametrize("suffix", ["png", "tiff"])
def test_sixteen_bits_are_scaled_and_not_clipped(tmp_path, suffix):
    values = np.array([[0, 257, 32896, 65535]], dtype=np.uint16)
    path = tmp_path / f"deep.{suffix}"
    Image.fromarray(values).save(path)
    assert np.asarray(rgb(open_image(path)))[0, :, 0].tolist() == [0, 1, 128, 255]


def test_integers_and_floats_are_scaled_or_refused(tmp_path):
    def read(values: list[float], kind: type) -> list[int]:
        Image.fromarray(np.array([values], dtype=kind)).save(tmp_path / "x.tiff")
        return np.asarray(rgb(open_image(tmp_path / "x.tiff")))[0, :, 0].tolist()

    assert read([0.0, 0.5, 1.0], np.float32) == [0, 128, 255]
    assert read([0, 65535], np.int32) == [0, 255]
    for bad, kind in (
        ([0.0, 255.0], np.float32), ([-1.0, 1.0], np.float32), ([float("nan"), 0.0], np.float32),
        ([0.0, float("inf")], np.float32), ([-1, 5], np.int32), ([0, 70000], np.int32),
    ):  # fmt: skip
        with pytest.raises(RequestError, match="save it with 8 or 16 bits"):
            read(bad, kind)


@pytest.mark.parametrize(
    "mode", ["L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "1", "HSV", "YCbCr", "LAB"]
)
def test_white_stays_white_in_every_mode(mode):
    white = Image.new("RGB", (2, 2), "white")
    if mode == "LAB":
        image = Image.new("LAB", (2, 2), (255, 128, 128))
    elif mode == "PA":
        image = white.convert("P").convert("PA")
    else:
        image = white.convert(mode)
    assert min(rgb(image).getpixel((0, 0))) >= 254  # LAB's own white is rounded


def display_p3() -> bytes:
    """A matrix profile with Display P3's primaries (D50-adapted) and gamma 2.2, written by hand."""

    def fixed(value: float) -> bytes:
        return struct.pack(">i", round(value * 65536))

    def xyz(*values: float) -> bytes:
        return b"XYZ \0\0\0\0" + b"".join(map(fixed, values))

    text = b"desc\0\0\0\0" + struct.pack(">I", 8) + b"Wide P3\0" + b"\0" * 78
    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(2.2 * 256)) + b"\0\0"
    tags = {
        b"desc": text, b"wtpt": xyz(0.9642, 1, 0.8249), b"rXYZ": xyz(0.51512, 0.2412, -0.00105),
        b"gXYZ": xyz(0.29198, 0.69225, 0.04189), b"bXYZ": xyz(0.1571, 0.06657, 0.78407),
        b"rTRC": curve, b"gTRC": curve, b"bTRC": curve,
    }  # fmt: skip
    offset, table, data = 128 + 4 + 12 * len(tags), b"", b""
    for name, content in tags.items():
        content += b"\0" * (-len(content) % 4)
        table += name + struct.pack(">II", offset + len(data), len(content))
        data += content
    body = struct.pack(">I", len(tags)) + table + data
    head = struct.pack(
        ">I4s4s4s4s4s", 128 + len(body), b"\0" * 4, b"\x02\x20\0\0", b"mntr", b"RGB ", b"XYZ "
    )
    head = head.ljust(36, b"\0") + b"acsp" + b"\0" * 28 + fixed(0.9642) + fixed(1) + fixed(0.8249)
    return head.ljust(128, b"\0") + body


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_colors_of_a_wide_profile_become_srgb(tmp_path, mode):
    image = Image.new("RGB", (2, 2), (234, 51, 35)).convert(mode)
    image.save(tmp_path / "wide.png", icc_profile=display_p3())
    red, green, blue = rgb(open_image(tmp_path / "wide.png")).getpixel((0, 0))
    assert red >= 253 and green <= 8 and blue <= 8
    white = Image.new(mode, (2, 2), "white")
    white.save(tmp_path / "white.png", icc_profile=display_p3())
    assert rgb(open_image(tmp_path / "white.png")).getpixel((0, 0)) == (255, 255, 255)


def test_srgb_and_damaged_profiles_leave_the_pixels_as_they_are(caplog):
    plain = noise(8, 8)
    for profile in (ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(), b"damaged"):
        image = plain.copy()
        image.info["icc_profile"] = profile
        assert rgb(image).tobytes() == plain.tobytes()
    assert "color profile is left out" in caplog.text


@pytest.mark.parametrize("size", [(2, 20_000), (60_000, 2)])
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
    monkeypatch.setattr("infinity.images.MAX_PIXELS", 10)
    assert np.abs(np.asarray(covering(image, 32, 32)).astype(int) - whole).max() <= 1
