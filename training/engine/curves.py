"""The curves of a run as one picture: loss, bit accuracy per scale with the 80% line, and the rest.

What was measured on held-out pictures is dotted.
"""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

GOOD_BIT_ACCURACY = 0.8
"""Share of right bits of a good model, by the maintainers of the reference."""

Lines = Sequence[dict[str, float]]

_PANELS = (
    ("loss", "loss, as optimized"),
    ("bit_loss", "loss of a bit (plain mean)"),
    ("psnr", "psnr, dB"),
    ("token_accuracy", "token accuracy"),
    ("gradient_norm", "gradient norm"),
    ("learning_rate", "learning rate"),
    ("samples_per_s", "samples/s"),
    ("memory_gb", "memory, GB"),
)

HELD_OUT = "validation_"
_SCALE_PANELS = (("bit accuracy by scale", ""), ("the same, held out", HELD_OUT))


def plot_run(lines: Lines, path: Path) -> None:
    """Lines of ``metrics.jsonl`` in, PNG out; written whole or not at all."""
    names = {name for line in lines for name in line}
    panels = [(name, title) for name, title in _PANELS if name in names]
    of_scales = [(title, _scales(names, prefix)) for title, prefix in _SCALE_PANELS]
    of_scales = [(title, scales) for title, scales in of_scales if scales]
    count = len(panels) + len(of_scales)
    columns = min(4, count)
    rows = -(-count // columns)
    figure = Figure(figsize=(4.2 * columns, 3.1 * rows), layout="tight")
    grid = iter(figure.subplots(rows, columns, squeeze=False).flat)
    for title, scales in of_scales:
        _plot_scales(next(grid), lines, scales, title)
    for name, title in panels:
        panel = next(grid)
        _plot(panel, lines, name)
        if (held_out := HELD_OUT + name) in names:
            _plot(panel, lines, held_out, label="held out", linestyle=":", marker=".")
            panel.legend()
        panel.set_title(title)
    for panel in grid:
        panel.set_visible(False)
    temporary = path.with_suffix(".writing")
    FigureCanvasAgg(figure).print_png(temporary)
    temporary.replace(path)


def _scales(names: Iterable[str], prefix: str) -> list[tuple[int, str]]:
    """Numbers and metrics of the scales."""
    pattern = re.compile(rf"{prefix}bit_accuracy_scale_(\d+)")
    return sorted((int(match[1]), name) for name in names if (match := pattern.fullmatch(name)))


def _plot_scales(panel: Axes, lines: Lines, scales: Sequence[tuple[int, str]], title: str) -> None:
    for number, name in scales:
        shade = 0.15 + 0.75 * (number - 1) / max(1, len(scales) - 1)
        _plot(panel, lines, name, label=str(number), color=(0.1, shade, 1 - shade))
    panel.axhline(GOOD_BIT_ACCURACY, color="crimson", linestyle="--", linewidth=1.2)
    panel.annotate(
        "80%", (0.01, GOOD_BIT_ACCURACY), xycoords=("axes fraction", "data"), va="bottom"
    )
    panel.set(title=title, ylim=(0.4, 1.0))
    panel.legend(fontsize=6, ncols=2, title="scale", title_fontsize=6)


def _plot(panel: Axes, lines: Lines, name: str, **style: object) -> None:
    points = [(line["step"], line[name]) for line in lines if name in line]
    panel.plot(*zip(*points, strict=True), linewidth=1, **style)  # type: ignore[arg-type]
    panel.set_xlabel("step")
    panel.grid(alpha=0.3)
