"""What follows from a control: another model's defaults, a preset's settings, the plots, the preset
that the settings amount to. Pure functions from values to updates."""

from collections.abc import Mapping
from typing import Any

import gradio as gr

from infinity.errors import RequestError
from infinity.presets import presets
from infinity.request import GenerationRequest, SamplingParams
from infinity.spec import ModelSpec
from infinity.ui.controls.aspect import aspect_choices
from infinity.ui.controls.build import describe, style_info
from infinity.ui.controls.per_scale import CUSTOM, PYRAMID
from infinity.ui.controls.plot import plot_html, plot_problem_html
from infinity.ui.controls.request import (
    PAGE_GUIDANCE,
    PAGE_TEMPERATURE,
    control_values,
    sampling_settings,
    sampling_values,
)
from infinity.ui.controls.styles import NO_STYLE, style_choices

CUSTOM_PRESET = "custom"
FOLLOWED = ("guidance_last", "guidance_list", "temperature_last", "temperature_list")
"""The controls that are shown only in some modes."""


def control_updates(model: str, request: GenerationRequest, spec: ModelSpec) -> dict[str, Any]:
    """Updates of all controls, by name, after which they ask for exactly ``request``.

    Args:
        spec: of ``model``.

    Raises:
        RequestError: an aspect ratio the model does not have.
    """
    return control_values(model, request, spec) | {
        "model": gr.update(value=model, info=describe(spec)),
        "aspect_ratio": gr.update(choices=aspect_choices(spec), value=request.aspect_ratio),
        "style": gr.update(choices=style_choices(spec), value=NO_STYLE, info=style_info(spec)),
    }


def model_updates(spec: ModelSpec, aspect_ratio: str | None, style: str) -> dict[str, Any]:
    """Updates of model, aspect ratio, style and the sampling controls when ``spec`` is chosen.

    Aspect ratio and style stay where the model knows them; the sampling becomes the model's own.
    """
    if aspect_ratio is None or aspect_ratio not in spec.schedules:
        aspect_ratio = spec.aspect_ratios[0]
    styles = style_choices(spec)
    kept = style if style in [phrase for _, phrase in styles] else NO_STYLE
    return {
        "model": gr.update(info=describe(spec)),
        "aspect_ratio": gr.update(choices=aspect_choices(spec), value=aspect_ratio),
        "style": gr.update(choices=styles, value=kept, info=style_info(spec)),
        **sampling_values(spec.sampling, len(spec.schedule(aspect_ratio))),
    }


def preset_updates(name: str, spec: ModelSpec, aspect_ratio: str) -> dict[str, Any]:
    """Updates of the sampling controls when a preset is chosen; "custom" leaves them be.

    Raises:
        RequestError: an aspect ratio the model does not have.
    """
    if name == CUSTOM_PRESET:
        return {"guidance": gr.skip()}
    sampling = presets(spec, aspect_ratio)[name].sampling
    return sampling_values(sampling, len(spec.schedule(aspect_ratio)))


def shown_updates(values: Mapping[str, Any]) -> dict[str, Any]:
    """Whether each of :data:`FOLLOWED` is shown, for the controls' values."""
    return {name: gr.update(visible=is_shown(name, values)) for name in FOLLOWED}


def is_shown(name: str, values: Mapping[str, Any]) -> bool:
    """Whether one of :data:`FOLLOWED` has a use in its setting's mode."""
    setting, part = name.split("_")
    return values[f"{setting}_mode"] == {"last": PYRAMID, "list": CUSTOM}[part]


def preset_of(values: Mapping[str, Any], spec: ModelSpec) -> str:
    """The name of the preset that the controls' values amount to, or "custom"."""
    ratio = values["aspect_ratio"]
    try:
        settings = sampling_settings(values, len(spec.schedule(ratio)))
        wanted = SamplingParams(**settings)
        known = presets(spec, ratio)
    except RequestError:
        return CUSTOM_PRESET
    return next(
        (name for name, preset in known.items() if preset.sampling == wanted), CUSTOM_PRESET
    )


def plots_of(values: Mapping[str, Any], spec: ModelSpec) -> str:
    """Guidance and temperature over the scales as two plots, or what is wrong with a list."""
    try:
        schedule = spec.schedule(values["aspect_ratio"])
        sampling = SamplingParams(**sampling_settings(values, len(schedule)))
    except RequestError as error:
        return plot_problem_html(str(error))
    per_scale = [sampling.at_scale(i) for i in range(len(schedule))]
    guidance, temperature = zip(*per_scale, strict=True)
    return plot_html("Guidance", guidance, schedule.scales, PAGE_GUIDANCE[1] / 2) + plot_html(
        "Temperature", temperature, schedule.scales, PAGE_TEMPERATURE[1] / 2
    )
