"""What a model offers to choose from, and what follows from a choice: another model's defaults, a
preset's settings, the preset that the settings amount to. Pure functions, to updates by the
controls' names."""

from collections.abc import Iterable, Mapping
from typing import Any

import gradio as gr

from infinity.errors import RequestError, quoted
from infinity.presets import presets
from infinity.request import BEST_OF, GenerationRequest, SamplingParams
from infinity.spec import ModelSpec
from infinity.ui.controls.request import (
    CUSTOM,
    KEEP,
    NO_STYLE,
    PER_SCALE,
    PYRAMID,
    sampling_settings,
    sampling_values,
)

SHAPE_PIXELS = 24
GENERAL_STYLES = {
    "Photograph": "professional photograph, natural light, sharp focus",
    "Film still": "cinematic film still, shallow depth of field, dramatic light",
    "Digital painting": "digital painting, rich colours, detailed",
    "Watercolour": "watercolour painting on textured paper, soft edges",
    "Oil painting": "oil painting on canvas, visible brush strokes",
    "Pencil sketch": "pencil sketch, fine hatching, white paper",
    "Anime": "anime illustration, clean lines, flat shading",
    "Comic": "comic book illustration, bold ink lines, halftone",
    "3D render": "3d render, soft studio light, glossy materials",
    "Pixel art": "pixel art, 16-bit, limited palette",
    "Line art": "minimal black line art on white",
    "Isometric": "isometric illustration, clean geometry, soft shadows",
}
CUSTOM_PRESET = "custom", "Settings of your own, which are none of the presets."
OF_MODEL = "model", "aspect_ratio", "style", "complete_prompt"
"""The controls that each model has its own choices for."""
SHOWN_IN = {
    f"{name}_{part}": (f"{name}_mode", mode)
    for name in PER_SCALE
    for part, mode in (("last", PYRAMID), ("list", CUSTOM))
}
"""The controls that are shown only in one mode: whose mode, and which."""


def model_choices(name: str, spec: ModelSpec, aspect_ratio: str, style: str) -> dict[str, Any]:
    """Properties of the controls of :data:`OF_MODEL` when a model is chosen."""
    schedule = spec.schedule(spec.aspect_ratios[0])
    last = schedule[-1]
    fetched = " Fetched from the hub the first time." if spec.hub else ""
    finely = (
        f"{len(schedule)} scales up to {last.width} × {last.height} tokens of "
        f"{spec.tokenizer.bits_per_token} bits.{fetched}"
    )
    appended = (
        "A phrase put at the end of the prompt; the picture's record shows it."
        if spec.vocabulary is None
        else "The styles this model has learnt, put at the end of the prompt."
    )
    return {
        "model": {"value": name, "info": finely},
        "aspect_ratio": {"value": aspect_ratio, "choices": aspect_choices(spec)},
        "style": {"value": style, "choices": style_choices(spec), "info": appended},
        "complete_prompt": {"visible": spec.vocabulary is not None},
    }


def aspect_choices(spec: ModelSpec) -> list[tuple[str, str]]:
    """(label with the real size in pixels, aspect ratio) of what the model was trained on."""
    sizes = {ratio: spec.image_size(ratio) for ratio in spec.aspect_ratios}
    return [(f"{ratio}\n{width}×{height}", ratio) for ratio, (height, width) in sizes.items()]


def shapes_html(specs: Iterable[ModelSpec]) -> str:
    """The style that draws every model's aspect ratios as small shapes beside their labels."""
    sizes = {ratio: spec.image_size(ratio) for spec in specs for ratio in spec.aspect_ratios}
    rules = []
    for ratio, (height, width) in sizes.items():
        unit = SHAPE_PIXELS / max(height, width)
        rules.append(
            f'#aspect-ratio label:has(input[value="{ratio}"])::before'
            f"{{width:{width * unit:.1f}px;height:{height * unit:.1f}px}}"
        )
    return f"<style>{''.join(rules)}</style>"


def style_choices(spec: ModelSpec) -> list[tuple[str, str]]:
    """(label, phrase) of every style of a model, its own or general ones, none at first."""
    if spec.vocabulary is None:
        styles = GENERAL_STYLES
    else:
        styles = {name.capitalize(): phrases[0] for name, phrases in spec.vocabulary.styles.items()}
    return [("None", NO_STYLE), *styles.items()]


def style_phrase(name: str, spec: ModelSpec) -> str:
    """The phrase of a style by its label, in any case.

    Raises:
        RequestError: the model has none of this name.
    """
    choices = style_choices(spec)
    for label, phrase in choices:
        if str(name).lower() == label.lower():
            return phrase
    known = ", ".join(label for label, _ in choices)
    raise RequestError(f"Unknown style {quoted(name)}; choose one of {known}.")


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
        **{name: getattr(request, name) for name in BEST_OF},
        **_choices(model, spec, request.aspect_ratio, NO_STYLE),
        "complete_prompt": gr.update(
            visible=spec.vocabulary is not None, value=request.complete_prompt
        ),
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
    """Updates of the sampling controls when a preset is chosen.

    Raises:
        RequestError: an aspect ratio the model does not have.
    """
    preset = presets(spec, aspect_ratio)[name]
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
