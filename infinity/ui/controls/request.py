"""What the request controls mean: from their values to a request, and from a request back to them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

import gradio as gr
from gradio.components import Component

from infinity.errors import RequestError
from infinity.request import MAX_SEED, GenerationRequest, SamplingParams, chosen_seed, random_seed
from infinity.spec import ModelSpec
from infinity.ui.controls.per_scale import PerScale, per_scale
from infinity.ui.controls.styles import NO_STYLE
from infinity.vocabulary import styled

ROLL, KEEP, NEXT = "Roll", "Keep", "+1"
PAGE_GUIDANCE = (1.0, 10.0)
PAGE_TEMPERATURE = (0.0, 2.0)


@dataclass(frozen=True)
class RequestControls:
    """One component a setting, and three for one that may differ from scale to scale (its value,
    its mode, and the last value or the list the mode needs).

    ``seed_mode`` decides whether ``seed`` is kept, rolled anew or counted up; ``style`` is a phrase
    that ends the prompt.
    """

    prompt: gr.Textbox
    negative_prompt: gr.Textbox
    model: gr.Dropdown
    aspect_ratio: gr.Radio
    style: gr.Dropdown
    seed: gr.Number
    seed_mode: gr.Radio
    num_images: gr.Slider
    guidance: gr.Slider
    guidance_mode: gr.Radio
    guidance_last: gr.Slider
    guidance_list: gr.Textbox
    temperature: gr.Slider
    temperature_mode: gr.Radio
    temperature_last: gr.Slider
    temperature_list: gr.Textbox
    top_k: gr.Number
    top_p: gr.Slider
    guidance_layers: gr.Textbox
    guided_scales: gr.Textbox

    @classmethod
    def names(cls) -> tuple[str, ...]:
        return tuple(field.name for field in fields(cls))

    def inputs(self) -> list[Component]:
        """The components in the order of :meth:`names`."""
        return list(self.by_name().values())

    def by_name(self) -> dict[str, Component]:
        """The components by their names, in the same order."""
        return {name: getattr(self, name) for name in self.names()}

    def named(self, *names: str) -> list[Component]:
        """Some of the components."""
        return [getattr(self, name) for name in names]

    def values(self, given: Mapping[Component, Any]) -> dict[str, Any]:
        """A handler's inputs by the names of the controls; other components are left out."""
        by_name = self.by_name().items()
        return {name: given[component] for name, component in by_name if component in given}

    def updates(self, by_name: Mapping[str, Any]) -> dict[Component, Any]:
        """Values or updates by name, as a handler returns them."""
        return {getattr(self, name): update for name, update in by_name.items()}


_FIRST, _LAST = RequestControls.names().index("guidance"), len(RequestControls.names())
SAMPLING = RequestControls.names()[_FIRST:_LAST]
"""The controls that say how bits are drawn."""


def request_from(
    values: Mapping[str, Any], spec_of: Callable[[str], ModelSpec]
) -> tuple[str, GenerationRequest]:
    """(model, request) from the controls' values, by control name; the seed as its mode says.

    Args:
        spec_of: what a model is, by its name; a pyramid needs to know how many scales it has.

    Raises:
        RequestError: a value out of range, with one sentence that says what to do.
    """
    model, ratio = values["model"], values["aspect_ratio"]
    request = GenerationRequest(
        prompt=styled(values["prompt"] or "", values["style"] or NO_STYLE),
        negative_prompt=values["negative_prompt"] or "",
        aspect_ratio=ratio,
        seed=_seed(values["seed"], values["seed_mode"]),
        num_images=values["num_images"],
        **sampling_settings(values, len(spec_of(model).schedule(ratio))),
    )
    return model, request


def sampling_settings(values: Mapping[str, Any], scales: int) -> dict[str, Any]:
    """The request's sampling settings from the controls' values.

    Raises:
        RequestError: a list that cannot be read.
    """
    return {
        **{
            name: PerScale(
                values[f"{name}_mode"],
                values[name],
                values[f"{name}_last"],
                values[f"{name}_list"],
            ).values(name, scales)
            for name in ("guidance", "temperature")
        },
        "top_k": values["top_k"],
        "top_p": values["top_p"],
        "guidance_layers": _layers(values["guidance_layers"]),
        "guided_scales": _count(values["guided_scales"]),
    }


def sampling_values(sampling: SamplingParams, scales: int) -> dict[str, Any]:
    """What the controls of :data:`SAMPLING` show for these settings; nothing is rounded away."""
    values: dict[str, Any] = {}
    for name, limits in (("guidance", PAGE_GUIDANCE), ("temperature", PAGE_TEMPERATURE)):
        shown = per_scale(getattr(sampling, name), scales, limits)
        values |= {
            name: shown.first,
            f"{name}_mode": shown.mode,
            f"{name}_last": shown.last,
            f"{name}_list": shown.text,
        }
    return values | {
        "top_k": sampling.top_k,
        "top_p": sampling.top_p,
        "guidance_layers": ", ".join(map(str, sampling.guidance_layers)),
        "guided_scales": "" if sampling.guided_scales is None else str(sampling.guided_scales),
    }


def control_values(model: str, request: GenerationRequest, spec: ModelSpec) -> dict[str, Any]:
    """What every control shows for a request, its seed kept: :func:`request_from` gives it back.

    Args:
        spec: of ``model``.

    Raises:
        RequestError: an aspect ratio the model does not have.
    """
    scales = len(spec.schedule(request.aspect_ratio))
    return {
        "prompt": request.prompt,
        "negative_prompt": request.negative_prompt,
        "model": model,
        "aspect_ratio": request.aspect_ratio,
        "style": NO_STYLE,
        "seed": request.seed,
        "seed_mode": KEEP,
        "num_images": request.num_images,
        **sampling_values(request.sampling(spec.sampling), scales),
    }


def _seed(shown: Any, mode: str) -> Any:
    if mode == ROLL:
        return random_seed()
    if mode == NEXT and isinstance(shown, int | float):
        return shown + 1 if shown < MAX_SEED else 0
    return chosen_seed(shown)


def _count(text: str | None) -> int | None:
    if not (text or "").strip():
        return None
    try:
        return int(text or "")
    except ValueError as error:
        raise RequestError(
            f"Guided scales must be a whole number, or empty for all scales; not “{text}”."
        ) from error


def _layers(text: str | None) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in (text or "").split(","))
    except ValueError as error:
        raise RequestError(
            "Guidance layers must be whole numbers with commas between, such as 0 or 0, -4; "
            f"not “{text or ''}”."
        ) from error
