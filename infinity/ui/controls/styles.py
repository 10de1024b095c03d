"""Styles: phrases at the end of a prompt, those a model has learnt, or general ones."""

from infinity.errors import RequestError, quoted
from infinity.spec import ModelSpec

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


def style_choices(spec: ModelSpec) -> list[tuple[str, str]]:
    """(label, phrase) of every style on offer for a model, none at first."""
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
    for label, phrase in style_choices(spec):
        if str(name).lower() == label.lower():
            return phrase
    known = ", ".join(label for label, _ in style_choices(spec))
    raise RequestError(f"Unknown style {quoted(name)}; choose one of {known}.")
