"""Learning curves as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot


def plot_curves(metrics: Sequence[dict[str, float]], names: Sequence[str], path: Path) -> None:
    """One panel a metric over training steps, lines of ``metrics.jsonl`` in, PNG out."""
    figure, panels = pyplot.subplots(1, len(names), figsize=(4.5 * len(names), 3.2), squeeze=False)
    for panel, name in zip(panels[0], names, strict=True):
        points = [(line["step"], line[name]) for line in metrics if name in line]
        panel.plot(*zip(*points, strict=True), linewidth=1)
        panel.set(title=name.replace("_", " "), xlabel="step")
        panel.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
