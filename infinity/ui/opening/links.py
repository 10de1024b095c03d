"""A request as a link: settings in the page's address, and back.

The link says all in plain words (``?prompt=a+red+apple&seed=7&guidance=3``), so that it can be read
before it is opened, works on any server with the same model, and needs nothing kept anywhere.
Opening one fills in the controls and draws nothing.
"""

from collections.abc import Iterable
from dataclasses import fields
from urllib.parse import urlencode

from infinity.errors import RequestError, nearest
from infinity.request import GenerationRequest, parse_per_scale

MOST_CHARACTERS = 8000
"""Of a link's settings: longer addresses are cut off by some servers and programs on the way."""

NAMES = ("model", *(field.name for field in fields(GenerationRequest)))
_TEXTS = ("prompt", "negative_prompt", "aspect_ratio")
_WHOLE = ("seed", "num_images", "top_k", "guided_scales")


def link_query(model: str, request: GenerationRequest) -> str:
    """The part of the link behind its ``?``.

    Raises:
        RequestError: the prompts are too long for a link.
    """
    settings = {"model": model}
    for name, value in request.to_dict().items():
        if value != "" or name == "prompt":
            settings[name] = ",".join(map(repr, value)) if isinstance(value, list) else str(value)
    query = urlencode(settings)
    if len(query) > MOST_CHARACTERS:
        raise RequestError(
            "The prompts are too long for a link; share the PNG itself, which carries its settings."
        )
    return query


def read_link(pairs: Iterable[tuple[str, str]]) -> tuple[str | None, GenerationRequest] | None:
    """(model if named, request) of an address's settings; None where there are none of ours.

    Raises:
        RequestError: a value that is none, or settings that are misspelt, repeated or too long.
    """
    found: dict[str, str] = {}
    for name, text in pairs:
        if name not in NAMES:
            if near := nearest(name, NAMES, cutoff=0.8):
                raise RequestError(f"The link has a setting {name[:40]!r}; did it mean {near!r}?")
            continue  # an address may carry words for others: the theme, where a visitor came from
        if name in found:
            raise RequestError(f"The link says {name!r} twice; keep one.")
        found[name] = text
    if not found:
        return None
    if sum(map(len, found.values())) > MOST_CHARACTERS:
        raise RequestError(
            f"The link holds more than {MOST_CHARACTERS:,} characters; shorten its prompt."
        )
    if "prompt" not in found:
        raise RequestError("The link has settings but no prompt; add one, or ask for a whole link.")
    model = found.pop("model", None)
    return model, GenerationRequest.from_dict(
        {name: _value(name, text) for name, text in found.items()}
    )


def _value(name: str, text: str) -> object:
    try:
        if name in _TEXTS:
            return text
        if name in _WHOLE:
            return int(text)
        if name == "guidance_layers":
            return tuple(int(part) for part in text.split(","))
        return parse_per_scale(text)
    except (ValueError, RequestError) as error:
        raise RequestError(f"The link's {name} is {text[:40]!r}, which is no number.") from error
