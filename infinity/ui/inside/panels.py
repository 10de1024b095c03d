"""The Inside tab's two panels: the bits of a token, and what a flipped bit did."""

from collections.abc import Sequence
from html import escape

import numpy as np
from PIL import Image

from infinity.inside import maps
from infinity.inside.flip import Place
from infinity.inside.maps import KINDS
from infinity.inside.reading import Inspection
from infinity.ui.generate.view import preview_uri
from infinity.ui.inside.view import PICTURE_PIXELS, described, legend_html, map_uri, pixels_uri
from infinity.ui.shared.files import FinishedRun, address

MOST_WORDS = 4


def place_words(inspection: Inspection, place: Place) -> str:
    """``Scale 5 of 7, row 3, column 4``."""
    of = len(inspection.scales)
    return f"Scale {place.scale + 1} of {of}, row {place.row + 1}, column {place.column + 1}"


def token_html(place: Place, inspection: Inspection, other: Inspection | None = None) -> str:
    """A token's numbers and its bits, each a button that flips it.

    Args:
        other: the picture beside it, whose bits are told too.

    Raises:
        RequestError: a place that the picture does not have.
    """
    place.check(inspection.scales, inspection.bits_per_token)
    scale, token = inspection.scales[place.scale], place.token(inspection.scales)
    facts = {
        "entropy": maps.entropy(scale),
        "confidence": maps.confidence(scale),
        "likelihood": maps.likelihood(scale),
        "prompt": maps.prompt_effect(scale),
    }
    rows = [
        (KINDS[name].title, KINDS[name].shown(values[place.row, place.column]), KINDS[name].unit)
        for name, values in facts.items()
    ]
    if looked := _looked_at(inspection, place):
        rows.append(("Looked at", looked, "share of the attention to the prompt"))
    told = "".join(
        f"<div><dt>{escape(title)}</dt><dd><b>{escape(value)}</b> <span>{escape(unit)}</span></dd></div>"
        for title, value, unit in rows
    )
    theirs = None if other is None else other.scales[place.scale].bits_lD[token]
    bits = "".join(
        _bit_html(number, bool(bit), float(p), None if theirs is None else bool(theirs[number]))
        for number, (bit, p) in enumerate(
            zip(scale.bits_lD[token], scale.probability_lD[token], strict=True)
        )
    )
    at = f'data-scale="{place.scale}" data-row="{place.row}" data-column="{place.column}"'
    return (
        f'<section class="token" aria-label="Token" {at}><header><h3>{place_words(inspection, place)}'
        f'</h3><button type="button" class="plain-button" data-do="sort" aria-pressed="false">Least '
        f"sure first</button></header><dl>{told}</dl>"
        '<p class="about">A bar goes right where the model favored + (1), left where it favored − (0); it '
        "is red where the other was drawn. Press a bit to flip it.</p>"
        f"<ol>{bits}</ol></section>"
    )


def flip_html(
    inspection: Inspection,
    place: Place,
    pictures: Sequence[Image.Image],
    runs: Sequence[FinishedRun],
    changed: Sequence[np.ndarray],
) -> str:
    """What one bit did.

    Args:
        pictures: as it is; the bit flipped alone; the scales after it drawn on, with the flip and without.
        runs: the saved pictures of the second and the third.
        changed: per scale, how many of a token's bits differ between the last two.
    """
    before, alone, answered, unanswered = pictures
    differences = [maps.added(before, alone), maps.added(unanswered, answered)]
    limits, bits = KINDS["added"].limits(differences), inspection.bits_per_token
    shares = [changed_hw / bits for changed_hw in changed]
    among = KINDS["differs"].limits(shares)
    names = (
        (
            "This bit flipped, all others kept",
            "The scales before the flip and its own are all kept.",
        ),
        ("The later scales answer", "Drawn on from the flipped bit with the picture’s seed."),
    )
    figures = _figure(before, "The picture", "")
    for (name, about), picture, difference, run in zip(
        names, (alone, answered), differences, runs, strict=True
    ):
        (path,) = run.files
        figures += _figure(
            picture,
            name,
            f'<img class="map" src="{pixels_uri(difference, limits)}" '
            f'alt="What it changed: {escape(described("added", difference), quote=True)}">'
            f'<a class="plain-button" href="{escape(address(path), quote=True)}" '
            f'download="{escape(path.name, quote=True)}" title="{about} The PNG carries its request">'
            "Download PNG</a>",
        )
    was_lD = inspection.scales[place.scale].bits_lD
    sign = "+ to −" if was_lD[place.token(inspection.scales), place.bit] else "− to +"
    thumbs = "".join(
        f'<li><img class="map" src="{map_uri(values, "differs", among)}" alt="">'
        f"<span>Scale {number}</span><b>{count:,} of {values.size * bits:,}</b></li>"
        for number, (values, count) in enumerate(
            zip(shares, (int(each.sum()) for each in changed), strict=True), 1
        )
    )
    return (
        f'<section class="flip" aria-label="What the flipped bit did"><header><h3>Bit {place.bit + 1} of '
        f"scale {place.scale + 1}, row {place.row + 1}, column {place.column + 1}: from {sign}</h3>"
        '<button type="button" class="plain-button" data-do="compare">Lay the answer beside the picture'
        f'</button></header><div class="figures">{figures}</div>{legend_html("added", limits)}'
        f'<h4>Bits that the later scales answered otherwise</h4><ol class="changed">{thumbs}</ol>'
        f"{legend_html('differs', among)}</section>"
    )


def _figure(picture: Image.Image, name: str, more: str) -> str:
    source = preview_uri(picture, PICTURE_PIXELS)
    return (
        f'<figure><figcaption>{name}</figcaption><img src="{source}" alt="{name}">{more}</figure>'
    )


def _bit_html(number: int, bit: bool, probability: float, other: bool | None) -> str:
    """One bit as a button: its sign, its bar, the probability of what is there."""
    likelihood = probability if bit else 1 - probability
    reach = 100 * (probability - 0.5)
    bar = f"left:{50 + min(reach, 0):.1f}%;width:{abs(reach):.1f}%"
    surprising = " is-surprising" if likelihood < 0.5 else ""
    sign = "+" if bit else "−"
    beside = "" if other is None else f"; beside it {'+' if other else '−'}"
    mark = "" if other is None or other == bit else '<em title="differs beside">≠</em>'
    return (
        f'<li data-sure="{likelihood:.4f}"><button type="button" data-do="flip" data-bit="{number}" '
        f'aria-label="Bit {number + 1} is {sign}, probability {likelihood:.2f}{beside}: flip it" '
        f'class="bit{surprising}"><span>{number + 1}</span><b>{sign}</b>'
        f'<span class="bar"><i style="{bar}"></i></span><span>{likelihood:.2f}</span>{mark}</button></li>'
    )


def _looked_at(inspection: Inspection, place: Place) -> str:
    """The words of the prompt that a token looked at most."""
    scale, token = inspection.scales[place.scale], place.token(inspection.scales)
    shares = [
        (float(scale.attention_Tl[list(tokens), token].sum()), word.text)
        for word in inspection.words
        if (tokens := word.tokens[place.scale])
    ]
    most = sorted(shares, reverse=True)[:MOST_WORDS]
    return ", ".join(f"{word} {share:.2f}" for share, word in most)
