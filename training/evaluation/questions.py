"""Writes the exam: ``python -m training.evaluation.questions training/prompts/exam_v4.jsonl``.

Its wordings were written apart from the captions' and share none with them (a test reads both). Half
of the pairs and of the colors are such as training never shows.
"""

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from infinity.world.scene import FACINGS, SPOTS
from infinity.world.wording import NUMBERS, article_for
from training.evaluation.casual import CASUAL
from training.world.color import BACKGROUNDS, HUES
from training.world.concepts import CONCEPTS, STYLES, WITHOUT_ARTICLE, plural_of
from training.world.places import PLACES
from training.world.sampling import is_held_out_color, is_held_out_pair, pick

Line = dict[str, Any]

EACH = 48
"""Prompts a category."""
SEED = 17
FRAMES = (
    "I would like to see {}", "please give us {}", "could we get {} here?", "what I need is {}",
    "let there be {}", "my wish: {}", "surprise me with {}", "we are looking for {}",
)  # fmt: skip
RELATIONS = {
    "left of": ("{b} with {a} to its left", "on the left {a}, on the right {b}"),
    "right of": ("{b} with {a} to its right", "on the right {a}, on the left {b}"),
    "above": ("{b} with {a} right over it", "{a} up above {b}"),
    "below": ("{b} with {a} right under it", "{a} down below {b}"),
}
OVERLAPS = {
    "in front of": ("{b} with {a} in front of it", "{a} standing in front of {b}"),
    "behind": ("{b} with {a} behind it", "{a} hiding behind {b}"),
    "on": ("{a} resting on {b}", "{b} with {a} on top of it"),
    "between": ("{b} and {c} with {a} between them", "{a} standing between {b} and {c}"),
}
SIZES = {"tiny": "a teeny tiny {}", "small": "a rather small {}", "big": "a really big {}",
         "huge": "an enormous {}"}  # fmt: skip
WHERE = {"top left": "in the upper left corner", "top": "at the upper edge", "center": "right in the middle",
         "top right": "in the upper right corner", "left": "over on the left side",
         "right": "over on the right side", "bottom left": "in the lower left corner",
         "bottom": "at the lower edge", "bottom right": "in the lower right corner"}  # fmt: skip
LOOKING = ("{} that looks to the {}", "{} turned to the {}", "{} facing towards the {}")
WITHOUT = ("{} without any {}", "{}, but no {}", "{} with no {} around")
PLACED = {
    "meadow": "out on a green meadow", "beach": "on some beach", "night": "in the night",
    "space": "out there in space", "snow": "all in the snow", "mountains": "somewhere in the mountains",
    "desert": "lost in the desert", "underwater": "down underwater", "forest": "inside a forest",
    "city": "right in the city", "sunset": "during a sunset", "sky": "way up in the sky",
    "autumn": "in the autumn time", "party": "at somebody's party", "pond": "next to a pond",
    "garden": "in somebody's garden", "farm": "on somebody's farm", "volcano": "close to a volcano",
    "road": "along the road", "living room": "inside the living room",
    "kitchen": "inside the kitchen", "castle hall": "inside a castle hall",
    "stage": "up there on a stage", "stadium": "inside a stadium",
}  # fmt: skip
COLORED = ("with {} for the background", "and the background should be {}")
FADING = "and the background goes from {} to {}"
STYLED = {
    "3d": ("{}, all in 3D", "{} as 3D art"),
    "cartoon": ("{} as a cartoon", "{} like in a cartoon"),
}


class _Writer:
    """Draws what to ask for; the same each time."""

    def __init__(self) -> None:
        self.rng = np.random.default_rng(SEED)
        self.names = [str(name) for name in self.rng.permutation(list(CONCEPTS))]
        self.next = 0

    def name(self, among: Sequence[str] | None = None) -> str:
        """All in turn, or one of some."""
        if among is not None:
            return pick(self.rng, among)
        self.next += 1
        return self.names[self.next % len(self.names)]

    def pair(self, unseen: bool, among: Sequence[str] | None = None) -> tuple[str, str]:
        while True:
            one, other = self.name(among), self.name(among)
            if one != other and is_held_out_pair(one, other) == unseen:
                return one, other

    def color(self, name: str, unseen: bool) -> str | None:
        """None where a thing has no such color."""
        colors = [
            color
            for color in HUES
            if color != CONCEPTS[name].natural and is_held_out_color(color, name) == unseen
        ]
        return pick(self.rng, colors) if colors else None

    def line(self, tag: str, text: str, *include: Line, **more: Any) -> Line:
        framed = pick(self.rng, FRAMES).format(text)
        return {"tag": tag, "include": include, **more, "prompt": framed}


def a(name: str, color: str = "") -> str:
    """ "an owl", "a red car", "grapes"."""
    phrase = f"{color} {name}".strip()
    return phrase if name in WITHOUT_ARTICLE else f"{article_for(phrase)} {phrase}"


def several(name: str, count: int) -> str:
    return f"{NUMBERS[count]} {plural_of(name)}" if count > 1 else a(name)


def questions() -> Iterator[Line]:
    """Every line of the exam, the same each time."""
    write = _Writer()
    plain = [name for name in CONCEPTS if name not in WITHOUT_ARTICLE]
    colorable = [name for name in plain if CONCEPTS[name].colorable]
    facing = [
        name for name in plain if len({*CONCEPTS[name].faces.values()}) == 1 and name in plain
    ]
    for number in range(EACH):
        unseen = number % 2 == 1
        of_pair = {"unseen": ["pair"]} if unseen else {}
        one = write.name()
        yield write.line("single_object", a(one), {"class": one})
        one, two = write.pair(unseen)
        joint = ("{} together with {} as well", "{} as well as {}", "both {} and {}")[number % 3]
        both = {"class": one}, {"class": two}
        yield write.line("two_object", joint.format(a(one), a(two)), *both, **of_pair)
        one, two = write.pair(unseen)
        third = next(
            name
            for name in iter(write.name, None)
            if name not in (one, two)
            and not is_held_out_pair(one, name)
            and not is_held_out_pair(two, name)
        )
        text = f"{a(one)}, {a(two)} and also {a(third)}"
        yield write.line(
            "three_objects", text, {"class": one}, {"class": two}, {"class": third}, **of_pair
        )
        count, one = number % 6 + 1, write.name(plain)
        exact = {"class": one, "count": count + 1}
        text = f"exactly {NUMBERS[count]} {plural_of(one) if count > 1 else one}"
        yield write.line("counting", text, {"class": one, "count": count}, exclude=[exact])
        (one, two), n, m = write.pair(unseen, plain), number % 3 + 2, number // 3 % 3 + 1
        text = f"{several(one, n)} plus {several(two, m)}"
        groups = {"class": one, "count": n}, {"class": two, "count": m}
        yield write.line("counts", text, *groups, **of_pair)
        yield _colored(write, colorable, unseen)
        one, two = write.pair(unseen, colorable)
        first, second = write.color(one, False), write.color(two, False)
        text = f"{a(one, first or '')} as well as {a(two, second or '')}"
        both = {"class": one, "color": first}, {"class": two, "color": second}
        yield write.line("color_attribution", text, *both, **of_pair)
        yield _related(write, "position", RELATIONS, number, unseen)
        yield _related(write, "overlap", OVERLAPS, number, unseen)
        one, size = write.name(plain), [*SIZES][number % 4]
        yield write.line("size", SIZES[size].format(one), {"class": one, "size": size})
        one, spot = write.name(plain), SPOTS[number % 9]
        yield write.line("spot", f"{a(one)} {WHERE[spot]}", {"class": one, "spot": spot})
        one, side = write.name(facing), FACINGS[number % 2]
        text = LOOKING[number % 3].format(a(one), side)
        yield write.line("facing", text, {"class": one, "facing": side})
        one, two = write.pair(unseen, plain)
        text = WITHOUT[number % 3].format(a(one), plural_of(two))
        yield write.line("negation", text, {"class": one}, exclude=[{"class": two}])
        one, style = write.name(), STYLES[number // 2 % 2]
        text = STYLED[style][number % 2].format(a(one))
        yield write.line("style", text, {"class": one}, style=style)
        yield _placed(write, number)
        one, two = write.pair(unseen)
        ratio = ("3:2", "2:3")[number // 2 % 2]
        both = {"class": one}, {"class": two}
        text = f"{a(one)} and {a(two)}, both of them"
        yield write.line("ratio", text, *both, ratio=ratio, **of_pair)
    for prompt, *things, rest in CASUAL:
        yield {"tag": "casual", "include": things, **rest, "prompt": prompt}


def _colored(write: _Writer, names: Sequence[str], unseen: bool) -> Line:
    while True:
        one = write.name(names)
        if color := write.color(one, unseen):
            text = pick(write.rng, (f"{a(one)} in {color}", f"{a(one)} colored {color}"))
            more = {"unseen": ["colour"]} if unseen else {}
            return write.line("colors", text, {"class": one, "color": color}, **more)


def _related(
    write: _Writer, tag: str, wordings: dict[str, tuple[str, str]], number: int, unseen: bool
) -> Line:
    relation = [*wordings][number // 2 % 4]
    one, two = write.pair(unseen)
    third = next(name for name in iter(write.name, None) if name not in (one, two))
    text = wordings[relation][number // 8 % 2].format(a=a(one), b=a(two), c=a(third))
    things: list[Line] = [{"class": two}, {"class": one, "position": [relation, 0]}]
    if relation == "between":
        things.insert(1, {"class": third})
    return write.line(tag, text, *things, **({"unseen": ["pair"]} if unseen else {}))


def _placed(write: _Writer, number: int) -> Line:
    """In each place, then before colors."""
    one, colors = write.name(), [*BACKGROUNDS]
    if number < len(PLACES):
        scene = [*PLACES][number]
        where = PLACED[scene]
    elif number % 3:
        scene = colors[number % len(colors)]
        where = COLORED[number % 2].format(scene)
    else:
        scene = f"{colors[number % 7]} to {colors[number % 5 + 7]}"
        where = FADING.format(*scene.split(" to "))
    return write.line("scene", f"{a(one)} {where}", {"class": one}, scene=scene)


def main(path: Path) -> None:
    lines = sorted(questions(), key=lambda line: line["tag"] == "casual")
    text = "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines)
    path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
