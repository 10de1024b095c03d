"""What the Tokenizer tab shows: pure functions from a model and a measured picture to HTML."""

import io
import math
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path

from PIL import Image

from infinity.schedule import ScaleSchedule
from infinity.spec import ModelSpec
from infinity.tokenizer.compression import FORMATS, Compressed
from infinity.tokenizer.reconstruction import ReconstructedScale
from infinity.ui.shared.files import address, data_uri
from infinity.ui.shared.status import Status

EMPTY = (
    '<p class="about">Every picture is a sum of scales, coarse to fine, of bits alone. Choose one to see '
    "what each scale adds, and what JPEG and WebP make of as many bytes.</p>"
)
ABOUT_FIGURES = (
    "PSNR in decibels and SSIM against the original. JPEG and WebP: the best quality whose file has no "
    "more bytes than the bits; – where no file is as small. Press a figure to see its picture."
)
THUMB_PIXELS = 112
PICTURE = "png"
TITLES = {PICTURE: "Bits", "jpeg": "JPEG", "webp": "WebP"}
ORDERS = ("", " thousand", " million", " billion", " trillion", " quadrillion", " quintillion")


@dataclass(frozen=True)
class ShownScale:
    """A measured scale, its files by "png" and the other formats, and a small picture of it."""

    measured: ReconstructedScale
    files: Mapping[str, Path]
    thumb: str


@dataclass(frozen=True)
class TokenizerView:
    """All that the tab shows of one run.

    Attributes:
        picture: what is rebuilt.
        count: how many scales there will be.
        original: the picture as it was encoded.
        bits: the file of its bits, and what to call them.
        png: of bits that were opened, their picture.
    """

    status: Status
    picture: Path
    count: int = 0
    scales: tuple[ShownScale, ...] = ()
    original: Path | None = None
    bits: Path | None = None
    said: str = ""
    png: Path | None = None


def thumb_of(image: Image.Image) -> str:
    """A small copy as an address."""
    small, stream = image.copy(), io.BytesIO()
    small.thumbnail((THUMB_PIXELS, THUMB_PIXELS), Image.Resampling.BOX)
    small.save(stream, "webp", quality=80)
    return data_uri(stream.getvalue(), "webp")


def vocabulary_html(spec: ModelSpec) -> str:
    """What a token of a model's tokenizer can be, written out, and what that means."""
    tokenizer, width = spec.tokenizer, spec.transformer.width
    bits, schedule = tokenizer.bits_per_token, spec.schedule(spec.aspect_ratios[0])
    patches = f" (2 × 2 patches of {tokenizer.bits})" if tokenizer.patchify else ""
    entries = 2**bits
    facts = {
        "Bits a token": f"{bits}{patches}",
        "Vocabulary": f"2<sup>{bits}</sup> = {entries:,} entries",
        "A classifier over it": f"{width:,} × {entries:,} = {_rounded(width * entries)} weights",
        "Bit by bit": f"{width:,} × 2 × {bits} = {width * 2 * bits:,} weights",
        f"A picture of {spec.aspect_ratios[0]}": _size(schedule, bits),
    }
    rows = "".join(f"<dt>{name}</dt><dd>{value}</dd>" for name, value in facts.items())
    return f'<dl class="facts vocabulary">{rows}</dl>'


def strip_html(view: TokenizerView) -> str:
    """The picture after every scale, each to be pressed, and the file of its bits."""
    if not view.scales:
        return EMPTY
    cards = "".join(_card(number, one) for number, one in enumerate(view.scales, 1))
    gaps = '<li class="gap"></li>' * (view.count - len(view.scales))
    return (
        f'<ol class="scale-strip" style="--count:{view.count}">{cards}{gaps}</ol>{_downloads(view)}'
    )


def table_html(view: TokenizerView) -> str:
    """The figures of every scale, each to be pressed."""
    if not view.scales:
        return ""
    columns = ("Tokens", "Bits so far", "Bytes", *TITLES.values())
    heads = "".join(f'<th scope="col">{title}</th>' for title in columns)
    rows = "".join(_row(number, one) for number, one in enumerate(view.scales, 1))
    return (
        '<div class="facts scale-table" tabindex="0" role="region" aria-label="Figures"><table><thead><tr>'
        f'{heads}</tr></thead><tbody>{rows}</tbody></table></div><p class="about">{ABOUT_FIGURES}</p>'
    )


def caption(one: ShownScale, format: str) -> str:
    """What stands on the right of the slider."""
    scale = one.measured.scale
    if format == PICTURE:
        return f"Original, and after scale {scale.width} × {scale.height}"
    return f"Original, and {TITLES[format]} of quality {_of(one, format).quality}"


def _of(one: ShownScale, format: str) -> Compressed:
    found = one.measured.others[format]
    assert found is not None, "only what there is can be pressed"
    return found


def _card(number: int, one: ShownScale) -> str:
    scale = one.measured.scale
    size = f"{scale.width} × {scale.height}"
    return (
        f'<li><button type="button" data-scale="{number}" data-format="{PICTURE}" '
        f'aria-label="After scale {size}"><img src="{one.thumb}" alt=""><span>{size}</span></button></li>'
    )


def _row(number: int, one: ShownScale) -> str:
    measured = one.measured
    cells = _cell(number, PICTURE, measured) + "".join(
        _cell(number, format, measured.others[format]) for format in FORMATS
    )
    return (
        f'<tr><th scope="row">{measured.scale.width} × {measured.scale.height}</th>'
        f"<td>{measured.bits:,}</td><td>{measured.nbytes:,}</td>{cells}</tr>"
    )


def _cell(number: int, format: str, measured: ReconstructedScale | Compressed | None) -> str:
    if measured is None:
        return "<td>–</td>"
    decibels = "equal" if math.isinf(measured.psnr) else f"{measured.psnr:.1f} dB"
    return (
        f'<td><button type="button" data-scale="{number}" data-format="{format}">{decibels}'
        f"<small>{measured.ssim:.3f}</small></button></td>"
    )


def _downloads(view: TokenizerView) -> str:
    parts = [
        (view.bits, f"Download {view.said}"),
        (view.png, "Download the picture as a PNG"),
    ]
    return "".join(
        f'<p><a class="plain-button" href="{escape(address(path), quote=True)}" download="{path.name}">'
        f"{said} ({path.stat().st_size:,} bytes)</a></p>"
        for path, said in parts
        if path is not None and path.is_file()
    )


def _size(schedule: ScaleSchedule, bits: int) -> str:
    total = schedule.total_tokens * bits
    return f"{schedule.total_tokens:,} tokens × {bits} = {total:,} bits, {-(-total // 8):,} bytes"


def _rounded(number: int) -> str:
    """``2_199_023_255_552`` -> "2.2 trillion"."""
    order = min((len(str(number)) - 1) // 3, len(ORDERS) - 1)
    return f"{number / 1000**order:,.1f}{ORDERS[order]}"
