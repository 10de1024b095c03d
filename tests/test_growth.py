"""How pictures grew, as one file."""

import pytest
from PIL import Image

from infinity.errors import RequestError
from infinity.growth import LAST_FRAMES, MOST_PIXELS, SCALE_FRAMES, save_growth

COLORS = ("red", "blue", (200, 90, 30))


def plain(color, size=(300, 201)):
    return Image.new("RGB", size, color)


def test_video_is_h264_as_browsers_play_it_and_shows_every_scale(tmp_path):
    import av

    scales = [[plain(color, (31, 21))] for color in COLORS[:2]]
    path = save_growth(scales, [plain(COLORS[2])], tmp_path / "new" / "growth.mp4")
    with av.open(str(path)) as file:
        (stream,) = file.streams
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert (stream.width, stream.height) == (300, 200)
        shown = [frame.to_image().getpixel((150, 100)) for frame in file.decode(stream)]
    assert len(shown) == 2 * SCALE_FRAMES + LAST_FRAMES
    expected = [(255, 0, 0)] * SCALE_FRAMES + [(0, 0, 255)] * SCALE_FRAMES
    expected += [COLORS[2]] * LAST_FRAMES
    for found, wanted in zip(shown, expected, strict=True):
        assert found == pytest.approx(wanted, abs=4)
    data = path.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")  # plays before it is wholly there


def test_several_pictures_are_side_by_side(tmp_path):
    four = [plain("red", (600, 400))] * 4
    with Image.open(save_growth([four], four, tmp_path / "growth.webp")) as growth:
        assert growth.size == (MOST_PIXELS, pytest.approx(MOST_PIXELS * 2 / 3, abs=1))


def test_other_files_are_refused(tmp_path):
    with pytest.raises(RequestError, match=r"must end in \.webp, \.gif or \.mp4"):
        save_growth([], [plain("red")], tmp_path / "growth.avi")
