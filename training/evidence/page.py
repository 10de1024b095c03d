"""From rows of results to docs: a plot an experiment, and one page of all with their limits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot

from training.evidence.experiments import EXPERIMENTS, Experiment

INTRODUCTION = """\
# Evidence at small scale

Short runs of equal budgets, one choice varied at a time, trained and examined by the code that makes the
default model (`training/evidence`). Each is one command, goes on where it stopped, and writes its figures
to `docs/evidence/`. They say what happened in these runs and no more; each section ends with its limits.

`exam` is the share of pictures that the [exam](default-model.md#the-exam)'s judge marks right, `distance` a
Frechet distance from true renders on the judge's features (no FID), `reconstructed` the exam's mark on true
renders that only went through the tokenizer: the most an arm can reach. `edge_energy` is the brightness
differences of neighbouring pixels against the originals' (1 is as sharp), `edge_fidelity` how much of them
is the same (1 is all), `seams` the error across the latent grid's borders against that elsewhere (1: none).
`minutes` are of one thread, on a machine that had other work beside it: read them as rough.
"""


def write_plot(experiment: Experiment, rows: list[dict[str, Any]], path: Path) -> None:
    """One panel a measure over the arms, or the second measure over the first."""
    names = experiment.plotted
    rows = [row for row in rows if all(row.get(name) is not None for name in names)]
    labels = [row["arm"] for row in rows]
    if experiment.scatter:
        figure, axis = pyplot.subplots(figsize=(5.5, 3.6))
        for row in rows:
            axis.plot(row[names[0]], row[names[1]], "o", markersize=8, label=row["arm"])
        axis.set(xlabel=_words(names[0]), ylabel=_words(names[1]))
        axis.grid(alpha=0.3)
        axis.legend()
    else:
        size = (1 + 3.2 * len(names), 1.6 + 0.34 * len(rows))
        figure, axes = pyplot.subplots(1, len(names), figsize=size, sharey=True, squeeze=False)
        for axis, name in zip(axes[0], names, strict=True):
            bars = axis.barh(labels, [row[name] for row in rows], height=0.6)
            axis.bar_label(bars, fmt="%.3g", padding=3, fontsize=9)
            axis.margins(x=0.18)
            axis.set_title(_words(name), fontsize=11)
            axis.spines[["top", "right"]].set_visible(False)
        axes[0][0].invert_yaxis()
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def write_page(folder: Path, page: Path) -> None:
    """The page of all experiments whose results are in ``folder``; the others are named."""
    parts = [INTRODUCTION]
    for name, experiment in EXPERIMENTS.items():
        parts.append(f"## {experiment.title}\n\n{experiment.question}\n")
        results = folder / f"{name}.json"
        if results.exists():
            found = json.loads(results.read_text(encoding="utf-8"))
            parts.append(f"![{experiment.title}]({folder.name}/{name}.png)\n")
            parts.append(_table(experiment, found["rows"]))
            budget = ", ".join(f"{_words(key)} {value}" for key, value in found["budget"].items())
            parts.append(f"Budget: {budget}.\n")
        else:
            parts.append("Not run yet.\n")
        parts.append(f"Again: `python -m training.evidence {name}`\n")
        parts.append(f"*Limits: {experiment.limits}*\n")
    page.write_text("\n".join(parts), encoding="utf-8")


def _table(experiment: Experiment, rows: list[dict[str, Any]]) -> str:
    columns = [name for name in experiment.columns if any(name in row for row in rows)]
    lines = [
        "| " + " | ".join([experiment.arm, *map(_words, columns)]) + " |",
        "| --- |" + " ---: |" * len(columns),
    ]
    for row in rows:
        cells = [row["arm"], *(_cell(row.get(name)) for name in columns)]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _cell(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:,}" if isinstance(value, int) else f"{value:.3g}"


def _words(name: str) -> str:
    return name.replace("_", " ")
