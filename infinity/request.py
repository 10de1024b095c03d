"""What somebody asks for: an immutable request, validated once, that round-trips through JSON."""

from __future__ import annotations

import difflib
import json
import math
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal, Self

from infinity.errors import RequestError, is_unicode, quoted
from infinity.files import parse_json
from infinity.wildcards import escape, expand

MAX_SEED = 2**32 - 1
RANDOM_SEED = -1
MAX_PROMPT_CHARACTERS = 20_000
MAX_IMAGES = 64
MAX_GUIDANCE = 100.0
MAX_TEMPERATURE = 100.0

PreviewPolicy = Literal["off", "live", "full"]
"""Previews while generating: none; a rough one of every scale, at little cost; whole decodings."""
PREVIEW_POLICIES: tuple[PreviewPolicy, ...] = ("off", "live", "full")


@dataclass(frozen=True, kw_only=True)
class SamplingParams:
    """How bits are drawn. Scalars hold for all scales; tuples give one value a scale (the last repeats).

    Args:
        guidance: classifier-free guidance; 1 is none and costs no unconditional pass.
        temperature: divides the logits; 0 is greedy.
        top_k: on two-way bits, 1 is greedy and 0 or anything else has no effect.
        top_p: in (0, 1]; a bit value less likely than ``1 - top_p`` is never drawn; 1 is off.
        guidance_layers: 0 guides the logits; ``-n`` replaces the hidden state of both halves by
            their guided mix after block ``depth - n`` (paper, "guidance on features").
        guided_scales: guide only the first n scales, None guides all.
    """

    guidance: float | tuple[float, ...] = 3.0
    temperature: float | tuple[float, ...] = 1.0
    top_k: int = 0
    top_p: float = 1.0
    guidance_layers: tuple[int, ...] = (0,)
    guided_scales: int | None = None

    def __post_init__(self) -> None:
        _check_numbers(self, "guidance", 0.0, MAX_GUIDANCE)
        _check_numbers(self, "temperature", 0.0, MAX_TEMPERATURE)
        _check_int(self, "top_k", 0, 2**31)
        if not _is_number(self.top_p) or not 0 < self.top_p <= 1:
            raise RequestError(
                f"top_p must be above 0 and at most 1 (1 is off), not {quoted(self.top_p)}."
            )
        layers = self.guidance_layers
        if isinstance(layers, list):
            object.__setattr__(self, "guidance_layers", layers := tuple(layers))
        if (
            not isinstance(layers, tuple)
            or not layers
            or any(type(n) is not int or n > 0 for n in layers)
        ):
            raise RequestError(
                "guidance_layers must list 0 (the logits) or negative block numbers counted from the "
                f"end, not {quoted(layers)}."
            )
        if self.guided_scales is not None:
            _check_int(self, "guided_scales", 0, 1000)

    def at_scale(self, index: int) -> tuple[float, float]:
        """(guidance, temperature) of scale ``index``; guidance is 1 from ``guided_scales`` on."""
        guided = self.guided_scales is None or index < self.guided_scales
        return (_at(self.guidance, index) if guided else 1.0), _at(self.temperature, index)


@dataclass(frozen=True, kw_only=True)
class GenerationRequest:
    """One prompt, ``num_images`` pictures. Settings left at None take the model's defaults.

    Picture i is drawn with seed ``seed + i`` (modulo 2^32), so it equals that seed asked for alone.
    Both prompts may hold wildcards, ``{red|blue} car`` (see ``infinity.wildcards``): every picture's
    own seed picks its words, so the pictures of one request may differ in them.

    Raises:
        RequestError: on construction, with one sentence that says what to do.
    """

    prompt: str
    negative_prompt: str = ""
    aspect_ratio: str = "1:1"
    seed: int = 0
    num_images: int = 1
    guidance: float | tuple[float, ...] | None = None
    temperature: float | tuple[float, ...] | None = None
    top_k: int | None = None
    top_p: float | None = None
    guidance_layers: tuple[int, ...] | None = None
    guided_scales: int | None = None

    def __post_init__(self) -> None:
        for name in ("prompt", "negative_prompt", "aspect_ratio"):
            value = getattr(self, name)
            if not isinstance(value, str):
                raise RequestError(f"{name} must be text, not {type(value).__name__}.")
            if not is_unicode(value):
                raise RequestError(
                    f"The {name.replace('_', ' ')} has bytes that are no text; send it in UTF-8."
                )
        for name in ("prompt", "negative_prompt"):
            if len(getattr(self, name)) > MAX_PROMPT_CHARACTERS:
                raise RequestError(
                    f"The {name.replace('_', ' ')} has {len(getattr(self, name)):,} characters; "
                    f"shorten it to at most {MAX_PROMPT_CHARACTERS:,}."
                )
        _check_int(self, "seed", 0, MAX_SEED)
        _check_int(self, "num_images", 1, MAX_IMAGES)
        if not all(prompt.strip() for prompt in self.prompts):
            raise RequestError("The prompt is empty; describe the picture you want.")
        expand(self.negative_prompt, self.seed)
        _tuples(self, ("guidance", "temperature", "guidance_layers"))
        self.sampling(SamplingParams())

    def sampling(self, defaults: SamplingParams) -> SamplingParams:
        """The sampling settings, gaps filled from a model's defaults."""
        given = {f.name: getattr(self, f.name) for f in fields(SamplingParams)}
        return replace(
            defaults, **{name: value for name, value in given.items() if value is not None}
        )

    def resolved(self, defaults: SamplingParams) -> Self:
        """This request with every setting spelled out."""
        return replace(self, **asdict(self.sampling(defaults)))

    @property
    def seeds(self) -> tuple[int, ...]:
        return tuple((self.seed + i) % (MAX_SEED + 1) for i in range(self.num_images))

    @property
    def prompts(self) -> tuple[str, ...]:
        """The prompt of every picture, its wildcards filled in."""
        return tuple(expand(self.prompt, seed) for seed in self.seeds)

    def pictures(self) -> tuple[Self, ...]:
        """One request a picture: its own seed, and the prompts with their wildcards filled in."""
        return tuple(
            replace(
                self,
                prompt=escape(prompt),
                negative_prompt=escape(expand(self.negative_prompt, seed)),
                seed=seed,
                num_images=1,
            )
            for prompt, seed in zip(self.prompts, self.seeds, strict=True)
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; settings left to the model's defaults are left out."""
        return {
            key: list(value) if isinstance(value, tuple) else value
            for key, value in asdict(self).items()
            if value is not None
        }

    def to_json(self) -> str:
        return json.dumps(self.to_dict(), ensure_ascii=False)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Raises RequestError on unknown settings (naming the nearest) and bad values."""
        known = [field.name for field in fields(cls)]
        for key in data:
            if key not in known:
                near = difflib.get_close_matches(str(key), known, n=1)
                hint = f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(known)}."
                raise RequestError(f"Unknown setting {quoted(key)}{hint}")
        if "prompt" not in data:
            raise RequestError("A request needs a prompt.")
        return cls(**data)

    @classmethod
    def from_json(cls, text: str) -> Self:
        try:
            data = parse_json(text)
        except ValueError as error:
            raise RequestError(f"This is not a request: {error}.") from error
        if not isinstance(data, dict):
            raise RequestError("This is not a request: a JSON object is needed.")
        return cls.from_dict(data)


def random_seed() -> int:
    """A fresh seed, from the machine's entropy."""
    return secrets.randbelow(MAX_SEED + 1)


def chosen_seed(seed: Any) -> Any:
    """``seed`` itself; a random one for ``RANDOM_SEED``, as people write it elsewhere."""
    is_random = isinstance(seed, int | float) and seed == RANDOM_SEED
    return random_seed() if is_random else seed


def parse_per_scale(text: str) -> float | tuple[float, ...]:
    """``"3"`` -> 3.0, ``"1,2,3"`` -> (1.0, 2.0, 3.0). Raises RequestError."""
    try:
        values = tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise RequestError(
            f"{quoted(text)} is not a number or a comma-separated list of numbers."
        ) from error
    return values[0] if len(values) == 1 else values


def _at(value: float | Sequence[float], index: int) -> float:
    return (
        float(value) if isinstance(value, int | float) else float(value[min(index, len(value) - 1)])
    )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < math.inf


def _tuples(owner: object, names: tuple[str, ...]) -> None:
    for name in names:
        if isinstance(value := getattr(owner, name), list):
            object.__setattr__(owner, name, tuple(value))


def _check_int(owner: object, name: str, low: int, high: int) -> None:
    value = getattr(owner, name)
    if isinstance(value, float) and value.is_integer():
        object.__setattr__(owner, name, value := int(value))
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise RequestError(
            f"{name} must be a whole number from {low} to {high}, not {quoted(value)}."
        )


def _check_numbers(owner: object, name: str, low: float, high: float) -> None:
    _tuples(owner, (name,))
    value = getattr(owner, name)
    values = value if isinstance(value, tuple) else (value,)
    if not values or any(not _is_number(v) or not low <= v <= high for v in values):
        raise RequestError(
            f"{name} must be a number from {low:g} to {high:g}, or a list of them, one a scale; not {quoted(value)}."
        )
