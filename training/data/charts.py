"""The statistics of a data set as one picture."""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot

from training.data.statistics import Statistics

_BINS = 40


def plot_statistics(statistics: Statistics, path: Path) -> None:
    """Aspect ratios, picture sizes, caption lengths and skipped records; a PNG file."""
    figure, panels = pyplot.subplots(2, 2, figsize=(10, 7))
    filled = {ratio: size for ratio, size in statistics.buckets.items() if size}
    panels[0, 0].bar(range(len(filled)), list(filled.values()))
    panels[0, 0].set_xticks(range(len(filled)), list(filled))
    panels[0, 0].set(title="aspect ratios (width:height)", ylabel="pictures")
    known = statistics.heights > 0
    panels[0, 1].scatter(
        statistics.widths[known], statistics.heights[known], s=6, alpha=0.4, linewidths=0
    )
    panels[0, 1].set(title="picture sizes", xlabel="width in pixels", ylabel="height in pixels")
    if len(statistics.lengths):
        longest = int(statistics.lengths.max())
        width = -(-(longest + 1) // _BINS)
        panels[1, 0].hist(statistics.lengths, bins=range(0, longest + width + 1, width))
    if statistics.limit is not None:
        panels[1, 0].axvline(statistics.limit, color="tab:red", label="most that are read")
        panels[1, 0].legend()
    panels[1, 0].set(title="caption lengths", xlabel=statistics.unit, ylabel="captions")
    counts = {"usable": statistics.records, **statistics.report.counts}
    panels[1, 1].barh(list(counts), list(counts.values()))
    for row, count in enumerate(counts.values()):
        panels[1, 1].text(count, row, f" {count}", va="center")
    panels[1, 1].margins(x=0.15)
    panels[1, 1].set(title="records")
    for panel in panels.flat:
        panel.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
