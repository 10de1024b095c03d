"""Every mode, depth and color profile becomes 8 bits in sRGB, or is refused in one sentence."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

from infinity.errors import RequestError
from infinity.images import open_image, rgb
from tests.test_images import noise


def read(data: bytes) -> Image.Image:
    return open_image(io.BytesIO(data), "it")


def first_row(image: Image.Image) -> list:
    pixels = np.asarray(rgb(image))[0]
    return pixels[:, 0].tolist()


def tiff(data: bytes, width: int, *, bits: int, kind: int = 1, white: int = 1) -> bytes:
    """One row of greyscale; ``kind``: 1 unsigned, 2 signed, 3 floating; ``white`` 0: zero is white."""
    tags = {256: width, 257: 1, 258: bits, 259: 1, 262: white, 273: 8, 277: 1, 278: 1}
    tags |= {279: len(data), 339: kind}
    entries = b"".join(struct.pack("<HHIHH", tag, 3, 1, value, 0) for tag, value in tags.items())
    head = b"II*\0" + struct.pack("<I", 8 + len(data))
    return head + data + struct.pack("<H", len(tags)) + entries + b"\0" * 4


def png(row: bytes, width: int, bits: int, kind: int, *chunks: tuple[bytes, bytes]) -> bytes:
    """One row; ``kind``: 0 greyscale, 2 RGB, 4 greyscale with alpha."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, 1, bits, kind, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(b"\0" + row)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(chunk(*each) for each in chunks) + body


@pytest.mark.parametrize("suffix", ["PNG", "TIFF", "JPEG2000"])
def test_sixteen_bits_are_scaled_and_not_clipped(suffix):
    file = io.BytesIO()
    Image.fromarray(np.array([[0, 257, 32896, 65535]], np.uint16)).save(file, suffix)
    assert first_row(read(file.getvalue())) == [0, 1, 128, 255]


@pytest.mark.parametrize("mode", ["I;16", "I;16L", "I;16B", "I;16N", "I"])
def test_sixteen_bits_in_every_byte_order(mode):
    image = Image.new(mode, (2, 1))
    image.putpixel((1, 0), 65535)
    image.putpixel((0, 0), 257 * 77)
    assert first_row(image) == [77, 255]


def test_depth_and_direction_of_a_tiff_file_are_believed():
    assert first_row(read(tiff(b"\x00\x0f\xff", 2, bits=12))) == [0, 255]
    ends = struct.pack("<HH", 0, 65535)
    assert first_row(read(tiff(ends, 2, bits=16))) == [0, 255]
    assert first_row(read(tiff(ends, 2, bits=16, white=0))) == [255, 0]
    assert first_row(read(tiff(struct.pack("<ff", 0, 1), 2, bits=32, kind=3, white=0))) == [255, 0]


def test_deep_portable_maps_are_scaled_by_their_own_white():
    assert first_row(read(b"P5\n2 1\n1000\n" + struct.pack(">HH", 500, 1000))) == [128, 255]
    assert first_row(read(b"P2\n2 1\n65535\n0 65535\n")) == [0, 255]


def test_floats_from_0_to_1_are_scaled_and_others_refused():
    def floats(*values: float) -> Image.Image:
        return read(tiff(struct.pack(f"<{len(values)}f", *values), len(values), bits=32, kind=3))

    assert first_row(floats(0, 0.5, 1)) == [0, 128, 255]
    for bad in ((0, 255), (-1, 1), (float("nan"), 0), (0, float("inf"))):
        with pytest.raises(RequestError, match="save it with 8 or 16 bits"):
            rgb(floats(*bad))


@pytest.mark.parametrize(
    ("data", "bits", "kind"),
    [
        (struct.pack("<ii", 0, 255), 32, 2),
        (struct.pack("<II", 0, 2**32 - 1), 32, 1),
        (struct.pack("<II", 0, 255), 32, 1),
        (struct.pack("<hh", -5, 5), 16, 2),
        (struct.pack("<bb", -1, 5), 8, 2),
    ],
)
def test_signed_and_wider_numbers_are_refused(data, bits, kind):
    with pytest.raises(RequestError, match=r"save it with 8 or 16 "):
        rgb(read(tiff(data, 2, bits=bits, kind=kind)))


def test_sixteen_bits_a_channel_keep_color_and_transparency():
    color = struct.pack(">HHH", 0x1234, 0x5678, 0x9ABC)
    assert rgb(read(png(color, 1, 16, 2))).getpixel((0, 0)) == (0x12, 0x56, 0x9A)
    assert rgb(read(png(color, 1, 16, 2, (b"tRNS", color)))).getpixel((0, 0)) == (255, 255, 255)
    row = struct.pack(">HH", 1000, 1001)
    assert first_row(read(png(row, 2, 16, 0, (b"tRNS", row[:2])))) == [255, 4]
    assert first_row(read(png(struct.pack(">HHHH", 0, 65535, 0, 0), 2, 16, 4))) == [0, 255]


@pytest.mark.parametrize(
    "mode", ["L", "LA", "P", "PA", "RGB", "RGBA", "RGBa", "CMYK", "1", "HSV", "YCbCr", "LAB"]
)
def test_white_and_red_stay_what_they_are_in_every_mode(mode):
    gray = mode in ("L", "LA", "1")
    for color in ((255, 255, 255), (0, 0, 0) if gray else (255, 0, 0)):
        plain = Image.new("RGB", (2, 2), color)
        if mode == "LAB":
            lab = ImageCms.createProfile("LAB")
            image = ImageCms.profileToProfile(
                plain, ImageCms.createProfile("sRGB"), lab, outputMode="LAB"
            )
        elif mode in ("PA", "RGBa"):
            image = plain.convert("P" if mode == "PA" else "RGBA").convert(mode)
        else:
            image = plain.convert(mode)
        off = np.abs(np.subtract(rgb(image).getpixel((0, 0)), color)).max()
        assert off <= {"LAB": 5, "YCbCr": 1}.get(mode, 0)  # their own steps are that wide


def test_inverted_cmyk_is_read_as_photoshop_means_it(tmp_path):
    Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(tmp_path / "red.jpg", quality=100)
    red, green, blue = rgb(open_image(tmp_path / "red.jpg")).getpixel((4, 4))
    assert red > 250 and green < 5 and blue < 5


def test_palettes_with_transparency_become_white_there(tmp_path):
    image = Image.new("P", (2, 1))
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.putpixel((1, 0), 1)
    image.save(tmp_path / "palette.png", transparency=0)
    shown = rgb(open_image(tmp_path / "palette.png"))
    assert [shown.getpixel((x, 0)) for x in range(2)] == [(255, 255, 255), (0, 0, 255)]


def fixed(*values: float) -> bytes:
    return b"".join(struct.pack(">i", round(value * 65536)) for value in values)


def profile(space: bytes, tags: dict[bytes, bytes], kind: bytes, between: bytes = b"XYZ ") -> bytes:
    """A color profile (ICC 2.2) of these tags."""
    offset, table, data = 128 + 4 + 12 * len(tags), b"", b""
    for name, content in tags.items():
        content += b"\0" * (-len(content) % 4)
        table += name + struct.pack(">II", offset + len(data), len(content))
        data += content
    body = struct.pack(">I", len(tags)) + table + data
    head = struct.pack(">I", 128 + len(body)) + b"\0" * 4 + b"\x02\x20\0\0" + kind + space + between
    head = head.ljust(36, b"\0") + b"acsp" + b"\0" * 28 + fixed(0.9642, 1, 0.8249)
    return head.ljust(128, b"\0") + body


def text(name: bytes) -> bytes:
    return b"desc\0\0\0\0" + struct.pack(">I", len(name) + 1) + name + b"\0" * 79


def xyz(*values: float) -> bytes:
    return b"XYZ \0\0\0\0" + fixed(*values)


def curve(*values: int) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(f">I{len(values)}H", len(values), *values)


SRGB_CURVE = curve(
    *(
        round(65535 * (x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4))
        for x in np.linspace(0, 1, 1024).tolist()
    )
)
WHITE = xyz(0.9642, 1, 0.8249)
P3 = ((0.51512, 0.2412, -0.00105), (0.29198, 0.69225, 0.04189), (0.1571, 0.06657, 0.78407))
SRGB = ((0.43607, 0.22249, 0.01392), (0.38515, 0.71687, 0.09708), (0.14307, 0.06061, 0.7141))


def rgb_profile(primaries: tuple, name: bytes) -> bytes:
    red, green, blue = (xyz(*color) for color in primaries)
    tags = {b"desc": text(name), b"wtpt": WHITE, b"rXYZ": red, b"gXYZ": green, b"bXYZ": blue}
    tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), SRGB_CURVE)
    return profile(b"RGB ", tags, b"mntr")


DISPLAY_P3 = rgb_profile(P3, b"not sRGB")
LINEAR_GRAY = profile(
    b"GRAY", {b"desc": text(b"linear"), b"wtpt": WHITE, b"kTRC": curve()}, b"mntr"
)


def cmyk_profile() -> bytes:
    """Ink of any kind -> black paper, none -> white: a table of two points a channel."""
    ends = struct.pack(">256B", *range(256))
    corners = b"".join(
        bytes((255 if not corner else 0, 128, 128)) for corner in range(16)
    )  # Lab of 8 bits
    matrix = fixed(1, 0, 0, 0, 1, 0, 0, 0, 1)
    table = b"mft1\0\0\0\0" + bytes((4, 3, 2, 0)) + matrix + ends * 4 + corners + ends * 3
    return profile(
        b"CMYK", {b"desc": text(b"ink"), b"wtpt": WHITE, b"A2B0": table}, b"prtr", b"Lab "
    )


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
def test_colors_of_a_wide_profile_become_srgb(tmp_path, mode):
    image = Image.new("RGB", (2, 2), (234, 51, 35))
    image = image.quantize() if mode == "P" else image.convert(mode)
    image.save(tmp_path / "wide.png", icc_profile=DISPLAY_P3)
    shown = rgb(open_image(tmp_path / "wide.png"))
    red, green, blue = shown.getpixel((0, 0))
    assert red >= 254 and green <= 3 and blue <= 3
    assert "icc_profile" not in shown.info
    Image.new(mode, (2, 2), "white").save(tmp_path / "white.png", icc_profile=DISPLAY_P3)
    assert rgb(open_image(tmp_path / "white.png")).getpixel((0, 0)) == (255, 255, 255)


@pytest.mark.parametrize("suffix", ["jpg", "webp", "tiff", "avif"])
def test_profiles_are_found_in_every_format(tmp_path, suffix):
    Image.new("RGB", (16, 16), (234, 51, 35)).save(
        tmp_path / f"wide.{suffix}", icc_profile=DISPLAY_P3, quality=100
    )
    red, green, blue = rgb(open_image(tmp_path / f"wide.{suffix}")).getpixel((8, 8))
    assert red > 250 and green < 12 and blue < 12


def test_transparent_parts_of_a_profiled_picture_become_white_after_it(tmp_path):
    image = Image.new("RGBA", (2, 1), (234, 51, 35, 0))
    image.putpixel((1, 0), (234, 51, 35, 128))
    image.save(tmp_path / "a.png", icc_profile=DISPLAY_P3)
    shown = rgb(open_image(tmp_path / "a.png"))
    assert shown.getpixel((0, 0)) == (255, 255, 255)
    assert np.abs(np.subtract(shown.getpixel((1, 0)), (255, 127, 127))).max() <= 2


def test_grayscale_profiles_are_used_at_every_depth(tmp_path):
    for image in (
        Image.new("L", (2, 2), 55),
        Image.new("LA", (2, 2), (55, 255)),
        Image.fromarray(np.full((2, 2), 55 * 257, np.uint16)),
    ):
        image.save(tmp_path / "grey.png", icc_profile=LINEAR_GRAY)
        assert abs(first_row(open_image(tmp_path / "grey.png"))[0] - 128) <= 2
    wide = Image.new("L", (2, 2), 55)
    wide.info["icc_profile"] = DISPLAY_P3
    assert rgb(wide).getpixel((0, 0)) == (55, 55, 55)


def test_ink_profiles_are_used(tmp_path):
    image = Image.new("CMYK", (8, 8), (0, 255, 255, 0))
    image.save(tmp_path / "ink.tiff", icc_profile=cmyk_profile())
    assert max(rgb(open_image(tmp_path / "ink.tiff")).getpixel((0, 0))) < 5
    Image.new("CMYK", (8, 8)).save(tmp_path / "none.tiff", icc_profile=cmyk_profile())
    assert min(rgb(open_image(tmp_path / "none.tiff")).getpixel((0, 0))) > 250


def test_pictures_in_srgb_keep_their_pixels():
    plain = noise(8, 8)
    builtin = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for same in (builtin, rgb_profile(SRGB, b"whatever")):
        image = plain.copy()
        image.info["icc_profile"] = same
        assert rgb(image).tobytes() == plain.tobytes()


@pytest.mark.parametrize(
    ("mode", "broken"),
    [("RGB", b"damaged"), ("RGB", DISPLAY_P3[:300]), ("RGB", cmyk_profile()), ("RGB", LINEAR_GRAY),
     ("CMYK", DISPLAY_P3)],
)  # fmt: skip
def test_damaged_and_foreign_profiles_are_left_out_and_said(mode, broken, caplog):
    from infinity import colors

    colors._transform.cache_clear()
    colors._fits.cache_clear()
    plain = noise(8, 8).convert(mode)
    image = plain.copy()
    image.info["icc_profile"] = broken
    for _ in range(2):
        assert rgb(image).tobytes() == plain.convert("RGB").tobytes()
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "left out" in caplog.text
