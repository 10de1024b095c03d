"""Learning curves as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot

COLUMNS = 3
FEW = 20
"""Points, which are then marked."""


def plot_curves(metrics: Sequence[dict[str, float]], names: Sequence[str], path: Path) -> None:
    """One panel a metric over training steps, lines of ``metrics.jsonl`` in, PNG out."""
    columns = min(len(names), COLUMNS)
    rows = -(-len(names) // columns)
    size = (4.5 * columns, 3.2 * rows)
    figure, panels = pyplot.subplots(rows, columns, figsize=size, squeeze=False)
    for unused in panels.flat[len(names) :]:
        unused.remove()
    for panel, name in zip(panels.flat, names, strict=False):
        points = [(line["step"], line[name]) for line in metrics if name in line]
        panel.plot(
            *zip(*points, strict=True), linewidth=1, marker="." if len(points) < FEW else None
        )
        panel.set(title=name.replace("_", " "), xlabel="step")
        panel.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
