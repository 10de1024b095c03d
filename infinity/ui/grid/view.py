"""What the Grid tab shows: pure functions from a plan and its finished cells to HTML."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

from infinity.grid.plan import Cell, GridPlan
from infinity.ui.shared.files import FinishedRun, address
from infinity.ui.shared.status import Phase, Status, duration

EMPTY = (
    '<p class="plot-empty">Every pair of values becomes one picture here, one after another. '
    "The whole plot can then be saved as one PNG that brings these settings back.</p>"
)


@dataclass(frozen=True)
class GridView:
    """All that the page shows of one grid.

    Attributes:
        drawn: the finished cells, by (row, column).
        sheet: the whole plot as a file, once it is written.
        scale: of the cell being drawn, how much is done, in [0, 1].
    """

    plan: GridPlan
    phase: Phase = "waiting"
    message: str = "Waiting for a turn …"
    drawn: Mapping[tuple[int, int], FinishedRun] = field(default_factory=dict)
    sheet: Path | None = None
    scale: float = 0.0

    @property
    def status(self) -> Status:
        rows, columns = self.plan.shape
        fraction = min(1.0, (len(self.drawn) + self.scale) / (rows * columns))
        return Status(self.phase, self.message, fraction)


def progress(view: GridView, cell: Cell) -> str:
    """``Picture 3 of 9 · red · Guidance 3 · about 12 s left``."""
    rows, columns = view.plan.shape
    parts = [f"Picture {len(view.drawn) + 1} of {rows * columns}", view.plan.x.label(cell.column)]
    if view.plan.y is not None:
        parts.append(view.plan.y.label(cell.row))
    if view.drawn:
        each = sum(run.seconds for run in view.drawn.values()) / len(view.drawn)
        left = rows * columns - len(view.drawn) - view.scale
        parts.append(f"about {duration(each * left)} left")
    return " · ".join(part[:60] for part in parts)


def grid_html(view: GridView) -> str:
    """The plot as a table: labels as headings, pictures that open, gaps for those to come."""
    plan = view.plan
    rows, columns = plan.shape
    heads = "".join(f'<th scope="col">{escape(plan.x.label(i))}</th>' for i in range(columns))
    corner = "<td></td>" if plan.y is not None else ""
    body = []
    for row in range(rows):
        head = f'<th scope="row">{escape(plan.y.label(row))}</th>' if plan.y is not None else ""
        cells = "".join(_cell_html(view, row, column) for column in range(columns))
        body.append(f"<tr>{head}{cells}</tr>")
    save = ""
    if view.sheet is not None:
        source, name = escape(address(view.sheet), quote=True), escape(view.sheet.name, quote=True)
        save = (
            f'<a class="plain-button" href="{source}" download="{name}" title="It carries its recipe: '
            f'drop it on the page and these settings come back">Download the grid as a PNG</a>'
        )
    return (
        f'<div class="plot"><div class="plot-table" tabindex="0" role="region" aria-label="Grid">'
        f"<table><thead><tr>{corner}{heads}</tr></thead><tbody>{''.join(body)}</tbody></table></div>"
        f"{save}</div>"
    )


def _cell_html(view: GridView, row: int, column: int) -> str:
    run = view.drawn.get((row, column))
    if run is None:
        return '<td><div class="gap"></div></td>'
    source = escape(address(run.files[0]), quote=True)
    labels = [view.plan.x.label(column)]
    if view.plan.y is not None:
        labels.append(view.plan.y.label(row))
    alt = escape(", ".join(labels), quote=True)
    return (
        f'<td><a href="{source}" download="{escape(run.files[0].name, quote=True)}" '
        f'title="Download this picture"><img src="{source}" alt="{alt}"></a></td>'
    )
