"""What can be done with a picture: each way's words, its controls, and the task that makes its request."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from PIL import Image

from infinity.edit import tasks
from infinity.edit.files import Picture
from infinity.errors import RequestError, quoted
from infinity.pipeline import InfinityPipeline
from infinity.request import GenerationRequest, chosen_seed, parse_per_scale

Task = Callable[[InfinityPipeline], GenerationRequest]

EDIT, WORDS, VARY, MIX, REPAIR, EXTEND = "edit", "words", "vary", "mix", "repair", "extend"


@dataclass(frozen=True)
class Way:
    """Attributes:
    title: on its button.
    info: what it does, and what to give it.
    done: how a picture of it is called.
    shows: names of the controls that it reads beside the prompt.
    keep_scales: to begin with.
    """

    title: str
    info: str
    done: str
    shows: tuple[str, ...]
    keep_scales: int = 0


MORE = ("guidance", "temperature", "confidence", "negative_prompt")
"""Settings of a request that are the picture's own where they are empty."""
DRAWN = ("branches", "seed", *MORE)
WAYS = {
    EDIT: Way(
        "Edit the marked place",
        "Brush over what is to change, and say what the whole picture shows then. All bits outside stay.",
        "Edited",
        ("keep_scales", "softness", *DRAWN),
    ),
    WORDS: Way(
        "Change by words",
        "Change words of the prompt: the place is found where the model's bits answer to them. For "
        "pictures drawn here.",
        "Changed by words",
        ("keep_scales", "softness", *DRAWN),
    ),
    VARY: Way(
        "Vary",
        "The first scales stay, the finer ones are drawn anew: the fewer stay, the freer.",
        "Varied",
        ("keep_scales", *DRAWN),
        keep_scales=3,
    ),
    MIX: Way(
        "Mix",
        "The first scales of this picture, the finer ones of a second. Nothing is drawn.",
        "Mixed",
        ("second", "keep_scales"),
        keep_scales=3,
    ),
    REPAIR: Way(
        "Repair",
        "Finds bits that the model thinks unlikely and puts them right; where you brushed, or everywhere.",
        "Repaired",
        ("doubt", "rounds"),
    ),
    EXTEND: Way(
        "Extend",
        "Puts the picture in the middle of a wider or taller one and draws what is around it.",
        "Extended",
        ("aspect_ratio", *DRAWN),
    ),
}
CONTROLS = tuple(dict.fromkeys(name for way in WAYS.values() for name in way.shows))


def way_of(name: object) -> Way:
    """Raises RequestError for none of them."""
    if not isinstance(name, str) or name not in WAYS:
        raise RequestError(f"There is no {quoted(name)}; choose what to do with the picture.")
    return WAYS[name]


def settings_of(values: Mapping[str, Any]) -> dict[str, Any]:
    """The request's settings that a way's controls give; those left empty are missing.

    Args:
        values: by the controls' names.

    Raises:
        RequestError: a text that is no number.
    """
    shows = way_of(values["way"]).shows
    given: dict[str, Any] = {"prompt": values["prompt"]}
    if "branches" in shows:
        given |= {"num_images": values["branches"], "seed": chosen_seed(values["seed"])}
    for name in (name for name in MORE if name in shows):
        text = values[name]
        is_number = name != "negative_prompt" and isinstance(text, str) and text.strip()
        given[name] = parse_per_scale(text) if is_number else text
    return {name: value for name, value in given.items() if value not in ("", None)}


def task_of(
    values: Mapping[str, Any],
    given: Mapping[str, Any],
    picture: Image.Image,
    mask: Image.Image | None,
    second: Picture | None,
) -> Task:
    """What makes the request.

    Args:
        values, given: what :func:`settings_of` takes and returns.
        mask: None where nothing was brushed.
        second: for a mix.

    Raises:
        RequestError: something is missing, in one sentence that says what to do.
    """
    way = values["way"]
    kept = {"keep_scales": values["keep_scales"]}
    if way == VARY:
        return partial(tasks.vary, image=picture, **kept, **given)
    if way == MIX:
        if second is None:
            raise RequestError("Choose the second picture, whose finer scales are taken.")
        return partial(tasks.mix, coarse=picture, fine=second, **kept)
    if way == REPAIR:
        how = {"doubt": values["doubt"], "rounds": values["rounds"]}
        return partial(tasks.repair, image=picture, area=mask, **how, **given)
    if way == EXTEND:
        ratio = values["aspect_ratio"]
        return partial(tasks.extend, image=picture, aspect_ratio=ratio, **given)
    if way == EDIT and mask is None:
        raise RequestError(
            f"Brush over what is to change first; or choose “{WAYS[WORDS].title}”, which finds it."
        )
    area = mask if way == EDIT else None
    soft = kept | {"softness": values["softness"]}
    return partial(tasks.edit, image=picture, area=area, **soft, **given)
