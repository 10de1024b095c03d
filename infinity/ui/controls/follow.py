"""What follows from a control: another model's defaults, a preset's settings, the preset that
the settings amount to. Pure functions from values to updates, by the controls' names."""

from collections.abc import Mapping
from typing import Any

import gradio as gr

from infinity.errors import RequestError
from infinity.presets import presets
from infinity.request import GenerationRequest, SamplingParams
from infinity.spec import ModelSpec
from infinity.ui.controls.choices import NO_STYLE, model_choices, style_choices
from infinity.ui.controls.request import (
    CUSTOM,
    KEEP,
    PER_SCALE,
    PYRAMID,
    sampling_settings,
    sampling_values,
)

CUSTOM_PRESET = "custom", "Settings of your own, which are none of the presets."
SHOWN_IN = {
    f"{name}_{part}": (f"{name}_mode", mode)
    for name in PER_SCALE
    for part, mode in (("last", PYRAMID), ("list", CUSTOM))
}
"""The controls that are shown only in one mode: whose mode, and which."""


def control_updates(model: str, request: GenerationRequest, spec: ModelSpec) -> dict[str, Any]:
    """Updates of all controls, the seed kept, after which they ask for exactly ``request``.

    Args:
        spec: of ``model``.

    Raises:
        RequestError: an aspect ratio the model does not have.
    """
    return {
        "prompt": request.prompt,
        "negative_prompt": request.negative_prompt,
        "seed": request.seed,
        "seed_mode": KEEP,
        "num_images": request.num_images,
        **_choices(model, spec, request.aspect_ratio, NO_STYLE),
        **sampling_values(
            request.sampling(spec.sampling), len(spec.schedule(request.aspect_ratio))
        ),
    }


def model_updates(
    model: str, spec: ModelSpec, aspect_ratio: str | None, style: str
) -> dict[str, Any]:
    """Updates of model, aspect ratio, style and the sampling controls when a model is chosen.

    Aspect ratio and style stay where the model knows them; the sampling becomes the model's own.
    """
    if aspect_ratio is None or aspect_ratio not in spec.schedules:
        aspect_ratio = spec.aspect_ratios[0]
    if style not in (phrase for _, phrase in style_choices(spec)):
        style = NO_STYLE
    return {
        **_choices(model, spec, aspect_ratio, style),
        **sampling_values(spec.sampling, len(spec.schedule(aspect_ratio))),
    }


def preset_updates(name: str, spec: ModelSpec, aspect_ratio: str) -> dict[str, Any]:
    """Updates of the sampling controls when a preset is chosen; "custom" leaves them be.

    Raises:
        RequestError: an aspect ratio the model does not have.
    """
    preset = presets(spec, aspect_ratio).get(name)
    if preset is None:
        return {"guidance": gr.skip()}
    return sampling_values(preset.sampling, len(spec.schedule(aspect_ratio)))


def shown_updates(values: Mapping[str, Any]) -> dict[str, Any]:
    """Whether each control of :data:`SHOWN_IN` is shown."""
    return {
        name: gr.update(visible=values[control] == mode)
        for name, (control, mode) in SHOWN_IN.items()
    }


def preset_of(values: Mapping[str, Any], spec: ModelSpec) -> tuple[str, str]:
    """(name, what it does) of the preset that the controls' values amount to, or "custom"."""
    ratio = values["aspect_ratio"]
    try:
        wanted = SamplingParams(**sampling_settings(values, len(spec.schedule(ratio))))
        known = presets(spec, ratio).items()
    except RequestError:
        return CUSTOM_PRESET
    return next(
        ((name, preset.info) for name, preset in known if preset.sampling == wanted), CUSTOM_PRESET
    )


def _choices(model: str, spec: ModelSpec, aspect_ratio: str, style: str) -> dict[str, Any]:
    properties = model_choices(model, spec, aspect_ratio, style)
    return {name: gr.update(**changed) for name, changed in properties.items()}
