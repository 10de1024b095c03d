"""Aspect ratios as a choice of shapes: what a model was trained on, in its real pixels."""

from collections.abc import Iterable

from infinity.spec import ModelSpec

SHAPE_PIXELS = 24


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
