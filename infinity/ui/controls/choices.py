"""What a model offers to choose from: shapes, styles, and a line about itself."""

from collections.abc import Iterable
from typing import Any

from infinity.errors import RequestError, quoted
from infinity.spec import ModelSpec

SHAPE_PIXELS = 24
NO_STYLE = ""
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


def model_choices(name: str, spec: ModelSpec, aspect_ratio: str, style: str) -> dict[str, Any]:
    """Properties of the controls "model", "aspect_ratio" and "style" when a model is chosen."""
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
    """(label, phrase) of every style on offer for a model, its own or general ones, none at first."""
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
