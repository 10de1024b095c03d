"""What the Grid tab shows: pure functions from a plan and its finished cells to HTML."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from html import escape
from pathlib import Path

from infinity.grid.plan import Cell, GridPlan
from infinity.ui.shared.files import FinishedRun, address
from infinity.ui.shared.status import Status, duration

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
    """

    plan: GridPlan
    status: Status
    drawn: Mapping[tuple[int, int], FinishedRun] = field(default_factory=dict)
    sheet: Path | None = None


def painting(view: GridView, cell: Cell, done: float) -> GridView:
    """A cell is being drawn, ``done`` of it, in [0, 1]:
    ``Picture 3 of 9 · red · Guidance 3 · about 12 s left``."""
    rows, columns = view.plan.shape
    drawn, count = len(view.drawn), rows * columns
    parts = [f"Picture {drawn + 1} of {count}", *_labels(view.plan, cell.row, cell.column)]
    if drawn:
        each = sum(run.seconds for run in view.drawn.values()) / drawn
        parts.append(f"about {duration(each * (count - drawn - done))} left")
    said = " · ".join(part[:60] for part in parts)
    return replace(view, status=Status("painting", said, (drawn + done) / count))


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
    alt = escape(", ".join(_labels(view.plan, row, column)), quote=True)
    return (
        f'<td><a href="{source}" download="{escape(run.files[0].name, quote=True)}" '
        f'title="Download this picture"><img src="{source}" alt="{alt}"></a></td>'
    )


def _labels(plan: GridPlan, row: int, column: int) -> list[str]:
    return [plan.x.label(column)] + ([plan.y.label(row)] if plan.y is not None else [])
