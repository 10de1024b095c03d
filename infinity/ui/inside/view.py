"""What the Inside tab shows: pure functions from what was found in a picture to what the browser draws.

The browser gets small pictures and texts, never arrays: a map has one pixel a token.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np

from infinity.inside import maps
from infinity.inside.drawing import colored
from infinity.inside.maps import KINDS
from infinity.inside.reading import Inspection, Look, Word, word_maps
from infinity.ui.generate.view import preview_uri
from infinity.ui.shared.files import FinishedRun, data_uri
from infinity.ui.shared.status import Status

PICTURE_PIXELS = 512
"""The longer side of a picture so far, and of what a scale added."""
MOST_TITLE = 80


@dataclass(frozen=True)
class InsideView:
    """All that the page shows.

    Attributes:
        viewer, words: of the components of these names; None before the first picture.
        token, flip: HTML.
        run: of the look.
        keys: of its one or two inspections on the shelf.
        drawn: the newest flip's pictures: the bit alone, and with the scales after it.
    """

    status: Status
    viewer: dict[str, Any] | None = None
    words: dict[str, Any] | None = None
    token: str = ""
    flip: str = ""
    run: str = ""
    keys: tuple[str, ...] = ()
    drawn: tuple[FinishedRun, ...] = ()

    @property
    def answer(self) -> str:
        """The path of the newest flip's second picture; "" before the first."""
        return str(self.drawn[1].files[0]) if self.drawn else ""


def viewer_value(run: str, looks: Sequence[Look]) -> dict[str, Any]:
    """One or two pictures and all their maps; two have their colors in common."""
    scales = looks[0].inspection.scales
    found = [_maps(look, *(o.inspection for o in looks if o is not look)) for look in looks]
    sides: list[dict[str, Any]] = [
        {
            "title": look.inspection.request.prompt[:MOST_TITLE],
            "pictures": [preview_uri(picture, PICTURE_PIXELS) for picture in look.pictures],
            "maps": {},
        }
        for look in looks
    ]
    for name in found[0]:
        for side, values in zip(sides, _drawn(name, [each[name] for each in found]), strict=True):
            side["maps"][name] = values
    last = scales[-1]
    return {
        "run": run,
        "aspect": last.width / last.height,
        "kinds": [_kind(name) for name in found[0]],
        "scales": [{"height": scale.height, "width": scale.width} for scale in scales],
        "bits": int(scales[0].bits_lD.shape[1]),
        "sides": sides,
    }


def words_value(
    run: str, inspections: Sequence[Inspection], chosen: int | None = None
) -> dict[str, Any]:
    """The words of the first picture's prompt; of the chosen one its maps on every picture."""
    words = inspections[0].words
    value: dict[str, Any] = {"run": run, "words": [word.text for word in words]}
    if chosen is not None:
        word = words[chosen]
        found = [word_maps(each.scales, _same_word(each, word)) for each in inspections]
        value |= {"kind": _kind("word") | {"title": f"Word: {word.text}"}}
        value |= {"maps": _drawn("word", found)}
    return value


def legend_html(kind: str, limits: tuple[float, float]) -> str:
    """The colors of a map with the numbers at their ends."""
    low, high = (KINDS[kind].shown(value) for value in limits)
    colors = ", ".join(KINDS[kind].colors)
    return (
        f'<p class="map-legend"><span>{low}</span><i style="background:linear-gradient(90deg, {colors})">'
        f"</i><span>{high}</span><span>{escape(KINDS[kind].unit)}</span></p>"
    )


def map_uri(values_hw: np.ndarray, kind: str, limits: tuple[float, float]) -> str:
    """A map as an address, a pixel a number."""
    buffer = io.BytesIO()
    colored(values_hw, limits, KINDS[kind].colors).save(buffer, "png")
    return data_uri(buffer.getvalue(), "png")


def pixels_uri(values_hw: np.ndarray, limits: tuple[float, float]) -> str:
    """A map of a picture's pixels, scaled down as pictures are."""
    return preview_uri(colored(values_hw, limits, KINDS["added"].colors), PICTURE_PIXELS)


def described(kind: str, values_hw: np.ndarray) -> str:
    """A map in words."""
    shown, (height, width) = KINDS[kind].shown, values_hw.shape
    row, column = np.unravel_index(int(values_hw.argmax()), values_hw.shape)
    place = "" if kind == "added" else f" at row {row + 1}, column {column + 1}"
    return (
        f"{height} by {width}, from {shown(values_hw.min())} to {shown(values_hw.max())}{place}; "
        f"mean {shown(values_hw.mean())} {KINDS[kind].unit}"
    )


def _kind(name: str) -> dict[str, Any]:
    kind = KINDS[name]
    return {
        "name": name,
        "title": kind.title,
        "unit": kind.unit,
        "about": kind.about,
        "colors": ", ".join(kind.colors),
    }


def _maps(look: Look, other: Inspection | None = None) -> dict[str, list[np.ndarray]]:
    """Every map of a picture, a list of its scales by name."""
    scales = look.inspection.scales
    found = {
        "added": list(look.added),
        **maps.token_maps(scales),
        "decided": [look.decided_hw] * len(scales),
    }
    if other is not None:
        pairs = zip(scales, other.scales, strict=True)
        found["differs"] = [maps.differing(scale, its) for scale, its in pairs]
    return found


def _drawn(kind: str, sides: Sequence[list[np.ndarray]]) -> list[list[dict[str, str]]]:
    """Maps of one kind, by picture and scale, for the browser. What a scale added has colors of its own
    at each scale; other maps share theirs."""
    shown, every = KINDS[kind].shown, [values for maps in sides for values in maps]
    result: list[list[dict[str, str]]] = [[] for _ in sides]
    for at_scale in zip(*sides, strict=True):
        limits = KINDS[kind].limits(at_scale if kind == "added" else every)
        for side, values in zip(result, at_scale, strict=True):
            address = (
                pixels_uri(values, limits) if kind == "added" else map_uri(values, kind, limits)
            )
            low, high = map(shown, limits)
            side.append(
                {
                    "source": address,
                    "low": low,
                    "high": high,
                    "least": shown(values.min()),
                    "mean": shown(values.mean()),
                    "most": shown(values.max()),
                    "alt": described(kind, values),
                }
            )
    return result


def _same_word(inspection: Inspection, word: Word) -> Word:
    """The word in another prompt; of no tokens where it does not have it."""
    nowhere = Word(word.text, ((),) * len(word.tokens))
    if word in inspection.words:
        return word
    return next((its for its in inspection.words if its.text == word.text), nowhere)
