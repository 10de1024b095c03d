"""How pictures grew, as one animated file."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

from PIL import Image

from infinity.errors import RequestError, quoted
from infinity.files import disk_errors

KINDS = ("webp", "gif", "mp4")
FRAMES_A_SECOND = 20
SCALE_FRAMES, LAST_FRAMES = 9, 50
MOST_PIXELS = 1024
"""The longer side of the file."""
VIDEO = {"crf": "17", "preset": "medium", "tune": "stillimage"}
"""Of libx264: hardly worse than the pictures themselves."""


def check_growth(path: Path) -> None:
    """Raises RequestError for a file of another kind than :data:`KINDS`."""
    if path.suffix.lower().lstrip(".") not in KINDS:
        raise RequestError(
            f"{quoted(str(path))} must end in .webp, .gif or .mp4: how a picture grew is an animation."
        )


def save_growth(
    scales: Sequence[Sequence[Image.Image]], finished: Sequence[Image.Image], path: Path
) -> Path:
    """Every scale's pictures and then the finished ones, which stay longer, side by side where there are
    several. A WebP or a GIF begins anew at its end; an MP4 is H.264 as browsers play it, of even sides.

    Args:
        scales: of each one picture a seed, of any size.
        path: its ending says what is written; missing folders are made.

    Raises:
        RequestError: another ending than :data:`KINDS`.
        ResourceError: it cannot be written.
    """
    check_growth(path)
    last = side_by_side(finished)
    frames = [side_by_side(each).resize(last.size, Image.Resampling.BICUBIC) for each in scales]
    frames.append(last)
    lengths = [SCALE_FRAMES] * len(scales) + [LAST_FRAMES]
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix.lower() == ".mp4":
            _save_video(frames, lengths, path)
        else:
            durations = [1000 * length // FRAMES_A_SECOND for length in lengths]
            first, *rest = frames
            first.save(
                path, save_all=True, append_images=rest, duration=durations, loop=0, quality=90
            )
    return path


def side_by_side(pictures: Sequence[Image.Image]) -> Image.Image:
    """One RGB picture of several of one size, in a grid that is about as wide as high; at most
    ``MOST_PIXELS`` a side."""
    columns = next(n for n in range(1, len(pictures) + 1) if n * n >= len(pictures))
    rows = -(-len(pictures) // columns)
    width, height = pictures[0].size
    sheet = Image.new("RGB", (columns * width, rows * height))
    for number, picture in enumerate(pictures):
        row, column = divmod(number, columns)
        sheet.paste(picture.convert("RGB"), (column * width, row * height))
    sheet.thumbnail((MOST_PIXELS, MOST_PIXELS), Image.Resampling.LANCZOS)
    return sheet


def _save_video(frames: Sequence[Image.Image], lengths: Sequence[int], path: Path) -> None:
    """Colors as HD video has them (BT.709), which players assume of H.264 where nothing else is said."""
    import av  # pyrefly: ignore[missing-import] - large, and only needed here
    from av.video.reformatter import (  # pyrefly: ignore[missing-import]
        ColorPrimaries,
        ColorRange,
        Colorspace,
        ColorTrc,
    )

    width, height = (side - side % 2 for side in frames[0].size)
    with av.open(str(path), "w", options={"movflags": "faststart"}) as file:
        stream = file.add_stream("libx264", rate=FRAMES_A_SECOND, options=VIDEO)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.colorspace = Colorspace.ITU709
        stream.codec_context.color_range = ColorRange.MPEG
        stream.codec_context.color_primaries = ColorPrimaries.BT709
        stream.codec_context.color_trc = ColorTrc.BT709
        shown = 0
        for image, length in zip(frames, lengths, strict=True):
            frame = av.VideoFrame.from_image(image.crop((0, 0, width, height)))
            frame = frame.reformat(format="yuv420p", dst_colorspace=Colorspace.ITU709)
            frame.time_base = Fraction(1, FRAMES_A_SECOND)
            for _ in range(length):
                frame.pts, shown = shown, shown + 1
                file.mux(stream.encode(frame))
        file.mux(stream.encode())
