"""A small plot of what guidance and temperature are at every scale, as SVG."""

from collections.abc import Sequence
from html import escape

from infinity.schedule import Scale
from infinity.ui.controls.request import number_text

WIDTH, HEIGHT = 300, 74
LEFT, RIGHT, TOP, BOTTOM = 10, 10, 20, 18


def plot_html(what: str, values: Sequence[float], scales: Sequence[Scale], most: float) -> str:
    """One setting over the scales: a step a scale, the first, the last and the largest value named.

    Args:
        what: the setting's name.
        values: one a scale.
        most: the value at the plot's upper edge, unless the values go beyond it.
    """
    top = max(most, *values)
    step = (WIDTH - LEFT - RIGHT) / len(values)
    floor = HEIGHT - BOTTOM
    heights = [floor - (floor - TOP) * value / top for value in values]
    bars = "".join(
        f'<rect x="{LEFT + i * step + 1:.1f}" y="{y:.1f}" width="{step - 2:.1f}" '
        f'height="{max(floor - y, 1):.1f}" rx="2"><title>{grid}: {number_text(value)}</title></rect>'
        for i, (y, value, grid) in enumerate(zip(heights, values, map(_grid, scales), strict=True))
    )
    named = sorted({0, len(values) - 1, max(range(len(values)), key=values.__getitem__)})
    if len(set(values)) == 1:
        named = [0]
    numbers = "".join(
        _text(LEFT + (i + 0.5) * step, heights[i] - 5, number_text(round(values[i], 2)), "value")
        for i in named
    )
    ends = _text(LEFT, HEIGHT - 5, _grid(scales[0]), "start") + _text(
        WIDTH - RIGHT, HEIGHT - 5, _grid(scales[-1]), "end"
    )
    spoken = f"{what} from the first to the last scale: {', '.join(map(number_text, values))}"
    return (
        f'<figure class="per-scale"><figcaption>{escape(what)}</figcaption>'
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(spoken, quote=True)}">'
        f"{bars}{numbers}{ends}</svg></figure>"
    )


def plot_problem_html(message: str) -> str:
    """What is said in place of the plots while a list cannot be read."""
    return f'<p class="per-scale-problem" role="status">{escape(message)}</p>'


def _grid(scale: Scale) -> str:
    return f"{scale.width}×{scale.height}"


def _text(x: float, y: float, text: str, role: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{role}">{escape(text)}</text>'
