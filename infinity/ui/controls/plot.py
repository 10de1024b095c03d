"""A small plot of what guidance, temperature and confidence are at every scale, as SVG."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from infinity.errors import RequestError
from infinity.request import SamplingParams
from infinity.schedule import Scale
from infinity.spec import ModelSpec
from infinity.ui.controls.request import PER_SCALE, number_text, sampling_settings

WIDTH, HEIGHT = 300, 74
LEFT, RIGHT, TOP, BOTTOM = 10, 10, 20, 18


def plots_of(values: Mapping[str, Any], spec: ModelSpec) -> str:
    """Guidance, temperature and, where it is used, confidence over the scales, a plot each; or what is
    wrong with a list."""
    try:
        schedule = spec.schedule(values["aspect_ratio"])
        sampling = SamplingParams(**sampling_settings(values, len(schedule)))
    except RequestError as error:
        return f'<p class="per-scale-problem" role="status">{escape(str(error))}</p>'
    rows = [(*sampling.at_scale(i), sampling.confidence_at(i)) for i in range(len(schedule))]
    settings = dict(zip(PER_SCALE, zip(*rows, strict=True), strict=True))
    if min(settings["confidence"]) == 1:
        del settings["confidence"]
    return "".join(
        plot_html(name.capitalize(), setting, schedule.scales, PER_SCALE[name][1] / 2)
        for name, setting in settings.items()
    )


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


def _grid(scale: Scale) -> str:
    return f"{scale.width}×{scale.height}"


def _text(x: float, y: float, text: str, role: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{role}">{escape(text)}</text>'
