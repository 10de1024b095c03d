"""The statistics of a data set as one picture."""

from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from training.data.statistics import Statistics

_BINS = 40


def plot_statistics(statistics: Statistics, path: Path) -> None:
    """Aspect ratios, picture sizes, caption lengths and skipped records; a PNG file."""
    figure = Figure(figsize=(10, 7), layout="tight")
    (ratios, sizes), (captions, records) = figure.subplots(2, 2)
    filled = {ratio: size for ratio, size in statistics.buckets.items() if size}
    ratios.bar(range(len(filled)), list(filled.values()), tick_label=list(filled))
    ratios.set(title="aspect ratios (width:height)", ylabel="pictures")
    sizes.scatter(statistics.widths, statistics.heights, s=6, alpha=0.4, linewidths=0)
    sizes.set(title="picture sizes", xlabel="width in pixels", ylabel="height in pixels")
    if statistics.lengths:
        longest = max(statistics.lengths)
        width = -(-(longest + 1) // _BINS)
        captions.hist(statistics.lengths, bins=range(0, longest + width + 1, width))
    if statistics.limit is not None:
        captions.axvline(statistics.limit, color="tab:red", label="most that are read")
        captions.legend()
    captions.set(title="caption lengths", xlabel=statistics.unit, ylabel="captions")
    counts = {"usable": statistics.records, **statistics.report.counts}
    records.bar_label(records.barh(list(counts), list(counts.values())), padding=3)
    records.margins(x=0.15)
    records.set(title="records")
    for panel in (ratios, sizes, captions, records):
        panel.grid(alpha=0.3)
    FigureCanvasAgg(figure).print_png(path)
